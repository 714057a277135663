"""Ranks and metrics against a slow, obvious implementation."""

import numpy as np
import pytest

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.records import Question
from autocompose.evaluate.metrics import Ranks, bootstrap_means, compare, rank_queries
from autocompose.evaluate.ranking import normalise, top_rows


def score(query, picture):
    """The definition: float64 dot product of float32 unit vectors, rounded to float32."""
    return np.float32((query.astype(np.float64) * picture.astype(np.float64)).sum())


def slow_ranking(prediction, gallery, names, reference):
    order = sorted(range(len(names)), key=lambda i: -score(prediction, gallery[i]))  # sorted() is stable: gallery order
    return [names[i] for i in order if names[i] != reference]


def slow_metrics(predictions, gallery, names, queries):
    predictions, gallery = normalise(predictions, "p"), normalise(gallery, "g")
    rankings = [slow_ranking(p, gallery, names, q.reference) for p, q in zip(predictions, queries, strict=True)]
    result = {
        f"recall_at{k}": 100 * sum(q.target in r[:k] for q, r in zip(queries, rankings, strict=True)) / len(queries)
        for k in (1, 5, 10, 50)
    }
    groups = [[n for n in r if n in q.group] for q, r in zip(queries, rankings, strict=True)]
    for k in (1, 3, 5):
        found = sum(q.target in g[:k] for q, g in zip(queries, groups, strict=True))
        result[f"group_recall_at{k}"] = 100 * found / len(queries)
    places = sorted(r.index(q.target) + 1 for q, r in zip(queries, rankings, strict=True))
    middle = len(places) // 2
    result["median_rank"] = float(places[middle]) if len(places) % 2 else (places[middle - 1] + places[middle]) / 2
    return result, rankings


def random_case(seed):
    """Features with ties: small integers, duplicate rows, nearly equal rows, zero rows."""
    rng = np.random.default_rng(seed)
    n, q, dim = int(rng.integers(3, 80)), int(rng.integers(1, 12)), int(rng.choice([2, 3, 8, 33]))
    kind = rng.integers(4)
    gallery = rng.normal(size=(n, dim)) if kind % 2 else rng.integers(-1, 2, (n, dim)).astype(float)
    if kind >= 2:
        gallery = gallery[rng.integers(0, n, n)]  # duplicates
        gallery += rng.choice([0, 1e-7], (n, 1)) * rng.normal(size=(n, dim))
    predictions = gallery[rng.integers(0, n, q)] + rng.choice([0, 0.5]) * rng.normal(size=(q, dim))
    names = [f"{i}.png" for i in range(n)]
    queries = []
    for i in range(q):
        reference, target = rng.choice(n, 2, replace=False)
        group = {names[j] for j in rng.choice(n, int(rng.integers(0, n)), replace=False)} | {names[target]}
        queries.append(Question(names[reference], "text", names[target], tuple(sorted(group)), i))
    return predictions.astype(np.float32), gallery.astype(np.float32), names, queries


@pytest.mark.parametrize("seed", range(200))
def test_metrics_equal_the_slow_version(seed):
    predictions, gallery, names, queries = random_case(seed)
    expected, rankings = slow_metrics(predictions, gallery, names, queries)
    metrics = rank_queries(predictions, gallery, names, queries).metrics()
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)  # other metrics have their own tests
    removed = np.array([names.index(q.reference) for q in queries])
    rows = top_rows(normalise(predictions, "p"), normalise(gallery, "g"), 7, removed)
    assert [[names[i] for i in row] for row in rows] == [r[:7] for r in rankings]


def test_blocks_do_not_change_ranks(monkeypatch):
    predictions, gallery, names, queries = random_case(7)
    whole = rank_queries(predictions, gallery, names, queries)
    monkeypatch.setattr("autocompose.evaluate.ranking.QUERY_BLOCK", 2)
    monkeypatch.setattr("autocompose.evaluate.ranking.GALLERY_BLOCK", 3)
    parts = rank_queries(predictions, gallery, names, queries)
    assert np.array_equal(whole.gallery, parts.gallery)
    assert np.array_equal(whole.group, parts.group)


def test_ties_stand_in_gallery_order_wherever_the_duplicates_lie():
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(20_000, 24)).astype(np.float32)
    spots = np.array([3, 8191, 8192, 16_500, 19_999])
    gallery[spots] = gallery[3]
    names = [str(i) for i in range(len(gallery))]
    queries = [Question("0", "", str(t), (), i) for i, t in enumerate(spots)]
    predictions = np.repeat(gallery[3:4], 5, 0)
    assert rank_queries(predictions, gallery, names, queries).gallery.tolist() == [0, 1, 2, 3, 4]


def query(reference="a", target="b", group=()):
    return Question(reference, "t", target, group, 4)


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        ([query("x")], r"query 0 \(pair 4\): reference x is not in the gallery"),
        ([query(target="x")], "target x is not in the gallery"),
        ([query(group=("b", "x"))], "group member x is not in the gallery"),
        ([query(group=("a", "c"))], "target b is not in its group"),
        ([query("b", "b")], "same picture b"),
        ([query(group=("b",)), query()], "query 1 .*no group"),
    ],
)
def test_faulty_queries_are_named(queries, words):
    with pytest.raises(CorpusError, match=words):
        rank_queries(np.ones((len(queries), 2)), np.eye(3, 2), ["a", "b", "c"], queries)


def test_a_name_twice_in_the_gallery():
    with pytest.raises(CorpusError, match="a occurs more than once"):
        rank_queries(np.ones((1, 2)), np.ones((3, 2)), ["a", "b", "a"], [query()])


def test_features_that_are_not_finite():
    gallery = np.ones((3, 2))
    gallery[2, 0] = np.nan
    with pytest.raises(InputError, match=r"gallery\[2\].*not finite"):
        rank_queries(np.ones((1, 2)), gallery, ["a", "b", "c"], [query()])


def test_no_groups_no_group_recall():
    ranks = rank_queries(np.ones((1, 2)), np.eye(3, 2), ["a", "b", "c"], [query()])
    assert ranks.group is None
    assert not any(name.startswith("group") for name in ranks.metrics())


def slow_bootstrap(values, clusters, seed, draws):
    rng = np.random.default_rng(seed)
    names = sorted(set(clusters))
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    means = []
    for row in weights:
        sample = [v for n, w in zip(names, row, strict=True) for _ in range(w) for v in values[clusters == n]]
        means.append(np.mean(sample, 0))
    return np.array(means)


def test_bootstrap_draws_whole_clusters():
    rng = np.random.default_rng(3)
    values, clusters = rng.random((40, 2)), rng.integers(0, 7, 40)
    np.testing.assert_allclose(bootstrap_means(values, clusters, 1, 50), slow_bootstrap(values, clusters, 1, 50))


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(30), 20)
    ranks = Ranks(np.where(rng.random(30)[clusters] < 0.5, 0, 9))  # all queries of a cluster share their fate
    alone, together = (b - a for a, b in (ranks.ci95()["recall_at1"], ranks.ci95(clusters)["recall_at1"]))
    assert together > 3 * alone


def test_compare_finds_a_difference_and_finds_none():
    rng = np.random.default_rng(0)
    one, same = Ranks(rng.integers(0, 10, 400)), Ranks(rng.integers(0, 10, 400))
    better = Ranks(np.maximum(one.gallery - (rng.random(400) < 0.5), 0))
    found = compare(one, better)["recall_at1"]
    assert found.value == pytest.approx(100 * ((better.gallery == 0).mean() - (one.gallery == 0).mean()))
    assert found.ci95[0] > 0
    assert found.p_value < 0.01
    assert compare(one, same)["recall_at1"].p_value > 0.05
    assert compare(one, one)["recall_at1"].p_value == 1
    with pytest.raises(CorpusError, match="400 and 3 queries"):
        compare(one, Ranks(np.zeros(3, int)))
