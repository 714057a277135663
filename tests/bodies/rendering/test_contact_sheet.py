from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.bodies.rendering.contact_sheet import contact_sheet, save_sheet
from autocompose.core.errors import InputError, StorageError


def picture(value: int, width: int = 40, height: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_keep_their_order_row_by_row() -> None:
    sheet = np.asarray(contact_sheet([picture(v) for v in (10, 60, 110, 160, 210)], columns=2))
    where = [np.argwhere((sheet == v).all(2)).min(0) for v in (10, 60, 110, 160, 210)]
    assert where[0][0] == where[1][0] < where[2][0] == where[3][0] < where[4][0]
    assert where[0][1] == where[2][1] == where[4][1] < where[1][1]
    assert [(sheet == v).all(2).sum() for v in (10, 60, 110, 160, 210)] == [1200] * 5


def test_captions_are_drawn_and_cut_to_their_cell() -> None:
    bare = np.asarray(contact_sheet([picture(0), picture(0)], ["", ""]))
    named = np.asarray(contact_sheet([picture(0), picture(0)], ["a caption that is far too long for it", "b"]))
    assert named.shape == bare.shape
    changed = np.argwhere((named != bare).any(2))
    first = changed[changed[:, 1] < 47]
    assert len(first) and first[:, 1].max() <= 6 + 40 + 1


def test_pictures_of_several_sizes_fit() -> None:
    sheet = np.asarray(contact_sheet([picture(1), Image.new("L", (10, 10), 2)], columns=9))
    assert (sheet == 2).all(2).sum() == 100 and sheet.shape[1] == 2 * 46 + 6


@pytest.mark.parametrize(
    ("count", "captions", "columns", "message"),
    [(0, None, 3, "0 pictures"), (2, None, 0, "0 columns"), (2, ["one"], 2, "1 captions for 2 pictures")],
)
def test_bad_sheets_are_refused(count: int, captions: list[str] | None, columns: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        contact_sheet([picture(0)] * count, captions, columns)


def test_a_sheet_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    save_sheet(contact_sheet([picture(9)]), tmp_path / "deep" / "sheet.png")
    assert Image.open(tmp_path / "deep" / "sheet.png").size == (52, 42)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_sheet(contact_sheet([picture(9)]), tmp_path / "file" / "sheet.png")
