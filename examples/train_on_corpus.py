"""Train on a corpus with 3D poses: rule texts, stage 1 (CLIP), stage 2 (Combiner with cyclic loss).

python examples/train_on_corpus.py CORPUS --out runs
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

import autocompose
from autocompose import RuleOptions
from autocompose.train.loop import history

TEXTS = "rules-mirror-reverse_3"  # rule texts, also of mirrored and of swapped pairs, three wordings each


def draw(runs: dict[str, Path], out: Path) -> None:
    """Recall on val after each epoch, per stage."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name, folder in runs.items():
        epochs = [
            (n, line["group_recall_at1"]) for n, line in enumerate(history(folder), 1) if "group_recall_at1" in line
        ]
        axes.plot(*zip(*epochs, strict=True), marker="o", label=name)
    axes.set(xlabel="epoch", ylabel="group recall@1 on val, %", ylim=(0, 100))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--weights", default="small", help="what stage 1 starts from, such as RN50.pt")
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()

    counts = autocompose.write_texts(args.corpus, options=RuleOptions(absolute="none", rotation=False))
    print(counts.lines())
    clip, combiner = args.out / "clip", args.out / "combiner"
    settings = {"texts": TEXTS, "cycle": True, "epochs": args.epochs, "batch_size": 64}
    configs = Path(__file__).parent
    stage1 = autocompose.finetune(
        args.corpus, clip, weights=args.weights, learning_rate=1e-4, config=configs / "clip.toml", **settings
    )
    autocompose.train_combiner(
        args.corpus, stage1, combiner, learning_rate=1e-3, config=configs / "combiner.toml", **settings
    )
    draw({"stage 1: CLIP, sum of features": clip, "stage 2: Combiner": combiner}, args.out / "train_on_corpus.png")


if __name__ == "__main__":
    main()
