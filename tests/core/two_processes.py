"""What each process of test_processes.py runs: `python two_processes.py CORPUS OUT`, alone or under torchrun."""

import sys
from pathlib import Path

import torch

from autocompose.core.distributed import join
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.model.encoder import Encoder
from autocompose.model.small import SmallSizes, small_config
from autocompose.train.loop import LoopSettings
from autocompose.train.run_data import Data
from autocompose.train.runs import CombinerSettings, FinetuneSettings, finetune, train_combiner
from autocompose.train.sampling import TextMode

TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)


def main(root: Path, out: Path) -> None:
    torch.set_num_threads(1)
    device = join()
    data = Data(load_corpus(root), val=Split.TEST, cache=out / "cache")
    # Adam divides rounding by (gradient + eps): a large eps keeps 1e-6 of rounding from becoming 1e-5 of update.
    loop = LoopSettings(epochs=2, batch_size=8, learning_rate=1e-3, eps=1e-2, select="recall_at5")
    text = TextMode(reverse=True, mirror=True, texts=1, cycle=True)
    encoder = Encoder(small_config(TINY), seed=3).to(device)
    model = finetune(data, encoder, FinetuneSettings(text=text, part="both", loop=loop), out / "clip")
    sizes = CombinerSettings(text=text, projection_dim=8, hidden_dim=12, dropout=0, loop=loop)
    train_combiner(data, model.encoder, sizes, out / "combiner")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
