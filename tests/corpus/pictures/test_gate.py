"""Every picture of the program passes one gate: what is sound opens as viewers show it, all else is one line."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from autocompose.core.errors import BusyError, ImageError
from autocompose.corpus.pictures import formats, gate, headers
from autocompose.corpus.pictures.budget import Budget
from autocompose.corpus.pictures.colour import BACKGROUND, scaled, to_rgb
from autocompose.corpus.pictures.gate import Bounds, OversizeError, Picture, as_rgb, image_size, open_image
from tests.fixtures.corpora import picture
from tests.fixtures.odd_pictures import ODD_EXIF, cut_out, mutations, png_chunk, png_head, saved, scan_bomb, tiff_tags


@pytest.mark.parametrize("name", ODD_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_data_do_not_touch_the_pixels(name: str, kind: str) -> None:
    exif, orientation = ODD_EXIF[name]
    plain = picture(3, (24, 16))
    data = saved(plain, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = Image.open(io.BytesIO(saved(plain, kind, **({"lossless": True} if kind == "WEBP" else {})))).convert(
        "RGB"
    )
    if orientation == 6:
        expected = expected.transpose(Image.Transpose.ROTATE_270)
    opened = open_image(data)
    assert opened.size == image_size(data)
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_every_orientation_is_turned_upright_as_pillow_does(orientation: int, kind: str) -> None:
    if kind == "AVIF" and not formats.has_avif():
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(5, (30, 20)), kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    opened = open_image(data)
    assert image_size(data) == opened.size == expected.shape[1::-1]
    np.testing.assert_array_equal(np.asarray(opened), expected)
    np.testing.assert_array_equal(np.asarray(as_rgb(Image.open(io.BytesIO(data)))), expected)


def test_deep_greys_keep_their_shades() -> None:
    board = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((8, 8)))
    for top in (255, 900, 4095, 16000, 53000, 65535):
        grey = np.asarray(open_image(saved(Image.fromarray((board * top).astype(np.uint16)), "PNG")))
        assert grey.min() == 0 and grey.max() > 127, top
    for values in (board, board * 255, board * 9e6 - 4e6, board * 1e-4):
        shown = np.asarray(to_rgb(Image.fromarray(values.astype(np.float32))))
        assert shown[..., 0].std() > 0 or values.max() < 1e-3
    holes = board.astype(np.float32)
    holes[0, :3] = np.nan, np.inf, -np.inf
    assert np.asarray(scaled(holes)).max() == 255
    signed = np.asarray(to_rgb(Image.fromarray((board * 500 - 250).astype(np.int32))))
    assert (signed.min(), signed.max()) == (0, 255)
    for mode in ("I;16", "I;16B", "I", "F"):
        assert to_rgb(Image.new(mode, (3, 2), 7)).mode == "RGB"


def test_hidden_colours_of_transparent_pixels_do_not_count() -> None:
    rng = np.random.default_rng(0)
    views = [np.asarray(open_image(saved(cut_out(h), "PNG"))) for h in (0, 255, rng.integers(0, 255, (60, 40, 3)))]
    for view in views:
        np.testing.assert_array_equal(view, views[0])
    assert tuple(views[0][0, 0]) == BACKGROUND and tuple(views[0][30, 20]) == (200, 120, 60)
    palette = picture(2, (8, 8)).quantize(16)
    clear = open_image(saved(palette, "PNG", transparency=bytes(16)))
    assert clear.getcolors() == [(64, BACKGROUND)]
    for mode in ("LA", "La", "PA", "RGBa"):
        assert (
            to_rgb(Image.new("RGBA", (2, 2)).convert("LA" if mode[0] in "LP" else "RGBA").convert(mode)).mode == "RGB"
        )
    key = open_image(saved(Image.new("RGB", (2, 2), (9, 8, 7)), "PNG", transparency=(9, 8, 7)))
    assert key.getpixel((0, 0)) == BACKGROUND
    small = open_image(saved(cut_out(255).resize((400, 600)), "PNG"), side=60)  # no light seam when made smaller
    assert small.size == (40, 60) and np.asarray(small)[:, 8].max() <= max(BACKGROUND) + 1


def test_what_is_read_is_known_by_its_content(tmp_path: Path) -> None:
    image = picture(1, (20, 20))
    kinds = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "MPO"] + ["AVIF"] * formats.has_avif()
    for kind in kinds:
        (tmp_path / "x.jpg").write_bytes(saved(image, kind))
        assert open_image(tmp_path / "x.jpg").size == (20, 20), kind
    frames = saved(image, "GIF", save_all=True, append_images=[picture(2, (20, 20))])
    assert open_image(frames).size == (20, 20)
    assert open_image(saved(image.convert("CMYK"), "JPEG")).mode == "RGB"
    assert open_image(saved(image.convert("LAB"), "TIFF")).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"hello", "not a picture in a known format"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),  # no other program is started
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(50), "camera's raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(50), "camera's raw file"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(50), "camera's raw file"),
        (b"IIU\0\x08\0\0\0" + bytes(50), "camera's raw file"),
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"8BPS\0\1" + bytes(50), "Photoshop"),
        (png_head(4, 4), "damaged"),
        (png_head(60_000, 60_000) + png_chunk(b"IDAT", zlib.compress(b"\0" * 99)), "60000 x 60000 pixels, more than"),
        (saved(picture(1, (64, 64)), "JPEG")[:600], "damaged"),
    ],
)
def test_what_is_not_read_is_one_line_that_says_why(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_heic_picture_is_read_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    with pytest.raises(ImageError, match="needs the package pillow-heif"):
        open_image(data)


def test_the_preview_of_a_raw_file_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    data = saved(picture(1), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(ImageError, match="camera's raw file"):
        open_image(data)
    (tmp_path / "x.NEF").write_bytes(saved(picture(1), "TIFF"))
    with pytest.raises(ImageError, match="camera's raw file"):
        open_image(tmp_path / "x.NEF")
    assert formats.unread_reason(".NEF").startswith("camera raw") and not formats.unread_reason(".JFIF")
    assert formats.unread_reason(".jxl").startswith("format that") and not formats.unread_reason(".txt")


def test_what_cannot_be_opened_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, reason in (
        (tmp_path, "not a file"),
        (tmp_path / "pipe.jpg", "not a file"),
        (tmp_path / ("x" * 300), "name is too long"),
        (tmp_path / "a\0b", "null"),
        (tmp_path / "none" / "x.jpg", "not found"),
    ):
        with pytest.raises(ImageError, match=reason):
            open_image(path)

    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(ImageError, match=r"x\.jpg: no permission to read it"):
        open_image(tmp_path / "x.jpg")


def test_the_programs_own_bound_is_the_only_one(recwarn: pytest.WarningsRecorder) -> None:
    def pale(width: int, height: int) -> bytes:
        rows = zlib.compress(b"\0" * (height * (1 + width // 8)), 1)
        return png_head(width, height) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")

    assert open_image(pale(9_600, 9_800), side=100).size == (98, 100)  # Pillow would warn from 89 megapixels on
    with pytest.raises(OversizeError, match="16000 x 16000 pixels, more than 100,000,000; make it smaller"):
        open_image(pale(16_000, 16_000))
    assert not recwarn.list


def test_a_scan_bomb_is_refused_before_it_is_decoded() -> None:
    start = time.process_time()
    bomb = scan_bomb(600, (1200, 900))
    with pytest.raises(OversizeError, match=r"in 6\d\d scans take too long"):
        open_image(bomb)
    assert time.process_time() - start < 5  # decoding it takes a minute
    assert open_image(scan_bomb(3)).size == (64, 48)
    with pytest.raises(OversizeError, match=r"in 1\d scans"):
        open_image(saved(picture(1, (64, 48)), "JPEG", progressive=True), bounds=Bounds(work=64 * 48 * 5))


def test_scans_are_counted_in_the_picture_only() -> None:
    data = saved(picture(1, (64, 48)), "JPEG", progressive=True)
    film = bytes(range(256)) + b"\xff\xda" * 500  # a phone's film behind the picture
    assert headers.read_jpeg(data).scans == headers.read_jpeg(data + film).scans < 20
    assert open_image(data + film).size == (64, 48)
    assert headers.read_jpeg(scan_bomb(200)).scans > 200


def test_structures_of_millions_of_pieces_are_not_walked() -> None:
    jpeg = saved(picture(1), "JPEG")
    many = jpeg[:2] + b"\xff\xfe\0\2" * 500_000 + jpeg[2:]
    png = saved(picture(1), "PNG")
    chunks = png[:33] + png_chunk(b"teSt", b"") * 300_000 + png[33:]
    start = time.process_time()
    for data in (many, chunks):
        with pytest.raises(OversizeError, match=r"segments|chunks"):
            open_image(data)
    assert time.process_time() - start < 3


def test_metadata_of_a_jpeg_never_reach_the_decoder() -> None:
    photo = picture(1, (40, 30))
    plain = saved(photo, "JPEG")
    said = saved(photo, "JPEG", comment=b"by me", icc_profile=b"P" * 100_000, exif=tiff_tags((270, 2, 8, b"at home\0")))
    assert headers.read_jpeg(said).plain == plain == headers.read_jpeg(plain).plain
    cmyk = saved(photo.convert("CMYK"), "JPEG", comment=b"x")
    assert b"Adobe" in headers.read_jpeg(cmyk).plain  # it says how the colours are stored


def test_a_large_jpeg_is_decoded_small(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("RGB", (6000, 4000), (10, 200, 30)), "JPEG")
    asked: list[int] = []
    monkeypatch.setattr(gate.MEMORY, "reserve", lambda amount, patience: asked.append(amount) or Budget(1).reserve(0))
    small = open_image(data, side=300)
    assert small.size == (300, 200) and small.getpixel((150, 100)) == pytest.approx((10, 200, 30), abs=3)
    open_image(data)
    assert asked[0] * 60 < asked[1]


def test_memory_is_given_back_and_bounded() -> None:
    data = saved(picture(1, (2000, 1500)), "PNG")
    open_image(data)
    tracemalloc.start()
    for _ in range(3):
        open_image(data, side=200)
    assert tracemalloc.get_traced_memory()[0] < 4_000_000
    tracemalloc.stop()


def test_the_budget_lets_wait_and_refuses() -> None:
    budget = Budget(100)
    with budget.reserve(60), budget.reserve(40), pytest.raises(BusyError, match="try again"):
        budget.reserve(1, patience=0.01).__enter__()
    with budget.reserve(1000), pytest.raises(BusyError):  # alone it may
        budget.reserve(1, patience=0.01).__enter__()
    with budget.reserve(100, patience=0):
        pass


def test_a_picture_knows_its_size_without_being_decoded() -> None:
    data = saved(picture(1, (64, 48)), "JPEG", exif=ODD_EXIF["nothing odd"][0])
    with Picture(data[:700]) as cut:  # the header is whole
        assert cut.size == (48, 64)
        with pytest.raises(ImageError, match="the picture is damaged"):
            cut.decode()


def seeds() -> list[bytes]:
    image = picture(1, (40, 30))
    exif = tiff_tags((0x0112, 3, 1, struct.pack("<H", 6)), (0x011A, 5, 1, struct.pack("<LL", 72, 1)))
    kinds = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "MPO"] + ["AVIF"] * formats.has_avif()
    plain = [saved(image, kind) for kind in kinds]
    deep = Image.fromarray((np.arange(1200).reshape(30, 40) * 50).astype(np.uint16))
    return [
        *plain,
        saved(image, "JPEG", progressive=True, exif=exif, comment=b"x", icc_profile=b"p" * 200),
        saved(image.convert("CMYK"), "JPEG"),
        saved(image, "PNG", exif=exif),
        saved(deep, "PNG"),
        saved(deep, "TIFF"),
        saved(cut_out(7), "PNG"),
        saved(image.quantize(32), "PNG", transparency=bytes(range(32))),
        saved(image, "TIFF", compression="tiff_lzw", exif=exif),
        saved(image, "TIFF", compression="jpeg"),
        saved(image, "GIF", save_all=True, append_images=[picture(2, (40, 30))]),
        saved(image, "WEBP", save_all=True, append_images=[picture(2, (40, 30))], exif=exif),
        saved(image.convert("1"), "TIFF", compression="group4"),
    ]


@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures_are_one_line_or_a_picture() -> None:
    fuzz(400, 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_thousands_of_damaged_pictures_are_one_line_or_a_picture() -> None:
    fuzz(int(os.environ.get("FUZZ_PICTURES", "6000")), 2)


def fuzz(number: int, seed: int) -> None:
    counts = {"opened": 0, "refused": 0}
    for i, data in enumerate(mutations(seeds(), number, seed)):
        start = time.process_time()
        try:
            opened = open_image(data, side=64 if i % 2 else None)
            assert opened.mode == "RGB" and not opened.info
            counts["opened"] += 1
        except ImageError as error:
            assert "\n" not in str(error) and str(error).startswith("the picture:")
            counts["refused"] += 1
        assert time.process_time() - start < 5
    print(counts)
    assert min(counts.values()) > number / 20
