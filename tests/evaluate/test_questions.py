"""Evaluating a model on a corpus, and the files that this leaves."""

import csv
import dataclasses
import itertools
import json

import numpy as np
import pytest

from autocompose.core.errors import CorpusError, ImageError, InputError
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.evaluate.questions import evaluate_model
from autocompose.evaluate.results import read_ranks, write_evaluation
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_config
from tests.fixtures.corpora import make_corpus

TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)


@pytest.fixture(scope="module")
def model():
    return Model(Encoder(small_config(TINY), seed=3), ElementwiseSum())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def evaluation(model, corpus, tmp_path_factory):
    return evaluate_model(model, corpus, cache=tmp_path_factory.mktemp("cache"))


def test_ranks_are_those_of_the_models_own_features(model, corpus, evaluation):
    names = corpus.galleries[Split.TEST]
    gallery = model.encode_images([corpus.image_path(n) for n in names])
    for i, query in enumerate(evaluation.queries):
        image = gallery[[names.index(query.reference)]]
        prediction = model.compose_features(image, model.encode_texts([query.text]))[0]
        cosine = gallery @ prediction / np.linalg.norm(gallery, axis=1)
        ranking = [names[j] for j in np.argsort(-cosine, kind="stable") if names[j] != query.reference]
        assert ranking.index(query.target) == evaluation.ranks.gallery[i]
        assert [n for n in ranking if n in query.group].index(query.target) == evaluation.ranks.group[i]


def test_cubes_are_the_clusters(evaluation):
    assert evaluation.clusters.tolist() == [int(q.reference[1:4]) for q in evaluation.queries]


def test_without_poses_the_reference_is_the_cluster(model, corpus):
    bare = dataclasses.replace(corpus, poses=None)
    assert evaluate_model(model, bare).clusters.tolist() == [p.reference for p in corpus.split(Split.TEST)]


def test_every_text_is_a_query_when_flattened(model, corpus):
    assert len(evaluate_model(model, corpus, flatten=True).queries) == 2 * len(corpus.split(Split.TEST))


def test_files(tmp_path, evaluation):
    write_evaluation(tmp_path, evaluation, keep=3)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["n_queries"] == 24
    assert metrics["n_gallery"] == 8
    low, high = metrics["ci95"]["recall_at5"]
    assert low <= metrics["recall_at5"] <= high
    questions, clusters, ranks = read_ranks(tmp_path)
    assert np.array_equal(ranks.gallery, evaluation.ranks.gallery)
    assert np.array_equal(ranks.group, evaluation.ranks.group)
    assert clusters.tolist() == [str(c) for c in evaluation.clusters]
    assert questions[0] == (evaluation.queries[0].reference, evaluation.queries[0].target, evaluation.queries[0].text)
    every = list(csv.reader((tmp_path / "top3_all_selection.csv").read_text().splitlines()))
    correct = list(csv.reader((tmp_path / "top3_correct_selection.csv").read_text().splitlines()))
    assert every[0] == ["reference", "target", "selection 1", "selection 2", "selection 3"]
    assert len(every) == 25
    assert len(correct) == 1 + int((ranks.gallery < 3).sum())
    assert all(line[1] in line[2:] and line[0] not in line[2:] for line in correct[1:])


def test_trec_files_give_the_same_recall(tmp_path, evaluation):
    write_evaluation(tmp_path, evaluation, keep=5)
    targets = {line.split()[0]: line.split()[2] for line in (tmp_path / "qrels.trec").read_text().splitlines()}
    run = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert all(int(line[3]) <= 5 and line[1] == "Q0" for line in run)
    hits = sum(targets[line[0]] == line[2] for line in run)
    assert 100 * hits / len(targets) == pytest.approx(evaluation.ranks.metrics()["recall_at5"])
    scores = [float(line[4]) for line in run]
    assert all(a >= b for i, (a, b) in enumerate(itertools.pairwise(scores)) if (i + 1) % 5)


def test_keep_0_writes_no_selections(tmp_path, evaluation):
    write_evaluation(tmp_path, evaluation, keep=0)
    names = sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".manifest.json"))
    assert names == ["metrics.json", "ranks.csv"]


def test_a_target_outside_the_gallery_is_named_before_anything_is_encoded(model, corpus):
    names = corpus.galleries[Split.TEST]
    broken = dataclasses.replace(corpus, galleries={**corpus.galleries, Split.TEST: names[1:]})
    with pytest.raises(CorpusError, match=rf"query 0 .*{names[0]} is not in the gallery"):
        evaluate_model(model, broken)


def test_a_broken_picture_is_an_error(model, tmp_path):
    corpus = make_corpus(tmp_path)
    path = corpus.image_path(corpus.galleries[Split.TEST][2])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ImageError, match=path.name):
        evaluate_model(model, load_corpus(tmp_path))


def test_a_folder_of_seeds_is_read_as_one(tmp_path, evaluation):
    for seed in "01":
        write_evaluation(tmp_path / seed, evaluation, keep=0)
    questions, clusters, ranks = read_ranks(tmp_path)
    assert len(questions) == len(clusters) == 48
    assert ranks.metrics() == pytest.approx(evaluation.ranks.metrics())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "ranks not found; run"),
        ("a,b\n1,2\n", "no column 'reference'"),
        ("reference,target,text,cluster,rank,group_rank\na,b,t,c,x,\n", "not a number"),
    ],
)
def test_ranks_that_cannot_be_read(tmp_path, text, words):
    if text:
        (tmp_path / "ranks.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_ranks(tmp_path)


def test_paraphrases_are_further_wordings_of_the_same_pairs(tmp_path, model, corpus):
    evaluation = evaluate_model(model, corpus, key="human", paraphrases=("rules",))
    assert [q.text for q in evaluation.queries[:3]][1:] == ["Raise your left arm.", "Raise your left hand."]
    assert len(evaluation.queries) == 3 * len(corpus.split(Split.TEST))
    write_evaluation(tmp_path, evaluation, keep=0)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["wordings"]
    assert metrics["n"]["recall_at10_worst"] == 24
    assert metrics["recall_at1_worst"] <= metrics["recall_at1_mean"] <= metrics["recall_at1_best"]
    assert metrics["recall_at1_mean"] == pytest.approx(evaluation.ranks.metrics()["recall_at1"])


def test_paraphrases_that_no_pair_has(model, corpus):
    with pytest.raises(CorpusError, match="none of the pairs asked about has a text 'mllm'"):
        evaluate_model(model, corpus, paraphrases=("mllm",))
