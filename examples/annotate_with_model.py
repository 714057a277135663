"""Describe pairs by a multimodal LLM, export the texts, and compare them with the 3D poses.

python examples/annotate_with_model.py CORPUS      (with the simulated annotator of the tests)
python examples/annotate_with_model.py CORPUS --model NAME --base-url http://127.0.0.1:8000/v1
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

import autocompose
from autocompose import Corpus, Split

ROOT = Path(__file__).parents[1]
SIDE, GAP, TEXT = 300, 12, 560  # pixels


def simulated(corpus: Path, out: Path, pairs: int) -> tuple[Corpus, object]:
    """A copy of some pairs with numbered pictures, and a server that knows their poses and answers about them."""
    sys.path.insert(0, str(ROOT))
    from tests.simulator.process import simulator
    from tests.simulator.renders import stamped

    source = autocompose.load_corpus(corpus)
    copy = stamped(source, {Split.TRAIN: source.split("train")[:pairs]}, out)
    return copy, simulator(out.resolve() / "poses.npz")


def draw(described: Corpus, pictures: Corpus, out: Path) -> None:
    """The first described pair with its texts.

    :param pictures: the corpus with the original pictures.
    """
    pair = next(pair for pair in described.split("train") if pair.texts.get("mllm"))
    sheet = Image.new("RGB", (2 * (SIDE + GAP) + GAP + TEXT, SIDE + 2 * GAP), "white")
    for column, name in enumerate((pair.reference, pair.target)):
        picture = Image.open(pictures.image_path(name)).convert("RGB")
        tile = ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (GAP + (SIDE + GAP) * column, GAP))
    lines = [line for text in pair.texts["mllm"] for line in (*textwrap.wrap(text, 56), "")]
    pen = ImageDraw.Draw(sheet)
    pen.multiline_text((2 * (SIDE + GAP) + 2 * GAP, 2 * GAP), "\n".join(lines), fill="#1d2421", font_size=19, spacing=7)
    sheet.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", help="name of the model on the server; default: a simulated annotator")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("annotated"), help="folder for the picture and the copy")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    if args.model:
        corpus, server = autocompose.load_corpus(args.corpus), nullcontext()
    else:
        corpus, server = simulated(args.corpus, args.out / "corpus", args.pairs)
    with server as running:
        url = running.url if running else args.base_url
        summary = autocompose.annotate_corpus(corpus, args.model or "simulated", url, splits="train", pairs=args.pairs)
    print(summary.line())
    for tally in autocompose.export_texts(corpus.root).values():
        print(tally.line())
    (audit,), _ = autocompose.audit_corpus(corpus.root, "mllm", "train")
    supported = 100 * (audit.precision or 0)
    print(f"{audit.texts} texts, {audit.checked} checked claims, {supported:.0f} % supported by the poses")
    draw(
        autocompose.load_corpus(corpus.root), autocompose.load_corpus(args.corpus), args.out / "annotate_with_model.png"
    )


if __name__ == "__main__":
    main()
