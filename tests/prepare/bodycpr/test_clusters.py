"""The benchmark end to end on the smallest preset, its frozen test part, and what interrupts it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from autocompose.bodies.motion.mocap import clip_files
from autocompose.bodies.pose_frame import yaw_of
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.sampling.sampler import FAMILIES
from autocompose.core.errors import InputError
from autocompose.core.files import read_json
from autocompose.core.log import Tally
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import load_corpus
from autocompose.corpus.pictures.transforms import open_image
from autocompose.corpus.poses import PoseTable
from autocompose.corpus.validate import validate
from autocompose.prepare.bodycpr import bases, frozen, frozen_texts
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr.clusters import PRESETS, Preset, prepare_bodycpr
from autocompose.prepare.bodycpr.cube_codes import MASKS

pytest.importorskip("anny")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bodycpr") / "tiny"
    prepare_bodycpr(out, "tiny", seed=0, workers=1)
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Everything but the manifests, which hold no results of their own."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "manifest" not in p.name]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_the_corpus_is_valid_and_complete(tiny: Path) -> None:
    assert not [fault for check in validate(tiny, images=True) for fault in check.faults]
    corpus = load_corpus(tiny)
    sizes = {split: len(corpus.galleries[split]) // 8 for split in Split}
    assert sizes == {Split.TRAIN: 6, Split.VAL: 2, Split.TEST: 4}
    assert open_image(corpus.image_path(corpus.galleries[Split.TEST][0])).size == (96, 96)


def test_pairs_are_one_or_two_edits_apart_within_their_cube(tiny: Path) -> None:
    corpus = load_corpus(tiny)
    assert corpus.poses is not None
    index, masks = corpus.poses.index(), corpus.poses.columns["mask"]
    for split in Split:
        for pair in corpus.pairs[split]:
            apart = MASKS[masks[index[pair.reference]]] != MASKS[masks[index[pair.target]]]
            assert pair.extra["edits"] == apart.sum() and pair.extra["edits"] in (1, 2)
            assert len(pair.img_set) == 8 and pair.reference in pair.img_set and pair.target in pair.img_set
            assert len(pair.extra["parts"]) == pair.extra["edits"]
            assert {str(corpus.poses.columns["cube"][index[name]]) for name in pair.img_set} == {
                str(pair.extra["cube"])
            }
        edits = [pair.extra["edits"] for pair in corpus.pairs[split]]
        assert edits.count(1) >= 20 * len(corpus.galleries[split]) / 8  # 24 without exclusions


def test_splits_share_no_cube_body_or_clip(tiny: Path) -> None:
    table = PoseTable.load(tiny / "poses.npz")
    for key in ("cube", "body"):
        parts = [set(table.columns[key][table.columns["split"] == s.value].tolist()) for s in Split]
        assert len(set.union(*parts)) == sum(map(len, parts))


def test_joints_belong_to_the_rotations_and_stand_on_the_floor(tiny: Path) -> None:
    table = PoseTable.load(tiny / "poses.npz")
    rows = slice(0, 8)
    look = bodycpr.look_of(0, int(table.columns["body"][0]))
    posed = shared_body().pose(table.columns["rotations"][rows], look.phenotype).on_floor()
    assert np.allclose(posed.smpl22, table.joints[rows], atol=1e-5)
    assert np.allclose(posed.coco17, table.columns["coco"][rows], atol=1e-5)
    assert np.allclose(posed.vertices[..., 1].min(1), 0, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes_with_two_processes_and_after_a_kill(tiny: Path, tmp_path: Path) -> None:
    """A killed run leaves some pictures and no manifest of the last stage; the rest is made again."""
    out = tmp_path / "again"
    small = {"train": 2, "val": 0, "test": 2}
    PRESETS["mini"] = Preset(**small, per_cluster=2, size=32, frozen_test=False)
    try:
        prepare_bodycpr(out, "mini", seed=3, workers=1)
        whole = content(out)
        pictures = sorted((out / "images").iterdir())
        for path in pictures[::3]:
            path.unlink()
        (out / "bodycpr.manifest.json").unlink()
        (out / "captions" / "train.json").unlink()
        prepare_bodycpr(out, "mini", seed=3, workers=1)
        assert content(out) == whole
    finally:
        del PRESETS["mini"]


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    prepare_bodycpr(tmp_path / "two", "tiny", seed=0, workers=2)
    assert content(tmp_path / "two") == content(tiny)


def test_other_settings_do_not_touch_a_finished_corpus(tiny: Path) -> None:
    before = content(tiny)
    with pytest.raises(InputError, match="other settings"):
        prepare_bodycpr(tiny, "tiny", seed=1, workers=1)
    assert content(tiny) == before


def test_unknown_preset_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tiny, short, demo, full"):
        prepare_bodycpr(tmp_path / "x", "huge")
    assert not (tmp_path / "x").exists()


def test_the_verb_refuses_an_unknown_preset(tmp_path: Path) -> None:
    from autocompose.cli import load_verbs
    from autocompose.cli.app import app

    load_verbs()
    result = CliRunner().invoke(app, ["prepare", "bodycpr", str(tmp_path / "x"), "--preset", "huge"])
    assert result.exit_code == 2 and not (tmp_path / "x").exists()


def test_without_pybullet_all_poses_are_sampled_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bodycpr, "clip_files", lambda: ())
    monkeypatch.setattr(bases, "clip_files", lambda: ())
    bases.clip_frames.cache_clear()
    PRESETS["mini"] = Preset(train=0, val=0, test=2, per_cluster=2, size=32, frozen_test=False)
    try:
        corpus = prepare_bodycpr(tmp_path / "x", "mini", seed=0, workers=1)
    finally:
        del PRESETS["mini"]
        bases.clip_frames.cache_clear()
    assert corpus.poses is not None and set(corpus.poses.columns["origin"]) == {"sampled"}
    assert "pybullet" in capsys.readouterr().err


def test_pairs_that_the_codes_do_not_tell_apart_are_counted(tiny: Path) -> None:
    table = PoseTable.load(tiny / "poses.npz")
    joints = table.joints.copy()
    joints[5] = joints[4]  # two candidates in the same pose
    twins = PoseTable(table.names, joints, table.yaw, table.columns)
    tally = Tally("pairs")
    pairs = list(bodycpr.cube_pairs(twins, 0, tally))
    assert len(pairs) == tally.kept == 48 - sum(tally.dropped.values())
    names = set(table.names[4:6])
    assert sum(tally.dropped.values()) >= 12
    assert not [p for p in pairs if p.target in names and p.reference not in names]


# --- bases -----------------------------------------------------------------------------------------------------------


def tasks_of(split: Split, size: str = "demo") -> list[bases.Task]:
    return [task for task in bodycpr.tasks(PRESETS[size]) if task.split is split]


@pytest.mark.skipif(not clip_files(), reason="pybullet is not installed")
def test_held_out_clips_and_families_are_only_in_test() -> None:
    origins = {}
    for split in Split:
        drawn = [bases.draw_base(t, 0, 0, np.random.default_rng(t.number)) for t in tasks_of(split)[:45]]
        origins[split] = {base.sequence or base.family for base in drawn}
    held = {*bases.UNSEEN_FAMILIES, *bases.TEST_CLIPS}
    assert held <= origins[Split.TEST] and not held & (origins[Split.TRAIN] | origins[Split.VAL])
    assert not origins[Split.TRAIN] & set(bases.VAL_CLIPS)
    assert origins[Split.TEST] & (set(FAMILIES) - held)  # seen families too
    assert len(bases.TEST_CLIPS) == 4 and len(bases.UNSEEN_FAMILIES) == 2


@pytest.mark.skipif(not clip_files(), reason="pybullet is not installed")
def test_three_in_ten_training_clusters_are_motion_capture() -> None:
    drawn = [bases.draw_base(t, 0, 0, np.random.default_rng(t.number)) for t in tasks_of(Split.TRAIN)]
    assert sum(bool(base.sequence) for base in drawn) == 60 and len(drawn) == 200


@pytest.mark.skipif(not clip_files(), reason="pybullet is not installed")
def test_motion_capture_faces_the_front() -> None:
    from autocompose.bodies.kinematics import forward

    frames = np.stack([rotations for _, rotations in bases.clip_frames(Split.TEST, 0)])
    assert np.abs(yaw_of(forward(frames)[0])).max() < 1e-6


def test_directions_are_drawn_as_promised() -> None:
    yaw = np.stack([bodycpr._draw_yaw(8, np.random.default_rng(seed)) for seed in range(2000)])
    assert np.abs(yaw).max() <= 180
    frontal = (np.abs(yaw).max(1) <= 60 + bodycpr.YAW_JITTER).mean()
    assert 0.76 < frontal < 0.87  # 70 % and, of the rest, those that happen to be frontal
    assert np.ptp(yaw, axis=1)[np.abs(yaw).max(1) < 150].max() <= 2 * bodycpr.YAW_JITTER


# --- the frozen test part --------------------------------------------------------------------------------------------


def test_the_shipped_test_part_is_bodycpr_v1() -> None:
    part = frozen.load()
    assert len(part.names) == 1120 and part.rotations.shape == (1120, 22, 3)
    assert len(np.unique(part.columns["cube"])) == 140 and len(part.looks) == 35 and len(part.shots) == 1120
    assert set(part.columns["split"]) == {"test"}
    assert set(part.columns["sequence"]) >= {"dance_b", "getup_faceup", "jump"}
    assert all(part.looks[int(body)] is part.appearance(np.array([8 * i]))[0]
               for i, body in enumerate(part.columns["body"][::8]))  # fmt: skip


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "changed.npz"
    part = frozen.load()
    columns = {**part.columns, "rotations": part.rotations}
    table = PoseTable(part.names, np.zeros((1120, 22, 3), np.float32), part.yaw, columns)
    assert frozen.write(path, table, part.looks, part.shots) == frozen.HASH
    assert frozen.read(path, frozen.HASH).names == part.names
    part.columns["mask"][0] += 1
    try:
        frozen.write(path, table, part.looks, part.shots)
        with pytest.raises(InputError, match="BodyCPR-v1"):
            frozen.read(path, frozen.HASH)
    finally:
        part.columns["mask"][0] -= 1
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"changed\.npz"):
        frozen.read(path, frozen.HASH)


def test_the_demo_preset_tests_on_the_frozen_part_whatever_the_seed(tmp_path: Path) -> None:
    PRESETS["mini"] = Preset(train=2, val=0, test=140, per_cluster=2, size=32)
    try:
        table = bodycpr._stage_poses(tmp_path, PRESETS["mini"], 9, 1, {"a": 1})
    finally:
        del PRESETS["mini"]
    part = frozen.load()
    assert table.names[:1120] == part.names and len(table.names) == 1136
    assert np.array_equal(table.columns["rotations"][:1120], part.rotations)
    assert min(table.columns["cube"][1120:]) == 140  # numbers go on
    assert table.columns["body"][1120:].min() > table.columns["body"][:1120].max()


def test_rounding_costs_less_than_a_tenth_of_a_degree() -> None:
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 1000)
    assert np.degrees(np.abs(frozen.rounded(angles) - angles)).max() < 0.1


def test_benchmark_hash_sees_texts_pairs_and_poses(tiny: Path) -> None:
    corpus = load_corpus(tiny)
    first = frozen.benchmark_hash(corpus)
    assert first == frozen.benchmark_hash(load_corpus(tiny, [Split.TEST])) and len(first) == 16
    test = corpus.pairs[Split.TEST]
    from dataclasses import replace

    texts = replace(corpus, pairs={**corpus.pairs, Split.TEST: (replace(test[0], texts={"sents": ("x",)}), *test[1:])})
    fewer = replace(corpus, pairs={**corpus.pairs, Split.TEST: test[1:]})
    train = replace(corpus, pairs={**corpus.pairs, Split.TRAIN: corpus.pairs[Split.TRAIN][1:]})
    more = replace(
        corpus, pairs={**corpus.pairs, Split.TEST: tuple(replace(p, texts={**p.texts, "mllm": ("x",)}) for p in test)}
    )
    assert len({first, frozen.benchmark_hash(texts), frozen.benchmark_hash(fewer)}) == 3
    assert frozen.benchmark_hash(more) == first  # the bank mllm has a hash of its own
    assert frozen.benchmark_hash(train) == first


def test_manifest_counts_what_was_made(tiny: Path) -> None:
    record = read_json(tiny / "bodycpr.manifest.json")
    assert record["test"]["pictures"] == 32
    assert record["kept"] == sum(record[s.value]["pairs"] for s in Split)


def test_the_shipped_banks_are_those_of_bodycpr_v1() -> None:
    assert frozen_texts.bank_hashes() == {
        "auto": "ea59b362469283f7", "sents": "ca5a1174b52f9909", "mllm": "8c350e3720036de2"
    }  # fmt: skip
    written = frozen_texts.load_written()
    assert "November 2026" in written["provenance"] and "never train" in written["provenance"]
    assert len(written["texts"]) == 94 and {len(texts) for texts in written["texts"].values()} == {3}
    assert all(int(key[:5]) % 2 for key in written["texts"])
    pairs = [Pair(*key.split()) for key in sorted(frozen_texts.load())]
    filled = frozen_texts.with_frozen_texts(pairs)
    assert len(filled) == 6720 and sum("mllm" in pair.texts for pair in filled) == 94
    assert all({"auto", "sents"} <= pair.texts.keys() for pair in filled)


def test_a_bank_speaks_of_known_pairs_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no test pair of BodyCPR-v1"):
        frozen_texts.write_written(tmp_path / "bank.gz", "somebody", {("a.png", "b.png"): ["x"]})
