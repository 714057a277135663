"""Searching by poses, alone and blended."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from autocompose.bodies.skeleton import mirror_joints
from autocompose.core.errors import GalleryError, InputError
from autocompose.evaluate.symbolic import rank
from autocompose.gallery.indexing.index import build
from autocompose.gallery.rank import fuse
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
    ids, joints, _ = gallery.store.poses()
    item = gallery.store.find(reference)[0]
    pose = mirror_joints(item.joints) if mirror else item.joints
    scores = rank(text, pose, joints)
    return [int(i) for i in ids[np.argsort(-scores, kind="stable")] if i != item.id]


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
    assert len(list(gallery.search(reference="c001/0.png", engine="blend", k=50))) == 19


def test_needs_no_model(gallery: Gallery) -> None:
    without = Gallery.open(gallery.folder)
    assert without.model is None
    assert (
        ids(without.search(reference="c001/0.png", text=TEXT, engine="symbolic"))
        == (expected(gallery, "c001/0.png", TEXT)[:20])
    )
    with pytest.raises(GalleryError, match="--engine symbolic"):
        without.search(reference="c001/0.png", text=TEXT, engine="blend")


def test_blend_fuses_both_rankings(gallery: Gallery) -> None:
    learned = gallery.search(reference="c001/0.png", text=TEXT, k=50)
    symbolic = gallery.search(reference="c001/0.png", text=TEXT, engine="symbolic", k=50)
    blend = gallery.search(reference="c001/0.png", text=TEXT, engine="blend", k=50)
    both, scores = fuse(np.array(ids(learned)), np.array(ids(symbolic)))
    assert ids(blend) == both.tolist()
    assert [hit.score for hit in blend.hits] == pytest.approx(scores.tolist())


def test_an_unknown_pose_is_that_of_the_most_similar_picture(gallery: Gallery) -> None:
    without = next(i for i in gallery.store.items() if i.joints is None)
    answer = gallery.search(reference=without, text=TEXT, engine="symbolic", k=50)
    nearest = next(h.item for h in gallery.search(reference=without, k=50).hits if h.item.joints is not None)
    assert answer.notes == (
        f"The reference's pose is not known; that of the most similar picture, {nearest.path}, was used.",
    )
    ids_, joints, _ = gallery.store.poses()
    order = ids_[np.argsort(-rank(TEXT, nearest.joints, joints), kind="stable")]
    assert ids(answer) == order.tolist()


def test_what_the_symbolic_engine_cannot_do(gallery: Gallery) -> None:
    for question, message in (
        ({"text": TEXT}, "needs a reference picture"),
        ({"reference": "c001/0.png", "text": "blue sky"}, "understands nothing in 'blue sky'"),
        ({"reference": "c001/0.png", "text": TEXT, "where": {"cube": ("77",)}}, "no item with these filters"),
    ):
        with pytest.raises(InputError, match=message):
            gallery.search(engine="symbolic", **question)
