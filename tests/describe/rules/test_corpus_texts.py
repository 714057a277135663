"""The stage that writes texts into a corpus, and its command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.bodies.skeleton import mirror_joints
from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.errors import CorpusError, PoseError
from autocompose.core.records import Pair, Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.rules import RuleOptions, describe_pairs
from autocompose.describe.rules import corpus_texts as stage
from autocompose.describe.rules.corpus_texts import write_texts
from tests.fixtures.people import pairs, rotations

COUNT = 12
OPTIONS = RuleOptions(absolute="none")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Twelve pairs in two splits; one pose holds NaN, one picture has no pose, one pair does not change."""
    a, b = pairs(COUNT, seed=41)
    b[5] = a[5]
    a[2, 7] = np.nan
    names = [f"{side}{i}.png" for side in "ab" for i in range(COUNT)]
    table = PoseTable(tuple(names), np.concatenate([a, b]).astype(np.float32), np.zeros(2 * COUNT, np.float32))
    told = [Pair(f"a{i}.png", f"b{i}.png", (), {"sents": ("Hello.",)}, {"uid": i}) for i in range(COUNT)]
    told.append(Pair("lost.png", "b0.png", (), {"auto": ("Old text.",)}))
    made = Corpus(
        tmp_path / "corpus",
        {Split.TRAIN: tuple(told[3:]), Split.TEST: tuple(told[:3])},
        {Split.TRAIN: (*names, "lost.png"), Split.TEST: tuple(names[:3])},
        table,
    )
    made.save()
    return made


def captions(root: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in sorted((root / "captions").iterdir())}


def codes(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "codes" / "train.jsonl").read_text().splitlines()]


def test_fields_counts_and_kept_texts(corpus: Corpus) -> None:
    tally = write_texts(corpus.root, options=OPTIONS, n_texts=2).entries
    found = load_corpus(corpus.root)
    assert tally.dropped == {"nothing changes enough to be described": 4, "no 3D pose": 4, "NaN coordinate": 4}
    assert tally.kept == (COUNT + 1) * 4 - 12
    pair = found.pairs[Split.TRAIN][0]
    assert set(pair.texts) == {"sents", "auto", "auto-reverse", "auto-mirror", "auto-mirror-reverse"}
    assert pair.extra == {"uid": 3}
    assert found.pairs[Split.TRAIN][-1].texts == {"auto": ("Old text.",)}
    assert "auto" not in found.pairs[Split.TEST][2].texts
    assert not list(corpus.root.glob(".describe-rules*"))


def test_missing_wordings_are_counted(corpus: Corpus) -> None:
    counts = write_texts(corpus.root, options=RuleOptions(absolute="none", max_parts=1), n_texts=40)
    pairs = [p for ps in load_corpus(corpus.root).pairs.values() for p in ps]
    told = sum(len(t) for p in pairs for t in p.texts.values()) - COUNT - 1  # without "Hello." and "Old text."
    assert counts.wordings.kept == told
    assert counts.wordings.dropped == {"too similar to another wording of the pair": 40 * counts.entries.kept - told}
    short = {f"{p.reference} -> {p.target}" for p in pairs for t in p.texts.values() if 1 < len(t) < 40}
    assert set(counts.wordings.examples["too similar to another wording of the pair"]) <= short
    manifest = json.loads((corpus.root / "describe-rules.manifest.json").read_text())
    assert manifest["wordings"]["kept"] == told
    assert f"wordings: {40 * counts.entries.kept} in, {told} kept; dropped" in counts.lines()


def test_each_field_is_the_pipeline_on_the_edited_pair(corpus: Corpus) -> None:
    write_texts(corpus.root, options=OPTIONS, n_texts=3, seed=5)
    pair = load_corpus(corpus.root).pairs[Split.TRAIN][0]
    assert corpus.poses is not None
    row_a, row_b = corpus.poses.rows([pair.reference, pair.target])
    a, b = corpus.poses.joints[[row_a]], corpus.poses.joints[[row_b]]
    edited = {
        "auto": (Edit.PLAIN, a, b),
        "auto-reverse": (Edit.REVERSE, b, a),
        "auto-mirror": (Edit.MIRROR, mirror_joints(a), mirror_joints(b)),
        "auto-mirror-reverse": (Edit.MIRROR_REVERSE, mirror_joints(b), mirror_joints(a)),
    }
    for field, (edit, start, goal) in edited.items():
        keys = [f"{pair.reference}\n{pair.target}\nEdit.{edit.name}"]  # the same in every version of Python
        assert list(pair.texts[field]) == describe_pairs(start, goal, 5, 3, OPTIONS, keys)[0]


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_files(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PART", 4)
    write_texts(corpus.root, options=OPTIONS, codes=True)
    one = captions(corpus.root), (corpus.root / "codes" / "train.jsonl").read_text()
    corpus.save()
    write_texts(corpus.root, options=OPTIONS, codes=True, processes=3)
    assert (captions(corpus.root), (corpus.root / "codes" / "train.jsonl").read_text()) == one


def test_a_killed_run_goes_on_where_it_stopped(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    write_texts(corpus.root, options=OPTIONS)
    whole = captions(corpus.root)
    corpus.save()
    monkeypatch.setattr(stage, "PART", 3)
    done, original = [], stage._do

    def fails_after_three(job: stage.Job) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job.path)
        original(job)

    monkeypatch.setattr(stage, "_do", fails_after_three)
    before = captions(corpus.root)
    with pytest.raises(KeyboardInterrupt):
        write_texts(corpus.root, options=OPTIONS)
    assert captions(corpus.root) == before  # nothing half-written
    again = []
    monkeypatch.setattr(stage, "_do", lambda job: (again.append(job.path), original(job)))
    write_texts(corpus.root, options=OPTIONS)
    assert set(again).isdisjoint(done) and again
    assert captions(corpus.root) == whole


def test_codes_hold_the_numbers(corpus: Corpus) -> None:
    write_texts(corpus.root, options=RuleOptions(noise=0.0), codes=True, edits=[Edit.PLAIN])
    entries = codes(corpus.root)
    texts = {p.target: list(p.texts.get("auto", ())) for p in load_corpus(corpus.root).pairs[Split.TRAIN]}
    assert len(entries) == 9
    for entry in entries:
        names = {m["code"] for m in entry["auto"]["measured"]}
        for text in entry["auto"]["texts"]:
            assert {c for s in text["says"] + text["left_out"] for c in s["codes"]} <= names
        assert [t["text"] for t in entry["auto"]["texts"]] == texts[entry["target"]]
        for m in entry["auto"]["measured"]:
            if m["code"].startswith("height"):
                assert (m["to"] > m["from"]) == (m["category"] in ("up", "up_bit")) and m["unit"] == "m"
            if m["code"].startswith("bend"):
                assert m["unit"] == "deg" and (m["to"] > m["from"]) == m["category"].startswith("unbend")


def test_head_reads_the_rotations(corpus: Corpus) -> None:
    with pytest.raises(PoseError, match="no column 'rotations'"):
        write_texts(corpus.root, options=RuleOptions(head=True))
    assert corpus.poses is not None
    turned = np.stack([rotations(1, i)[0] for i in range(2 * COUNT)])
    turned[COUNT:, 15, 1] += 0.9
    replace(corpus, poses=replace(corpus.poses, columns={"rotations": turned})).save()
    write_texts(
        corpus.root, options=RuleOptions(head=True, absolute="none"), codes=True, edits=[Edit.PLAIN, Edit.MIRROR]
    )
    entry = codes(corpus.root)[0]
    ways = [
        {m["category"].removesuffix("_bit") for m in entry[f]["measured"] if m["code"] == "head"}
        for f in ("auto", "auto-mirror")
    ]
    assert ways == [{"head_left"}, {"head_right"}]


def test_exchanged_sides_are_refused(corpus: Corpus) -> None:
    assert corpus.poses is not None
    replace(corpus, poses=replace(corpus.poses, joints=corpus.poses.joints * np.float32([-1, 1, 1]))).save()
    before = captions(corpus.root)
    with pytest.raises(PoseError, match="left and right are swapped"):
        write_texts(corpus.root, options=OPTIONS)
    assert captions(corpus.root) == before


def test_a_corpus_without_poses_is_refused(corpus: Corpus) -> None:
    (corpus.root / "poses.npz").unlink()
    with pytest.raises(PoseError, match=r"no poses.npz; rules need the 3D pose"):
        write_texts(corpus.root, options=OPTIONS)


def test_a_corpus_without_pairs_is_refused(corpus: Corpus) -> None:
    replace(corpus, pairs={split: () for split in corpus.pairs}).save()
    with pytest.raises(CorpusError, match="no pairs to describe; run `autocompose pairs"):
        write_texts(corpus.root, options=OPTIONS)


def test_a_wrong_joint_count_names_the_file(corpus: Corpus) -> None:
    path = corpus.root / "poses.npz"
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "joints": arrays["joints"][:, :21]})
    with pytest.raises(PoseError, match=r"poses.npz: poses: 24 names need joints \(24, 22, 3\)"):
        write_texts(corpus.root, options=OPTIONS)


def test_command(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    load_verbs()
    words = [
        "describe",
        "rules",
        str(corpus.root),
        "--wordings",
        "1",
        "--max-parts",
        "2",
        "--absolute",
        "filtered",
        "--edit",
        "plain",
    ]
    assert run(words) == 0
    texts = load_corpus(corpus.root).pairs[Split.TRAIN][0].texts
    assert len(texts["auto"]) == 1 and "auto-mirror" not in texts
    assert run(["describe", "rules", str(corpus.root), "--absolute", "some"]) == 2
    assert "absolute = 'some'" in capsys.readouterr().err
