"""Makes docs/people.png: the estimated skeletons of twelve photographs that Debian and Python packages hold.

    python docs/make_people_sheet.py [--assets FOLDER] [--with-pictures FILE]

FOLDER holds bus.jpg and zidane.jpg (the assets of the Python package ultralytics). Most of the photographs may not be
redistributed, so the sheet shows the skeletons alone; ``--with-pictures`` writes another one to look at.
"""

import argparse
from pathlib import Path

import av
from PIL import Image, ImageDraw

from autocompose.estimate import Estimator
from autocompose.gallery.server.overlay import BONES

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")
LABELME = Path("/usr/share/doc/labelme-examples/examples/bbox_detection/data_annotated")
FRAMES = (200, 480, 600)
CELL, COLUMNS, LABEL = (300, 225), 4, 16
COLOURS = {"left": (200, 60, 30), "right": (20, 90, 200), "trunk": (60, 60, 60)}
PAPER, FAINT, SEEN = (246, 246, 242), (205, 205, 200), 0.5


def photographs(assets):
    """Name -> picture."""
    result = {name: OPENCV / name for name in ("messi5.jpg", "basketball1.png", "basketball2.png")}
    result |= {name: LABELME / name for name in ("2011_000003.jpg", "2011_000006.jpg", "2011_000025.jpg")}
    if assets:
        result |= {name: assets / name for name in ("bus.jpg", "zidane.jpg")}
    pictures = {name: Image.open(path).convert("RGB") for name, path in result.items() if path.exists()}
    with av.open(str(OPENCV / "vtest.avi")) as video:
        for number, frame in enumerate(video.decode(video=0)):
            if number in (40, *FRAMES):
                pictures[f"vtest.avi, frame {number}"] = frame.to_image()
            if number > max(FRAMES):
                break
    return pictures


def cell(name, picture, people, visible):
    """One photograph: the frame of the picture, boxes, and bones; dotted bones are not seen."""
    canvas = Image.new("RGB", CELL, "white")
    scale = min(CELL[0] / picture.width, (CELL[1] - LABEL) / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    canvas.paste(picture.resize(size) if visible else Image.new("RGB", size, PAPER), (0, LABEL))
    draw = ImageDraw.Draw(canvas)
    draw.text((3, 2), f"{name}: {len(people)}", fill="black")
    for one in people:
        left, top, right, bottom = (v * scale for v in one.box)
        draw.rectangle((left, top + LABEL, right, bottom + LABEL), outline=FAINT)
        for part, bones in BONES.items():
            for pair in bones:
                ends = [(float(x * scale), float(y * scale + LABEL)) for x, y in one.points[list(pair)]]
                seen = one.visibility[list(pair)].min() >= SEEN
                draw.line(ends, fill=COLOURS[part] if seen else FAINT, width=2)
    return canvas


def main():
    """Write the sheet, and the one with pictures if asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--with-pictures", type=Path)
    arguments = parser.parse_args()
    estimator = Estimator.load()
    found = {name: (p, estimator.people([p])[0]) for name, p in photographs(arguments.assets).items()}
    for target, visible in ((Path(__file__).with_name("people.png"), False), (arguments.with_pictures, True)):
        if target:
            rows = -(-len(found) // COLUMNS)
            sheet = Image.new("RGB", (COLUMNS * CELL[0], rows * CELL[1]), "white")
            for place, (name, (picture, people)) in enumerate(found.items()):
                corner = (place % COLUMNS * CELL[0], place // COLUMNS * CELL[1])
                sheet.paste(cell(name, picture, people, visible), corner)
            sheet.quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    main()
