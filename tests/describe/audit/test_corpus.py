"""The audit of a corpus: verdict lines, summaries, the page, the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.skeleton import mirror_joints
from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.errors import CorpusError, InputError
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit.corpus import audit_corpus, face_direction
from autocompose.describe.audit.report import write_report
from tests.describe.audit.poses import standing

UP = standing(left_wrist=(0, 0.45, 0))
TEXTS = {
    "sents": ("Raise your left hand.", "Raise your right hand.", "The sofa is red."),
    "reverse": ("Lower your left hand.",),
    "mirror": ("Raise your right hand.",),
    "mirror-reverse": ("Lower your right hand.", "Lower your left hand."),
}


def _corpus(root: Path, joints: np.ndarray | None = None, texts: dict[str, tuple[str, ...]] = TEXTS) -> Corpus:
    joints = np.stack([standing(), UP]) if joints is None else joints
    table = PoseTable(("a.png", "b.png"), joints.astype(np.float32), np.array([0, 90], np.float32))
    pairs = (Pair("a.png", "b.png", (), dict(texts)), Pair("a.png", "gone.png", (), dict(texts)))
    return Corpus(root, {Split.TEST: pairs}, {Split.TEST: ("a.png", "b.png")}, table)


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_verdicts_and_summary(tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    summaries, tally = audit_corpus(_corpus(tmp_path), (), (), False, out)
    found = {(r["field"], r["text_index"]): r for r in _lines(out)}
    assert {key: r["agreement"] for key, r in found.items()} == {
        ("sents", 0): 1.0, ("sents", 1): 0.0, ("sents", 2): None, ("reverse", 0): 1.0, ("mirror", 0): 1.0,
        ("mirror-reverse", 0): 1.0, ("mirror-reverse", 1): 0.0,
    }  # fmt: skip
    first = found["sents", 0]
    assert (first["split"], first["pair"], first["reference"], first["target"]) == ("test", 0, "a.png", "b.png")
    assert first["large_changes"] == first["mentioned"] == ["left arm"]
    claim = first["claims"][0]  # type: ignore[index]
    assert claim["verdict"] == "supported" and claim["unit"] == "m" and claim["value"] > 0.3
    assert found["sents", 1]["swaps"] == 1 and found["mirror", 0]["large_changes"] == ["right arm"]
    assert tally.kept == 7 and tally.dropped == {"no 3D pose": 7}
    sents = next(s for s in summaries if s.key == "sents")
    assert sents.to_json() | {"precision": 50.0, "swaps": 1, "texts": 3, "texts_without_claim": 1} == sents.to_json()
    assert [r["text"] for r in sents.worst] == ["Raise your right hand."]


def test_turns_only_when_asked(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, texts={"sents": ("Turn to your left.",)})
    (plain,), _ = audit_corpus(corpus, ("sents",), (), False)
    (turned,), _ = audit_corpus(corpus, ("sents",), (), True)
    assert plain.checked == 0 and plain.precision is None
    assert turned.precision == 1.0


def test_faces_come_from_keypoints() -> None:
    coco = np.zeros((1, 17, 3))
    coco[0, 0], coco[0, 3], coco[0, 4] = (0, 1.6, 0.1), (0.08, 1.6, 0), (-0.08, 1.6, 0)
    np.testing.assert_allclose(face_direction(coco), [[0, 0, 0.1]], atol=1e-12)


def test_mirrored_corpus_gives_mirrored_verdicts(tmp_path: Path) -> None:
    plain = _corpus(tmp_path)
    assert plain.poses is not None
    mirrored = _corpus(tmp_path, mirror_joints(plain.poses.joints), {"sents": TEXTS["mirror"]})
    (summary,), _ = audit_corpus(mirrored, (), (), False)
    assert summary.precision == 1.0


def test_bad_input_keeps_existing_output(tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    out.write_text("old")
    corpus = _corpus(tmp_path)
    with pytest.raises(
        CorpusError, match="no texts in the field 'mllm'; fields: mirror, mirror-reverse, reverse, sents"
    ):
        audit_corpus(corpus, ("mllm",), (), False, out)
    with pytest.raises(InputError, match=r"no poses\.npz; the audit needs 3D poses"):
        audit_corpus(Corpus(tmp_path, corpus.pairs, corpus.galleries, None), (), (), False, out)
    with pytest.raises(CorpusError, match="no split train"):
        audit_corpus(corpus, (), (Split.TRAIN,), False, out)
    assert out.read_text() == "old"


def test_poses_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    joints = np.stack([standing(), UP])
    joints[1, 3, 1] = np.nan
    (summary,), tally = audit_corpus(_corpus(tmp_path, joints), ("sents",), (), False)
    assert summary.texts == 0 and tally.dropped == {"pose is not finite": 3, "no 3D pose": 3}


def test_page_escapes_texts(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path, texts={"sents": ("<script>alert(1)</script> raise your right hand",)})
    summaries, tally = audit_corpus(corpus, (), (), False)
    write_report(tmp_path / "report.html", summaries, tally, "A & B")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page and "A &amp; B" in page
    assert "right hand: up" in page and "sides swapped?" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.fixture
def audit_verb(tmp_path: Path) -> Callable[..., int]:
    load_verbs()
    _corpus(tmp_path / "corpus").save()
    return lambda *arguments: run(["audit", str(tmp_path / "corpus"), *arguments])


def test_command(tmp_path: Path, audit_verb: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "v.jsonl", tmp_path / "r.html"
    assert audit_verb("--texts", "sents", "--json", "--out", str(out), "--report", str(report)) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["precision"] == 50.0 and summary["field"] == "sents"
    assert len(_lines(out)) == 3 and report.exists()
    assert audit_verb("--split", "test") == 0
    assert "mirror-reverse" in capsys.readouterr().out


def test_command_reports_one_line(audit_verb: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert audit_verb("--texts", "nonsense") == 2
    error = capsys.readouterr().err
    assert "texts 'nonsense': expected one of human, rules" in error and "Traceback" not in error
