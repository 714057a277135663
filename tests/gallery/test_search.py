from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from autocompose.core.errors import GalleryError, InputError
from autocompose.describe.side_words import swap_sides
from autocompose.gallery.answer import Reference
from autocompose.gallery.indexing.index import build
from autocompose.gallery.request import Step
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.vectors import normalise
from autocompose.gallery.understand import SUGGESTIONS, understand
from autocompose.model.bundled import FOLDER, NAME
from autocompose.model.embedders.naming import known_model
from tests.fixtures.corpora import make_corpus, picture
from tests.gallery.fakes import FakeModel, photos

TEXT = "Raise the left arm."


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """30 pictures, the first of them three times, and a corpus' worth of metadata."""
    folder = tmp_path_factory.mktemp("search")
    root = photos(folder / "photos", 30)
    shutil.copy(root / "b/00000.png", root / "twin.png")
    shutil.copy(root / "b/00000.png", root / "triplet.png")
    lines = [f"{'a' if i % 2 else 'b'}/{i:05d}.png,{'kick' if i % 3 else 'jump'}" for i in range(30)]
    (root / "metadata.csv").write_text("path,family\n" + "\n".join(lines), "utf-8")
    build(root, FakeModel(), folder / "g")
    return Gallery.open(folder / "g", FakeModel())


def features(gallery: Gallery, *, where: str = "") -> tuple[list[str], np.ndarray]:
    items = [i for i in gallery.store.items() if i.path not in ("twin.png", "triplet.png")]
    items = [i for i in items if not where or i.meta.get("family") == where]
    return [i.path for i in items], normalise(gallery.store.vectors([i.id for i in items]))


def order(gallery: Gallery, query: np.ndarray, *without: str, where: str = "") -> list[str]:
    names, vectors = features(gallery, where=where)
    return [names[i] for i in np.argsort(-(vectors @ query)) if names[i] not in without]


def paths(answer: object) -> list[str]:
    return [hit.item.path for hit in answer.hits]  # type: ignore[attr-defined]


def vector(gallery: Gallery, path: str) -> np.ndarray:
    return gallery.store.vectors([gallery.store.find(path)[0].id])[0]


def test_reference_and_text_is_the_composition_without_reference_and_its_twins(gallery: Gallery) -> None:
    answer = gallery.search(reference="b/00000.png", text=TEXT, k=40)
    query = FakeModel().compose(vector(gallery, "b/00000.png")[None], [TEXT])[0]
    assert paths(answer) == order(gallery, query, "b/00000.png")
    assert [hit.rank for hit in answer.hits] == list(range(1, 30))
    names, vectors = features(gallery)
    assert answer.hits[0].score == pytest.approx(float(vectors[names.index(paths(answer)[0])] @ query), abs=1e-5)


def test_text_only_and_picture_only_are_plain_features(gallery: Gallery) -> None:
    text = normalise(FakeModel().embed_texts([TEXT])[0])
    answer = gallery.search(text=f"  {TEXT} ", k=40)
    assert len(paths(answer)) == 30  # the three equal pictures are shown once
    assert [p for p in paths(answer) if not p.startswith("t")] == order(
        gallery, text, *({"b/00000.png"} - set(paths(answer)))
    )
    image = normalise(vector(gallery, "a/00003.png"))
    assert paths(gallery.search(reference="a/00003.png", k=10)) == order(gallery, image, "a/00003.png")[:10]


@pytest.mark.parametrize("source", ["key", "path", "file", "inside", "picture", "hit"])
def test_every_way_to_name_a_reference_gives_the_same(gallery: Gallery, tmp_path: Path, source: str) -> None:
    path = "a/00005.png"
    item = gallery.store.find(path)[0]
    file = shutil.copy(gallery.picture_path(item), tmp_path / "mine.png")
    references = {
        "key": item.key, "path": path, "file": file, "inside": gallery.picture_path(item),
        "picture": Image.open(file), "hit": item,
    }  # fmt: skip
    expected = paths(gallery.search(reference=item.key, text=TEXT, k=5))
    answer = gallery.search(reference=references[source], text=TEXT, k=6)
    assert [p for p in paths(answer) if p != path][:5] == expected
    assert (path in paths(answer)) <= (source == "picture")  # of a bare picture no duplicates can be known


def test_mirrored_query_flips_the_picture_and_the_text(gallery: Gallery) -> None:
    item = gallery.store.find("a/00005.png")[0]
    flipped = ImageOps.mirror(gallery.open_picture(item))
    expected = gallery.search(reference=flipped, text=swap_sides(TEXT), k=40)
    answer = gallery.search(reference=item, text=TEXT, mirror=True, k=40)
    assert answer.text == "Raise the right arm."
    assert paths(answer) == [p for p in paths(expected) if p != item.path]


def test_weight_goes_from_the_picture_over_the_composition_to_the_text(gallery: Gallery) -> None:
    def best(weight: float) -> list[str]:
        return paths(gallery.search(reference="a/00003.png", text=TEXT, weight=weight, k=40))

    image, text = normalise(vector(gallery, "a/00003.png")), normalise(FakeModel().embed_texts([TEXT])[0])
    assert best(0) == order(gallery, image, "a/00003.png")
    assert best(1) == order(gallery, text, "a/00003.png")
    both = FakeModel().compose(vector(gallery, "a/00003.png")[None], [TEXT])[0]
    assert best(0.25) == order(gallery, image / 2 + both / 2, "a/00003.png")
    assert best(0.75) == order(gallery, text / 2 + both / 2, "a/00003.png")


def test_filters(gallery: Gallery) -> None:
    answer = gallery.search(text=TEXT, where={"family": ("jump",)}, k=40)
    assert paths(answer) == order(gallery, normalise(FakeModel().embed_texts([TEXT])[0]), where="jump")
    with pytest.raises(InputError, match="no such column"):
        gallery.search(text=TEXT, where={"colour": ("jump",)})


def test_more_like_these_less_like_those(gallery: Gallery) -> None:
    liked, disliked = (gallery.store.find(p)[0] for p in ("a/00007.png", "b/00008.png"))
    plain = gallery.search(text=TEXT, k=40)
    answer = gallery.search(text=TEXT, like=[liked.key], unlike=[disliked.key], k=40)
    assert paths(answer).index(liked.path) < paths(plain).index(liked.path)
    assert disliked.path not in paths(answer)
    assert paths(gallery.search(like=[liked.key]))[0] == liked.path


def test_an_answer_gives_its_hits_one_by_one(gallery: Gallery) -> None:
    answer = gallery.search(text=TEXT, k=3)
    assert [hit.item.path for hit in answer] == paths(answer) and len(paths(answer)) == 3


def test_steps_leave_a_trail(gallery: Gallery) -> None:
    first = gallery.search(reference="a/00003.png", text=TEXT)
    second = gallery.search(reference=first.hits[0], text="Bend your knees.", trail=first.trail)
    start = gallery.store.find("a/00003.png")[0].key
    assert second.trail == (Step(start, TEXT), Step(first.hits[0].item.key, "Bend your knees."))
    assert second.record()["trail"][1] == {"reference": first.hits[0].item.key, "text": "Bend your knees."}


def test_left_as_seen_means_the_right_of_who_faces_us(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    joints = corpus.poses.joints
    joints[:, [1, 16], 0], joints[:, [2, 17], 0] = 0.2, -0.2  # all face the camera ...
    joints[0] *= [-1, 1, -1]  # ... but one
    corpus.save()
    build(corpus.root, FakeModel(), tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g", FakeModel())
    facing, away = corpus.poses.names[1], corpus.poses.names[0]
    assert gallery.search(reference=facing, text=TEXT, sides="seen").text == "Raise the right arm."
    assert gallery.search(reference=away, text=TEXT, sides="seen").text == TEXT
    assert gallery.search(reference=facing, text=TEXT, sides="seen", mirror=True).text == TEXT
    guess = gallery.search(text=TEXT, sides="seen")
    assert guess.text == "Raise the right arm." and "assumed to face the camera" in guess.notes[0]
    assert gallery.search(reference=facing, text=TEXT).notes == ()


def test_bad_questions(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no")
    for wrong, message in (
        ({}, "nothing to search for"),
        ({"text": " \n"}, "nothing to search for"),
        ({"text": TEXT, "k": 0}, "k = 0"),
        ({"text": TEXT, "weight": 1.5}, "weight = 1.5"),
        ({"reference": "nowhere.png"}, "nowhere.png: neither a picture of the gallery nor a file"),
        ({"reference": "0" * 15}, "not in the gallery"),
        ({"reference": tmp_path / "x.png"}, "not a picture"),
        ({"text": TEXT, "like": ["../../etc"]}, "etc: not in the gallery"),
        ({"text": TEXT, "like": "a\x00b"}, "not in the gallery"),
        ({"reference": 7}, "7: not in the gallery"),
        ({"reference": "x" * 5000}, "neither a picture of the gallery nor a file"),
    ):
        with pytest.raises(InputError, match=message):
            gallery.search(**wrong)
    with pytest.raises(InputError, match="magic"):
        gallery.search(text=TEXT, engine="magic")


def test_an_item_may_be_named_in_every_way(gallery: Gallery) -> None:
    hit = gallery.search(reference="a/00003.png", k=1).hits[0]
    names = (hit, hit.item, hit.item.id, np.int64(hit.item.id), hit.item.key, hit.item.path, Path(hit.item.path))
    for name in (*names, gallery.picture_path(hit.item)):
        assert gallery.item(name) == hit.item
        assert gallery.reference(name).item == hit.item
        for one in ({"like": name}, {"like": [name]}):
            assert gallery.search(text=TEXT, **one).hits == gallery.search(text=TEXT, like=[hit.item.key]).hits
        assert hit.item not in [h.item for h in gallery.search(text=TEXT, unlike=name)]


def test_a_filter_takes_one_value_or_several(gallery: Gallery) -> None:
    one, many = (gallery.search(text=TEXT, where={"family": values}) for values in ("jump", ("jump",)))
    assert one.hits == many.hits and {hit.item.meta["family"] for hit in one.hits} == {"jump"}


def test_another_model_and_no_model(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match=r"made with model \? \(fake\), not with this one \(other\)"):
        Gallery.open(gallery.folder, FakeModel("other"))
    without = Gallery.open(gallery.folder)
    assert without.search(reference="a/00003.png").hits  # needs only what is stored
    with pytest.raises(GalleryError, match=r"with --model, or index .* again into another folder, or search with"):
        without.search(text=TEXT)


def test_a_gallery_of_small_v1_says_how_to_index_again(tmp_path: Path) -> None:
    """Its model left the package when small-v2 came."""
    root = photos(tmp_path / "photos", 3)
    build(root, FakeModel("small-v1"), tmp_path / "g", model_name=tmp_path / "package/model/small-v1")
    old = Gallery.open(tmp_path / "g")
    assert old.search(reference="a/00001.png").hits
    for fails in (
        lambda: old.search(text=TEXT),
        lambda: Gallery.open(tmp_path / "g", FakeModel("small-v2")),
        lambda: build(root, FakeModel("small-v2"), tmp_path / "g"),
    ):
        with pytest.raises(GalleryError, match=r"small-v1.*index the pictures again into another folder") as error:
            fails()
        assert "\n" not in str(error.value)


def test_the_packages_own_model_is_known_wherever_the_package_lies(tmp_path: Path) -> None:
    assert known_model(f"/old/place/model/{FOLDER.name}") == known_model(NAME) == NAME
    assert known_model(str(tmp_path)) == str(tmp_path) and known_model("pretrained:x") == "pretrained:x"
    assert known_model("/old/place/model/small-v1") is known_model("") is None


def test_a_picture_that_left_the_folder_is_not_served(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3)
    build(root, FakeModel(), tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g", FakeModel())
    item = gallery.store.find("a/00001.png")[0]
    picture(5).save(tmp_path / "secret.png")
    (root / "a/00001.png").unlink()
    (root / "a/00001.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(GalleryError, match="no longer in"):
        gallery.picture_path(item)


def test_every_suggestion_is_understood() -> None:
    for phrase in SUGGESTIONS:
        assert understand(phrase).parts, phrase
    assert understand(SUGGESTIONS[0]).parts[0].who == "left arm"
    assert understand("").warning is None
    assert "No body part" in (understand("blue sky over Berlin").warning or "")


def test_a_mirrored_reference_is_decoded_and_embedded_once(gallery: Gallery) -> None:
    """An item and a picture from elsewhere, such as an upload."""
    opened = Gallery(gallery.folder, gallery.config, gallery.store, model := FakeModel())
    item = next(gallery.store.items())
    loads = []

    def load() -> Image.Image:
        loads.append(1)
        return gallery.open_picture(item)

    for reference in (item, Reference(load, digest="5" * 64)):
        before = model.pictures
        answers = [
            opened.search(reference=reference, text=text, mirror=True, engine="learned") for text in (TEXT, "x", TEXT)
        ]
        assert model.pictures == before + 1
        assert [hit.item.id for hit in answers[0]] == [hit.item.id for hit in answers[2]]
    assert len(loads) == 1
