"""Search a folder of pictures by "like this one, but with this change".

python examples/search_photos.py PHOTOS "raise your left arm" --reference PHOTOS/me.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from autocompose import Answer, Gallery

SIDE, GAP, HEADING, CAPTION = 240, 12, 56, 34  # pixels


def draw(gallery: Gallery, reference: Path, answer: Answer, out: Path) -> None:
    """The reference, then the results with their scores."""
    tiles = [("reference", Image.open(reference))]
    tiles += [(f"{hit.rank}    score {hit.score:.2f}", gallery.open_picture(hit.item)) for hit in answer]
    sheet = Image.new("RGB", (GAP + (SIDE + GAP) * len(tiles), HEADING + SIDE + CAPTION), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 16), f"Like the reference, but: {answer.text}", fill="#1d2421", font_size=24)
    for column, (caption, picture) in enumerate(tiles):
        left = GAP + (SIDE + GAP) * column
        sheet.paste(ImageOps.fit(picture.convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS), (left, HEADING))
        pen.text((left + 2, HEADING + SIDE + 7), caption, fill="#5d6963", font_size=17)
    sheet.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("text")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--model", default="small", help="run folder, or small: the model of the package")
    parser.add_argument("--out", type=Path, default=Path("search"), help="folder for the gallery and the picture")
    args = parser.parse_args()

    gallery = Gallery.build(args.photos, args.out / "gallery", model=args.model)
    answer = gallery.search(args.text, reference=args.reference, k=5)
    for hit in answer:
        print(f"{hit.rank} {hit.score:.3f} {hit.item.path}")
    draw(gallery, args.reference, answer, args.out / "search_photos.png")


if __name__ == "__main__":
    main()
