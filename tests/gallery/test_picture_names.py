from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from autocompose.gallery.indexing.picture_names import PictureNames

ZOE = unicodedata.normalize("NFD", "zoë.jpg")
NAMES = PictureNames(
    ["p1.jpg", "sub/p0.jpg", "sub/p2.JPG", ZOE, "a.png", "A.png", "straße.jpg", "x/y/z.jpg", "weird\\name.png"],
    Path("/home/me/photos"),
)


@pytest.mark.parametrize(
    ("said", "picture"),
    [
        ("p1.jpg", "p1.jpg"),
        ("./p1.jpg", "p1.jpg"),
        (r".\sub\p0.jpg", "sub/p0.jpg"),
        (r"sub\\p0.jpg", "sub/p0.jpg"),
        ("sub//p0.jpg", "sub/p0.jpg"),
        ("Sub/P2.jpg", "sub/p2.JPG"),
        (unicodedata.normalize("NFC", ZOE), ZOE),
        ("STRASSE.JPG", "straße.jpg"),
        ("/home/me/photos/x/y/z.jpg", "x/y/z.jpg"),
        ("photos/x/y/z.jpg", "x/y/z.jpg"),
        (r"photos\x\y\z.jpg", "x/y/z.jpg"),
        (" p1.jpg ", "p1.jpg"),
        ("a.png", "a.png"),
        ("A.png", "A.png"),
        ("weird\\name.png", "weird\\name.png"),
        ("a.PNG", None),  # two pictures are called so
        ("p0.jpg", None),  # another folder: perhaps another picture
        ("p3.jpg", None),
        ("../p1.jpg", None),
        ("", None),
    ],
)
def test_a_picture_by_any_spelling(said: str, picture: str | None) -> None:
    assert NAMES.find(said) == picture


@pytest.mark.parametrize(
    ("said", "near"),
    [("p0.jpg", "sub/p0.jpg"), ("stasse.jpg", "straße.jpg"), ("x/y/zz.jpg", "x/y/z.jpg"), ("qqqqqq", None)],
)
def test_a_picture_that_was_perhaps_meant(said: str, near: str | None) -> None:
    assert NAMES.suggest(said) == near
