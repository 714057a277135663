from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from autocompose.bodies.skeleton import COCO17
from autocompose.core.errors import ConfigError
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.asking.sent_pictures import COLOURS, Pictures
from autocompose.describe.mllm.asks import Item, Picture
from autocompose.describe.mllm.recipe import Recipe
from tests.simulator.figures import read_number


def pictures(corpus: Corpus, **recipe: object) -> Pictures:
    return Pictures(corpus, Recipe.parse({"model": "m", "size": 256, **recipe}))


def item(corpus: Corpus, edit: Edit = Edit.PLAIN) -> Item:
    pair = corpus.pairs[Split.TRAIN][0]
    return Item(pair.reference, pair.target, edit)


def decoded(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


@pytest.mark.parametrize(
    ("edit", "numbers"),
    [
        (Edit.PLAIN, [(0, False), (4, False)]),
        (Edit.REVERSE, [(4, False), (0, False)]),
        (Edit.MIRROR, [(0, True), (4, True)]),
        (Edit.MIRROR_REVERSE, [(4, True), (0, True)]),
    ],
)
def test_each_edit_shows_the_right_pictures(corpus: Corpus, edit: Edit, numbers: list[tuple[int, bool]]) -> None:
    assert [read_number(decoded(p)) for p in pictures(corpus).of(item(corpus, edit))] == numbers


@pytest.mark.parametrize("mirrored", [False, True])
def test_tints_mark_the_persons_own_sides_also_in_the_mirrored_picture(corpus: Corpus, mirrored: bool) -> None:
    """In the mirrored picture the tints must be assigned anew: its left arm is the other arm."""
    made = pictures(corpus)
    name = corpus.pairs[Split.TRAIN][0].reference
    tinted = np.asarray(made.image(name, mirrored, True), float)
    assert corpus.poses is not None
    points = corpus.poses.columns["coco2d"][0]
    for side in ("left", "right"):
        x, y = points[COCO17.index(f"{side}_knee")]
        shown = {"left": "right", "right": "left"}[side] if mirrored else side
        pixel = tinted[round(y), round(255 - x if mirrored else x)]
        distance = {name: np.abs(pixel - colour).sum() for name, colour in COLOURS.items()}
        assert min(distance, key=distance.__getitem__) == shown


@pytest.mark.parametrize("stored", ["PNG", "JPEG"])
@pytest.mark.parametrize("frame", ["colour", "words"])
def test_metadata_never_leaves(corpus: Corpus, stored: str, frame: str) -> None:
    path = corpus.image_path(corpus.pairs[Split.TRAIN][0].reference)
    image = Image.open(path).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "SECRET PLACE"
    exif.get_ifd(0x8825)[1] = "N"
    image.save(path, stored, exif=exif, comment=b"SECRET NAME", icc_profile=b"SECRET CAMERA")
    assert path.read_bytes().count(b"SECRET") == (3 if stored == "JPEG" else 1)  # PNG packs the profile
    assert Image.open(path).info["icc_profile"] == b"SECRET CAMERA"
    for kind in ("jpeg", "png"):
        sent = pictures(corpus, format=kind, frame=frame).of(item(corpus))[0]
        assert b"SECRET" not in sent.data and not decoded(sent).getexif()
        assert not decoded(sent).info.keys() & {"comment", "icc_profile", "exif"}


def test_the_exif_rotation_is_applied(corpus: Corpus) -> None:
    path = corpus.image_path(corpus.pairs[Split.TRAIN][0].reference)
    upright = Image.open(path).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 3
    upright.rotate(180).save(path, "PNG", exif=exif)
    assert read_number(decoded(pictures(corpus, frame="words").of(item(corpus))[0])) == (0, False)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_keypoints_are_those_of_the_upright_picture_however_it_is_stored(corpus: Corpus, orientation: int) -> None:
    made = item(corpus)
    path = corpus.image_path(made.reference)
    wide = Image.new("RGB", (400, 100), "white")
    turns = {1: 0, 3: 180, 6: 90, 8: 270}  # anticlockwise, what the viewer undoes
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide.rotate(turns[orientation], expand=True).save(path, "PNG", exif=exif)
    assert corpus.poses is not None
    points = np.full((17, 2), 50.0)
    points[:, 0] = 120.0  # a body in the left part of the upright picture ...
    points[COCO17.index("left_wrist"), 0] = 160.0  # ... whose left hand is at the picture's right
    known = corpus.poses.columns["coco2d"].copy()
    known[corpus.poses.index()[made.reference]] = points
    poses = replace(corpus.poses, columns={**corpus.poses.columns, "coco2d": known})
    shown = pictures(replace(corpus, poses=poses), frame="words")
    assert shown.left_hand_side(made) == "image_right"
    scaled = shown.keypoints(made.reference, False, (200, 50), shown._stored(made.reference))
    np.testing.assert_allclose(scaled, points / 2)


def test_side_by_side_is_one_picture(corpus: Corpus) -> None:
    (one,) = pictures(corpus, pictures="side-by-side").of(item(corpus))
    image = decoded(one)
    assert image.size == (256 * 2 + 16, 256)
    assert read_number(image.crop((0, 0, 256, 256))) == (0, False)
    assert read_number(image.crop((272, 0, 528, 256))) == (4, False)


def test_size_limits_the_longest_side(corpus: Corpus) -> None:
    assert decoded(pictures(corpus, size=128).of(item(corpus))[0]).size == (128, 128)
    assert decoded(pictures(corpus, size=512).of(item(corpus))[0]).size == (256, 256)


def test_blurred_faces_lose_their_detail(corpus: Corpus) -> None:
    assert corpus.poses is not None
    name = corpus.pairs[Split.TRAIN][0].reference
    x, y = corpus.poses.columns["coco2d"][0][0].round().astype(int)
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    image = Image.open(corpus.image_path(name)).convert("RGB")
    image.paste(Image.fromarray(noise), (int(x) - 8, int(y) - 8))
    image.save(corpus.image_path(name))
    box = (int(x) - 6, int(y) - 6, int(x) + 6, int(y) + 6)
    sharp, blurred = (
        np.asarray(pictures(corpus, frame="words", blur_faces=blur).image(name, False, False).crop(box), float).std()
        for blur in (False, True)
    )
    assert blurred < 0.3 * sharp


def test_inputs_change_with_the_picture_and_the_pose(corpus: Corpus) -> None:
    before = pictures(corpus).inputs(item(corpus))
    assert pictures(corpus).inputs(item(corpus)) == before
    assert corpus.poses is not None
    corpus.poses.columns["coco2d"][0, 0, 0] += 1
    changed = pictures(corpus).inputs(item(corpus))
    corpus.poses.columns["coco2d"][0, 0, 0] -= 1
    assert changed != before


@pytest.mark.parametrize(
    "recipe", [{"frame": "colour"}, {"frame": "words", "joints": True}, {"frame": "words", "blur_faces": True}]
)
def test_aids_without_keypoints_are_refused_with_the_remedy(corpus: Corpus, recipe: dict) -> None:
    assert corpus.poses is not None
    bare = type(corpus)(corpus.root, corpus.pairs, corpus.galleries, None)
    with pytest.raises(ConfigError, match=r"needs the column 'coco2d'.*--frame picture"):
        pictures(bare, **recipe)
    assert pictures(bare, frame="picture").of(item(corpus))
