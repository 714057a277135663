import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.records import Question
from autocompose.evaluate.metrics import QueryRows, rank_scores
from autocompose.model.combiner import ElementwiseSum
from autocompose.train.baselines import OneInput, ceiling_ranks, chance

NAMES = [f"{i}.png" for i in range(8)]


def queries(rng, n=6):
    made = []
    for i in range(n):
        reference, target, other = rng.permutation(8)[:3]
        made.append(Question(NAMES[reference], "t", NAMES[target], (NAMES[target], NAMES[other], NAMES[reference]), i))
    return made


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_ranks_of_scores_are_those_of_sorting(seed):
    rng = np.random.default_rng(seed)
    asked = queries(rng)
    scores = rng.integers(0, 4, (len(asked), 8)).astype(np.float32)  # many ties
    ranks = rank_scores(scores, QueryRows.of(asked, NAMES))
    for q, query in enumerate(asked):
        order = [NAMES[i] for i in sorted(range(8), key=lambda i: (-scores[q, i], i)) if NAMES[i] != query.reference]
        assert ranks.gallery[q] == order.index(query.target)
        assert ranks.group[q] == [n for n in order if n in query.group].index(query.target)


def test_chance_is_what_random_scores_give():
    rng = np.random.default_rng(0)
    asked = queries(rng, 4000)
    found = rank_scores(rng.random((4000, 8)), QueryRows.of(asked, NAMES)).metrics()
    expected = chance(asked, 8)
    for key in ("recall_at1", "recall_at5", "group_recall_at1"):
        assert abs(found[key] - expected[key]) < 3


def test_one_input_hides_the_other():
    image, text = torch.randn(5, 4), torch.randn(5, 4)
    only_image = OneInput(ElementwiseSum(), text=torch.ones(4))
    only_text = OneInput(ElementwiseSum(), image=torch.ones(4))
    assert torch.equal(only_image(image, text), only_image(image, torch.randn(5, 4)))
    assert torch.equal(only_text(image, text), only_text(torch.randn(5, 4), text))
    assert not torch.equal(only_image(image, text), only_image(torch.randn(5, 4), text))


def test_the_ceiling_finds_targets_whose_change_is_unique():
    poses = np.repeat(forward(np.zeros((1, 22, 3)))[0], 8, 0)  # T-poses
    for i in range(1, 8):  # every pose lifts the left hand by another amount
        for joint in ("left_wrist", "left_elbow"):
            poses[i, SMPL22.index(joint), 1] += 0.12 * i
    asked = [Question(NAMES[0], "t", NAMES[7], tuple(NAMES), 0)]
    ranks = ceiling_ranks(poses, QueryRows.of(asked, NAMES))
    assert ranks.gallery[0] <= 2
