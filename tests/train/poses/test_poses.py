"""Composing on poses: what it is made of, and that nothing of the test part is in it."""

import json

import numpy as np
import pytest
import torch

from autocompose.core.records import Split
from autocompose.model.bundled import FOLDER
from autocompose.model.combiner import Combiner
from autocompose.model.small import SmallSizes, small_encoder
from autocompose.model.small2.pose_net import trunk_of
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr import frozen
from autocompose.prepare.bodycpr.bases import TEST_CLIPS, UNSEEN_FAMILIES, VAL_CLIPS, draw_base
from autocompose.train.lifting.cube_pictures import PRESET
from autocompose.train.poses import cubes as module
from autocompose.train.poses.cubes import DRAWN, SOURCES, Cubes
from autocompose.train.poses.doubts import Doubts
from autocompose.train.poses.fit import SIDES, SmallSettings, words_of
from autocompose.train.poses.stage import PoseSettings, PoseStage


def tasks() -> list[bodycpr.Task]:
    return [task for task in bodycpr.tasks(PRESET) if task.split is Split.TRAIN]


def test_no_body_family_or_clip_of_the_test_part_trains():
    table = frozen.load().columns
    assert not {task.number for task in tasks()} & set(table["body"].tolist())
    for task in tasks()[:200]:
        base = draw_base(task, 0, 0, np.random.default_rng([0, 0, task.number, 0]))
        assert base.family not in UNSEEN_FAMILIES and base.sequence not in (*TEST_CLIPS, *VAL_CLIPS)


def test_only_training_banks_are_read():
    settings = SmallSettings.load(module.Path(module.__file__).with_name("small2.toml"))
    assert set(settings.stage.sources) <= {*SOURCES, DRAWN}
    assert {bank for bank, _ in SOURCES.values()} == {"coach", "human"}


def test_the_shipped_card_says_so():
    card = json.loads((FOLDER / "model.json").read_text())["card"]
    assert card["name"] == FOLDER.name
    assert set(card["word banks"]) <= {"coach", "human"}
    assert set(UNSEEN_FAMILIES) <= set(card["never seen"]["families"])
    assert {*TEST_CLIPS, *VAL_CLIPS} == set(card["never seen"]["clips"])


@pytest.fixture(scope="module")
def doubts() -> Doubts:
    rng = np.random.default_rng(0)
    true, error = rng.normal(0, 0.4, (6, 8, 22, 3)), rng.normal(0, 0.05, (6, 8, 22, 3))
    return Doubts(true, error, np.full((6, 8, 22), 0.1), np.zeros((6, 8)))


def test_errors_are_those_of_the_most_similar_render(doubts):
    joints = doubts.true[2:4] + 1e-4
    rows = doubts.alike(joints, np.random.default_rng(1))
    assert (rows[:, 0] == np.arange(16, 32).reshape(2, 8)).all()
    trunks = doubts.trunks(joints[0], np.zeros(8), rows[0, 0], np.ones(8))
    wanted = trunk_of(
        *(torch.tensor(v).float() for v in (joints[0] + doubts.error[2], np.zeros(8), np.full((8, 22), 0.1)))
    )
    assert torch.allclose(trunks, wanted, atol=1e-5)


@pytest.fixture(scope="module")
def made() -> Cubes:
    one = bodycpr.make_cluster(tasks()[0], 0, 2)
    joints, yaw = one.joints.reshape(-1, 8, 22, 3), one.yaw.reshape(-1, 8)
    return Cubes(joints.astype(np.float32), yaw, module.described_pairs(joints, yaw, 0))


@pytest.mark.slow
def test_cubes_have_texts_and_claims_both_ways(made):
    assert all(made.pairs)
    for pair in made.pairs[0]:
        assert pair["coach"][0] and pair["coach"][2] and pair["coach"][1] != pair["coach"][3]
    assert any(pair.get(DRAWN) for cube in made.pairs for pair in cube)


@pytest.mark.slow
def test_the_same_epoch_has_the_same_batches_and_the_loss_falls(made, doubts):
    texts = [text for cube in made.pairs for pair in cube for name in SOURCES for text in pair.get(name, ())]
    sizes = SmallSizes(image_size=256, pose={"hidden": 64}, reads="claims", claim_bag=True, dim=32, text_width=32)
    stage = PoseStage(made, doubts, small_encoder(sizes, texts), Combiner(32, 32, 32, 0.0).start_as_sum(),
                      PoseSettings(cubes=2, sources={"coach": 1.0, DRAWN: 1.0}))  # fmt: skip
    first, again = next(stage.batches(3)), next(stage.batches(3))
    assert all(torch.equal(getattr(first, k), getattr(again, k)) for k in first.__dataclass_fields__)
    optimiser = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(60):
        loss = stage(first)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.6 * losses[0]


def plain_cubes() -> Cubes:
    told = ["raise it", "left hand up", "lower it", "left hand down"]
    pairs = [{"poses": [0, 1], "coach": told}]
    return Cubes(np.zeros((4, 8, 22, 3), np.float32), np.zeros((4, 8)), [pairs] * 4)


def test_without_reverse_and_mirror_only_the_ways_there_are_asked(doubts):
    encoder = small_encoder(SmallSizes(image_size=256, pose={"hidden": 16}, reads="claims", claim_bag=True, dim=8), [])
    composer = Combiner(8, 8, 8, 0.0)
    plain = {"cubes": 4, "sources": {"coach": 1.0}, "words_alone": 0.0}
    one, both = (
        next(PoseStage(plain_cubes(), doubts, encoder, composer, PoseSettings(**plain, **more)).batches(0))
        for more in ({"reverse": False, "mirror": False}, {})
    )
    assert (one.reference % 8).tolist() == [0] * 4 and (one.target % 8).tolist() == [1] * 4
    assert len(both.reference) == 8 and len(one.tokens) == 2 and len(both.tokens) == 4


def test_the_vocabulary_is_that_of_what_is_shown():
    settings = SmallSettings.load(module.Path(module.__file__).with_name("small2.toml"))
    assert words_of(plain_cubes(), settings) == {*SIDES.split(), "left", "hand", "up", "down"}
    words = settings.model_copy(update={"sizes": settings.sizes.model_copy(update={"reads": "words"})})
    assert words_of(plain_cubes(), words) == {*SIDES.split(), "raise", "lower", "it"}
