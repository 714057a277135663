"""Which engine answers, and how both scores are added."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from autocompose.bodies.skeleton import mirror_joints
from autocompose.core.errors import GalleryError, InputError
from autocompose.evaluate.fusion import Weights
from autocompose.evaluate.symbolic import rank, rank_states
from autocompose.gallery.answer import Reference
from autocompose.gallery.indexing.index import build
from autocompose.gallery.search import Gallery
from tests.fixtures.corpora import make_corpus
from tests.gallery.fakes import FakeModel

TEXT = "Raise your left hand."


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """20 pictures, the last of which has no pose."""
    folder = tmp_path_factory.mktemp("symbolic")
    corpus = make_corpus(folder / "corpus")
    rows = np.arange(19)
    table = corpus.poses
    type(table)(table.names[:19], table.joints[rows], table.yaw[rows], {"cube": table.columns["cube"][rows]}).save(
        corpus.root / "poses.npz"
    )
    build(corpus.root, FakeModel(), folder / "g")
    opened = Gallery.open(folder / "g", FakeModel())
    yield opened
    opened.close()


def expected(gallery: Gallery, reference: str, text: str, *, mirror: bool = False) -> list[int]:
    posed = gallery.store.poses()
    item = gallery.store.find(reference)[0]
    pose = mirror_joints(item.joints) if mirror else item.joints
    scores = rank(text, pose, posed.joints)
    return [int(i) for i in posed.ids[np.argsort(-scores, kind="stable")] if i != item.id]


def ids(answer: object) -> list[int]:
    return [hit.item.id for hit in answer.hits]  # type: ignore[attr-defined]


def test_ranks_the_poses_for_the_text_applied_to_the_reference(gallery: Gallery) -> None:
    answer = gallery.search(reference="c001/0.png", text=TEXT, engine="symbolic", k=50)
    assert ids(answer) == expected(gallery, "c001/0.png", TEXT) and len(answer.hits) == 18
    mirrored = gallery.search(reference="c001/0.png", text=TEXT, engine="symbolic", mirror=True, k=50)
    assert ids(mirrored) == expected(gallery, "c001/0.png", "Raise your right hand.", mirror=True)
    some = gallery.search(reference="c001/0.png", text=TEXT, engine="symbolic", where={"cube": ("2",)}, k=50)
    assert {hit.item.meta["cube"] for hit in some.hits} == {2}


@pytest.mark.parametrize("mirror", [False, True])
def test_without_a_text_poses_like_that_of_the_reference(gallery: Gallery, mirror: bool) -> None:
    """So that the page can go on from a result before the next text is written."""
    alike = gallery.search(reference="c001/0.png", engine="symbolic", mirror=mirror, k=50)
    assert ids(alike) == expected(gallery, "c001/0.png", "", mirror=mirror)


def test_needs_no_model(gallery: Gallery) -> None:
    without = Gallery.open(gallery.folder)
    assert without.model is None
    for engine in ("symbolic", "auto"):
        answer = without.search(reference="c001/0.png", text=TEXT, engine=engine)
        assert ids(answer) == expected(gallery, "c001/0.png", TEXT)[:24] and answer.engine == "symbolic"
    assert answer.why == "the gallery's model was not found"
    alike = without.search(reference="c001/0.png", k=50)  # the vectors of both are stored
    assert alike.engine == "learned + symbolic" and len(alike.hits) == 19
    for question in ({"text": TEXT, "engine": "learned"}, {"text": "blue sky"}):
        with pytest.raises(GalleryError, match=r"its model .* was not found"):
            without.search(reference="c001/0.png", **question)


@pytest.mark.parametrize(("text", "mirror"), [(TEXT, False), (TEXT, True), ("", False)])
def test_auto_adds_both_scores(gallery: Gallery, text: str, mirror: bool) -> None:
    question = {"reference": "c001/0.png", "text": text, "mirror": mirror, "k": 50}
    learned = {hit.item.id: hit.score for hit in gallery.search(engine="learned", **question)}
    symbolic = {hit.item.id: hit.score for hit in gallery.search(engine="symbolic", **question)}
    auto = gallery.search(**question)
    weights = Weights()
    both = {i: weights.cosine * learned[i] + weights.symbolic * symbolic[i] for i in symbolic}
    assert auto.engine == "learned + symbolic" and auto.why.endswith("and 18 items have a pose")
    assert ids(auto)[:-1] == sorted(both, key=lambda i: -both[i])
    assert [hit.score for hit in auto][:-1] == pytest.approx([both[i] for i in ids(auto)[:-1]], abs=1e-3)
    assert auto.hits[-1].item.pose is None and auto.hits[-1].score < auto.hits[-2].score


def test_the_models_card_decides_how_both_scores_are_added(gallery: Gallery) -> None:
    model = FakeModel()
    model.card = {"fusion": {"cosine": 0.0, "symbolic": 1.0}}
    opened = Gallery(gallery.folder, gallery.config, gallery.store, model)
    auto = opened.search(reference="c001/0.png", text=TEXT, k=50)
    assert ids(auto)[:-1] == expected(gallery, "c001/0.png", TEXT)


def test_auto_says_why_the_model_answers_alone(gallery: Gallery) -> None:
    without = next(i for i in gallery.store.items() if i.pose is None)
    for question, why in (
        ({"reference": without, "text": TEXT}, "the pose of the reference is not known"),
        ({"reference": "c001/0.png", "text": "blue sky"}, "nothing was understood in 'blue sky'"),
        ({"reference": "c001/0.png", "text": TEXT, "where": {"cube": "77"}}, "no item with these filters has a pose"),
        ({"like": "c001/0.png"}, "there is neither a text nor a reference picture"),
    ):
        answer = gallery.search(k=50, **question)
        assert answer.engine == "learned" and why in answer.why
        learned = gallery.search(k=50, engine="learned", **question)
        assert learned.why == "as asked" and sorted(ids(learned)) == sorted(ids(answer))
        record = answer.record()
        assert (record["engine"], record["why"]) == ("learned", answer.why)


def test_pictures_without_a_person_come_last_when_the_question_is_about_a_pose(gallery: Gallery) -> None:
    without = next(i for i in gallery.store.items() if i.pose is None)
    reference = Reference(gallery.reference(without).load)  # the same picture from elsewhere, whose pose is not known
    about_pose = gallery.search(reference=reference, text=TEXT, weight=0.05, k=50)
    assert about_pose.hits[-1].item == without and about_pose.engine == "learned"
    other = gallery.search(reference=reference, text="blue sky", weight=0.05, k=50)
    assert other.hits[0].item == without


def test_the_weight_moves_the_balance_or_says_that_it_has_none(gallery: Gallery) -> None:
    question = {"reference": "c001/0.png", "text": TEXT, "k": 50}
    model = FakeModel()
    model.card = {"fusion": {"cosine": 1000.0, "symbolic": 1.0}}
    opened = Gallery(gallery.folder, gallery.config, gallery.store, model)
    best = {w: ids(opened.search(weight=w, **question)) for w in (0.0, 0.5, 1.0)}
    assert len({tuple(order) for order in best.values()}) == 3
    assert any("weight has no effect" in note for note in gallery.search(text=TEXT, weight=0.7).notes)
    poses = {w: ids(gallery.search(engine="symbolic", weight=w, **question)) for w in (0.0, 0.5, 1.0)}
    assert poses[0.0] == expected(gallery, "c001/0.png", "")
    assert len({tuple(order) for order in poses.values()}) == 3


def test_states_are_searched_without_a_reference(gallery: Gallery) -> None:
    answer = gallery.search(text=TEXT, engine="symbolic", k=3)
    posed = gallery.store.poses()
    assert ids(answer) == posed.ids[np.argsort(-rank_states(TEXT, posed.joints), kind="stable")][:3].tolist()
    assert gallery.search(text=TEXT, k=3).engine == "learned + symbolic"


def test_what_the_symbolic_engine_cannot_do(gallery: Gallery) -> None:
    without = next(i for i in gallery.store.items() if i.pose is None)
    for question, message in (
        ({"reference": "c001/0.png", "text": "blue sky"}, "nothing was understood in 'blue sky'"),
        ({"reference": "c001/0.png", "text": TEXT, "where": {"cube": ("77",)}}, "no item with these filters"),
        ({"reference": without, "text": TEXT}, "the pose of the reference is not known"),
    ):
        with pytest.raises(InputError, match=message):
            gallery.search(engine="symbolic", **question)


def test_blend_says_what_to_use(gallery: Gallery) -> None:
    with pytest.raises(InputError, match=r"engine = 'blend': blend is no more; auto, the default, adds the scores"):
        gallery.search(reference="c001/0.png", text=TEXT, engine="blend")
