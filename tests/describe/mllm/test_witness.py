"""The two warnings that need no 3D poses: the mirrored pair says something else, limbs cross."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.skeleton import COCO17, SMPL22, mirror_joints, turn
from autocompose.core.errors import AnnotationError
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.annotation_report import report
from autocompose.describe.mllm.asking.sent_pictures import limbs_cross
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.export import Rules, export_texts
from autocompose.describe.mllm.judging.witness import agreement
from autocompose.describe.mllm.recording.described import Described
from tests.describe.mllm.fakes import Fake, job
from tests.describe.mllm.test_annotate import rows
from tests.simulator.annotator import Errors
from tests.simulator.figures import figure_corpus


def row(edit: str, *parts: str, state: str = "done") -> Described:
    return Described(Item("a", "b", Edit(edit)), state, parts=tuple((part, "") for part in parts))


def test_twins_agree_when_they_move_the_same_parts() -> None:
    found = agreement([
        row("plain", "left arm", "head"), row("mirror", "head", "right arm"),
        row("reverse", "left leg"), row("mirror-reverse", "left leg"),
    ])  # fmt: skip
    assert found == {
        ("a", "b", Edit.PLAIN): True, ("a", "b", Edit.MIRROR): True,
        ("a", "b", Edit.REVERSE): False, ("a", "b", Edit.MIRROR_REVERSE): False,
    }  # fmt: skip
    assert agreement([row("plain", "left arm"), row("mirror", "left arm", state="failed")]) == {}


def test_disagreeing_mirrors_can_be_left_out(tmp_path: Path) -> None:
    corpus = figure_corpus(tmp_path, 16)
    annotate(job(corpus, frame="words"), Fake(corpus, Errors(swap=0.4)))
    every = Rules(min_agreement=0)
    loose, strict = (export_texts(corpus.root, rules)["mllm"] for rules in (every, replace(every, mirrors_agree=True)))
    assert loose.kept == 16 and strict.dropped == {"its mirror says something else": 16 - strict.kept}
    counts = report(corpus.root)
    assert 0 < counts["mirrors that disagree"] < counts["mirrors compared"] and strict.kept < 16


def test_derived_mirrors_are_no_witness(corpus: Corpus) -> None:
    annotate(job(corpus, mirror="derive"), Fake(corpus))
    with pytest.raises(AnnotationError, match="were not asked about"):
        export_texts(corpus.root, Rules(mirrors_agree=True))


def standing() -> np.ndarray:
    points = np.zeros((len(SMPL22), 3))
    places = {"shoulder": (0.2, 1.4), "wrist": (0.3, 0.9), "hip": (0.07, 0.9), "ankle": (0.1, 0.1)}
    for joint, (x, y) in places.items():
        for side, sign in (("left", 1), ("right", -1)):
            points[SMPL22.index(f"{side}_{joint}")] = [sign * x, y, 0]
    points[SMPL22.index("head")] = [0, 1.7, 0]
    return points


def crossing(joint: str) -> np.ndarray:
    points = standing()
    pair = [SMPL22.index(f"{side}_{joint}") for side in ("left", "right")]
    points[pair] = points[pair[::-1]]
    return points


@pytest.mark.parametrize("joint", ["wrist", "ankle"])
@pytest.mark.parametrize("yaw", [0, 30, 180])
def test_crossed_limbs(joint: str, yaw: float) -> None:
    assert not limbs_cross(turn(standing(), yaw), SMPL22)
    assert limbs_cross(turn(crossing(joint), yaw), SMPL22)
    assert limbs_cross(mirror_joints(turn(crossing(joint), yaw)), SMPL22)
    flat = turn(crossing(joint), yaw)[[SMPL22.index(n) if n in SMPL22 else 0 for n in COCO17], :2]
    assert limbs_cross(1000 - 300 * flat, COCO17)  # pixels


def test_a_body_seen_from_its_side_or_unknown_is_not_called_crossed() -> None:
    assert not limbs_cross(turn(crossing("wrist"), 90), SMPL22)
    assert not limbs_cross(np.full((17, 2), np.nan), COCO17)


@pytest.mark.parametrize(("frame", "expected"), [("picture", ["crossed"]), ("colour", [])])
def test_crossed_limbs_are_flagged_where_sides_of_the_picture_are_asked_for(
    corpus: Corpus, frame: str, expected: list[str]
) -> None:
    assert corpus.poses is not None
    points = corpus.poses.columns["coco2d"].copy()
    pair = [COCO17.index("left_wrist"), COCO17.index("right_wrist")]
    pair_rows = corpus.poses.rows([corpus.pairs[Split.TRAIN][0].reference])
    wide = points[pair_rows][0][[COCO17.index("right_shoulder"), COCO17.index("left_shoulder")]]
    points[pair_rows[:, None], pair] = wide
    crossed = replace(corpus, poses=replace(corpus.poses, columns={**corpus.poses.columns, "coco2d": points}))
    made = job(crossed, frame=frame)
    annotate(made, Fake(crossed))
    reference = corpus.pairs[Split.TRAIN][0].reference
    found = rows(corpus, f"SELECT texts FROM items WHERE reference = '{reference}'")
    assert all(text["flags"] == expected for (texts,) in found for text in json.loads(texts))
    assert (report(corpus.root)["crossed limbs"] > 0) == bool(expected)
