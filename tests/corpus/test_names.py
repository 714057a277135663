from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.corpus.names import name_fault, safe_name, safe_names

# letters of any file system, among them bytes that could not be decoded
LETTERS = st.characters() | st.sampled_from("/ .:\\%\n") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)


@given(st.text(LETTERS, max_size=300))
def test_safe_names_are_picture_names(text: str) -> None:
    name = safe_name(text)
    assert name_fault(name) is None, name
    name.encode("utf-8")
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["walk", "take 1/wälk.bvh", "a.b.c", "100%/x", "ダンス", "x" * 255])
def test_good_names_stay(name: str) -> None:
    assert safe_name(name) == name


def test_other_names_stay_readable() -> None:
    shift_jis = b"\x83_\x83\x93\x83X".decode("utf-8", "surrogateescape")
    assert safe_name(f"dance/{shift_jis}.bvh") == "dance/%83_%83%93%83X.bvh"
    assert safe_name("a\nb") == "a%0Ab" and safe_name("C:x") == "C%3Ax" and safe_name(" a") == "%20a"
    assert safe_name("ä" * 200).startswith("ä" * 60 + "~")
    assert name_fault("a\udc83") == "is not UTF-8; rename the file"


def test_names_of_files_differ() -> None:
    root = Path("m")
    paths = [root / n for n in ("walk.npz", "walk.pkl", "run.PKL", "a/run.pkl", "b\udc83.pkl", "b%83.pkl")]
    names = safe_names(paths, root, suffix=False)
    assert list(names) == ["walk.npz", "walk.pkl", "run", "a/run", "b%83", "b%83~2"]
    assert list(names.values()) == paths
    assert list(safe_names(paths[:2], root)) == ["walk.npz", "walk.pkl"]
