"""Search a folder of pictures by "like this one, but with this change".

python examples/search_photos.py PHOTOS "raise your left arm" --reference PHOTOS/me.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from autocompose import Answer, Gallery

SIDE = 180


def draw(gallery: Gallery, reference: Path, answer: Answer, out: Path) -> None:
    """The reference, then the results with their scores."""
    tiles = [("reference", Image.open(reference))]
    tiles += [(f"{hit.rank}: {hit.score:.2f}", gallery.open_picture(hit.item)) for hit in answer]
    sheet = Image.new("RGB", (SIDE * len(tiles), SIDE + 40), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, 5), f"Like the reference, but: {answer.text}", fill="black", font_size=14)
    for column, (title, picture) in enumerate(tiles):
        sheet.paste(ImageOps.fit(picture.convert("RGB"), (SIDE - 4, SIDE - 4)), (SIDE * column + 2, 40))
        pen.text((SIDE * column + 4, 26), title, fill="black")
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
