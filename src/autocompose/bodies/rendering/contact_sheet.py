"""Contact sheets: many pictures on one page, each with a caption, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autocompose.core.errors import InputError
from autocompose.core.files import atomic_file

_GAP, _LINE, _PAPER, _INK = 6, 14, (250, 250, 248), (40, 40, 40)


def contact_sheet(
    pictures: Sequence[np.ndarray | Image.Image], captions: Sequence[str] | None = None, columns: int = 8
) -> Image.Image:
    """Lay pictures out row by row.

    :param pictures: ``(H, W, 3)`` uint8 arrays or PIL images; each is centred in a cell as large as the largest.
    :param captions: one per picture, cut where the cell ends.
    :raises InputError: no pictures, no columns, or not as many captions as pictures.
    """
    images = [p.convert("RGB") if isinstance(p, Image.Image) else Image.fromarray(p) for p in pictures]
    if not images or columns < 1:
        raise InputError(
            f"a contact sheet of {len(images)} pictures in {columns} columns; expected at least one of each"
        )
    if captions is not None and len(captions) != len(images):
        raise InputError(f"{len(captions)} captions for {len(images)} pictures; expected one each")
    width, height = max(i.width for i in images), max(i.height for i in images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    across, down = width + _GAP, height + _GAP + (_LINE if captions is not None else 0)
    sheet = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for k, image in enumerate(images):
        x, y = _GAP + k % columns * across, _GAP + k // columns * down
        sheet.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2))
        if captions is not None:
            draw.text((x, y + height), _cut(captions[k], font, width), _INK, font)
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG; the file appears only when it is complete."""
    with atomic_file(path) as file:
        sheet.save(file, format="PNG")


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The longest beginning of the text's first line that fits, with dots where something is missing."""
    first = text.splitlines()[0] if text else ""
    if font.getlength(first) <= width:
        return first
    while first and font.getlength(first + "…") > width:
        first = first[:-1]
    return first + "…"
