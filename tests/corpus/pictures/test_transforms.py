from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autocompose.core.errors import ImageError
from autocompose.corpus.pictures import gate
from autocompose.corpus.pictures import transforms as images
from autocompose.corpus.pictures.transforms import CLIP_MEAN, CLIP_STD, Transform, open_image, pad_to_ratio, preprocess
from tests.fixtures.corpora import picture


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_mode_opens_as_rgb(tmp_path: Path, mode: str) -> None:
    kind = "tiff" if mode in ("CMYK", "I;16") else "png"
    image = Image.new("I;16", (8, 6), 300) if mode == "I;16" else picture(0, (8, 6)).convert(mode)
    image.save(tmp_path / f"x.{kind}")
    opened = open_image(tmp_path / f"x.{kind}")
    assert (opened.mode, opened.size) == ("RGB", (8, 6))


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0, (8, 6)).save(tmp_path / "x.jpg", exif=exif)
    assert open_image(tmp_path / "x.jpg").size == (6, 8)


def test_bad_pictures_are_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(ImageError, match=r"x.png: picture not found"):
        open_image(path)
    picture(0, (64, 64)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="the picture is damaged"):
        open_image(path)
    path.write_text("no picture")
    with pytest.raises(ImageError, match="not a picture in a known format"):
        open_image(path)
    path.write_bytes(whole)
    monkeypatch.setattr(gate, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match="64 x 64 pixels, more than 1,000"):
        open_image(path)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1.0, 1.25, 2.0]))
def test_padding_keeps_the_picture_in_the_middle(width: int, height: int, ratio: float) -> None:
    padded = np.asarray(pad_to_ratio(Image.new("RGB", (width, height), "white"), ratio))[..., 0]
    rows, columns = np.nonzero(padded)
    assert len(rows) == width * height
    assert abs(rows.min() - (padded.shape[0] - 1 - rows.max())) == 0
    assert abs(columns.min() - (padded.shape[1] - 1 - columns.max())) == 0
    long, short = max(padded.shape), min(padded.shape)
    assert max(width, height) / min(width, height) <= ratio or short >= long / ratio - 2  # two half pixels are cut off


@pytest.mark.parametrize("kind", list(Transform))
@pytest.mark.parametrize("size", [(40, 40), (64, 30), (20, 70)])
def test_every_transform_gives_a_normalised_square(kind: Transform, size: tuple[int, int]) -> None:
    tensor = preprocess(kind, 32)(Image.new("RGB", size, (255, 0, 128)))
    assert tuple(tensor.shape) == (3, 32, 32)
    middle = tensor[:, 16, 16].numpy()
    np.testing.assert_allclose(middle, (np.array([1, 0, 128 / 255]) - CLIP_MEAN) / CLIP_STD, atol=1e-5)
    corner = tensor[:, 0, 0].numpy()
    black = (0 - np.array(CLIP_MEAN)) / CLIP_STD
    assert np.allclose(corner, black, atol=1e-5) == (kind.value.endswith("pad") and size != (40, 40))


@pytest.mark.parametrize("size", [(40, 40), (64, 30), (20, 70), (33, 32)])
def test_square_is_the_papers_clip_and_stretch_is_ours(size: tuple[int, int]) -> None:
    """Their ``square`` resizes the short side and crops; a picture of two halves tells it from stretching."""
    image = picture(3, size)
    square, clip, stretch = (preprocess(k, 32)(image) for k in (Transform.SQUARE, Transform.CLIP, Transform.STRETCH))
    assert square.equal(clip)
    assert square.equal(stretch) == (size == (40, 40))
    assert {k.geometry for k in Transform} == set(Transform) - {Transform.SQUARE}


def test_bare_pixels_are_written_without_the_files_words(tmp_path: Path) -> None:
    picture(0, (8, 6)).save(tmp_path / "x.jpg", comment=b"SECRET", icc_profile=b"PROFILE")
    image = Image.open(tmp_path / "x.jpg")
    for kind in ("jpeg", "png", "webp"):
        images.bare(image).save(tmp_path / f"y.{kind}")
        assert not Image.open(tmp_path / f"y.{kind}").info.keys() & {"comment", "icc_profile"}
    assert image.info["comment"] == b"SECRET"  # the original is not touched
