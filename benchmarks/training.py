"""Training that does not waste work: both stages against the plain way of working, at RN50 sizes, on the CPU.

    python benchmarks/training.py            all parts (half an hour), then the table of docs/benchmarks-training.md
    python benchmarks/training.py --parts 1  the next part only; OUT/timings.json remembers what is done

The plain way, written from the paper's description: in every epoch every picture of a batch is read, preprocessed and
encoded by the frozen image encoder, and every text is padded to 77 tokens. It runs the first PLAIN_STEPS batches of an
epoch and is scaled to EPOCHS. Ours includes building the cache; text fine-tuning, whose epochs are all alike, runs one
epoch and is scaled too.
CPU seconds of one process with one thread, so that other work on the machine counts little; random weights (speed does
not depend on them); same batches, same losses (checked). Plain text fine-tuning needs 16 GB of memory.
"""

import argparse
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autocompose.core.files import read_json, write_json
from autocompose.core.log import say
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.pictures.transforms import open_image
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.features import image_features, text_features
from autocompose.model.losses import cycle, cyclic_loss
from autocompose.train.compose_stages import CombinerStage, ComposeSettings, TextStage
from autocompose.train.runs import CombinerSettings, new_combiner
from autocompose.train.sampling import TextMode, TripletTable

BATCH, EPOCHS, PLAIN_STEPS, CLIP_BATCH = 128, 10, 2, 32
WORDS = ["raise", "lower", "bend", "your", "left", "right", "arm", "knee", "hand", "torso", "slightly", "until", "the"]
COMBINER, TEXT = ("mllm-reverse_3", "mllm-mirror-reverse_3"), "mllm-reverse_3"
SETTINGS = ComposeSettings(mask_duplicates=False)


def make_corpus(root: Path, n_pairs: int) -> Corpus:
    """``n_pairs`` pairs of different pictures (256 x 256 JPEG), three texts of about 25 words in each MLLM field."""
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(n_pairs):
        names = [f"{i}_{k}.jpg" for k in "ab"]
        for name in names:
            path = root / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            small.resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)
        fields = ("mllm", "reverse", "mirror", "mirror-reverse")
        texts = {f: tuple(" ".join(rng.choice(WORDS, rng.integers(15, 36))) + "." for _ in range(3)) for f in fields}
        pairs.append(Pair(*names, (), texts))
    return Corpus(root, {Split.TRAIN: tuple(pairs)}, {Split.TRAIN: ()})


class Bench:
    """Both ways of one kind of training.

    :param train_text: stage 1 with a training text encoder; else stage 2, whose Combiner trains on frozen encoders.
    """

    def __init__(self, corpus: Corpus, mode: str, train_text: bool) -> None:
        self.corpus, self.train_text = corpus, train_text
        self.table = TripletTable(corpus.split(Split.TRAIN), TextMode.from_name(mode, cycle=True))
        part = "text" if train_text else "none"
        self.encoder = Encoder(EncoderConfig(arch="RN50", transform="squarepad")).eval().train_only(part)
        settings = CombinerSettings(dropout=0)
        self.composer = ElementwiseSum() if train_text else new_combiner(self.encoder.dim, settings).train()
        self.trained = [p for m in (self.encoder, self.composer) for p in m.parameters() if p.requires_grad]

    def optimizer(self, **ours):
        if self.train_text:
            return torch.optim.AdamW(self.trained, lr=2e-6, eps=1e-7, **ours)
        return torch.optim.AdamW(self.trained, lr=2e-5, weight_decay=0, **ours)

    def ours(self, precision: torch.dtype | None = None) -> dict:
        start = time.process_time()
        paths = [self.corpus.image_path(n) for n in self.table.images]
        images = image_features(self.encoder, paths, flips=self.table.mode.mirror)
        if self.train_text:
            stage = TextStage(self.table, images, self.encoder, self.composer, SETTINGS, BATCH)
        else:
            texts = text_features(self.encoder, self.table.texts)
            stage = CombinerStage(self.table, images, texts, self.composer, SETTINGS, BATCH)
        cached, optimizer, losses = time.process_time(), self.optimizer(fused=True), []
        epochs = 1 if self.train_text else EPOCHS
        for epoch in range(epochs):
            for batch in stage.batches(epoch):
                with torch.autocast("cpu", precision, enabled=precision is not None):
                    loss = stage(batch)
                losses.append(step(loss, optimizer))
        seconds = (time.process_time() - cached) / epochs
        return {"cache": cached - start, "epoch": seconds, "losses": losses[: stage.steps()]}

    def plain(self) -> dict:
        self.encoder.visual.to(memory_format=torch.contiguous_format)  # channels last is ours
        start, optimizer, losses = time.process_time(), self.optimizer(), []
        for batch in islice(self.table.epoch(0, 0, BATCH), PLAIN_STEPS):
            reference, target = self.pictures(batch.reference, batch.flip), self.pictures(batch.target, batch.flip)
            hops = cycle([self.texts(batch.text), self.texts(batch.back)], reference, target)
            loss = cyclic_loss(self.composer, reference, hops)
            losses.append(step(loss, optimizer))
        share = len(losses) * BATCH / len(self.table)
        return {"epoch": (time.process_time() - start) / share, "losses": losses}

    @torch.no_grad()
    def pictures(self, rows, flips):
        pixels = [self.encoder.preprocess(open_image(self.corpus.image_path(self.table.images[r]))) for r in rows]
        whole = torch.stack([p.flip(-1) if f else p for p, f in zip(pixels, flips, strict=True)])
        parts = whole.split(BATCH if self.train_text else CLIP_BATCH)
        return torch.cat([self.encoder.clip.encode_image(part) for part in parts])

    def texts(self, rows):
        tokens = self.encoder.tokenize([self.table.texts[r] for r in rows])
        with torch.set_grad_enabled(self.train_text):
            return self.encoder.clip.encode_text(torch.nn.functional.pad(tokens, (0, 77 - tokens.shape[1])))


def step(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def parts(corpus: Corpus) -> dict[str, Callable[[], dict]]:
    """Everything that is measured, by name."""
    works = {f"Combiner, `{mode}`": (mode, False) for mode in COMBINER} | {f"CLIP text encoder, `{TEXT}`": (TEXT, True)}
    make = partial(Bench, corpus)
    found = {}
    for name, work in works.items():
        found[f"{name}: plain"] = lambda w=work: make(*w).plain()
        found[f"{name}: ours"] = lambda w=work: make(*w).ours()
    found[f"CLIP text encoder, `{TEXT}`, ours in bf16: ours"] = lambda: make(TEXT, True).ours(torch.bfloat16)
    return found


def row(name: str, done: dict) -> list[str]:
    """A line of the table."""
    plain, ours = done[f"{name.removesuffix(', ours in bf16')}: plain"], done[f"{name}: ours"]
    total = EPOCHS * plain["epoch"] / (ours["cache"] + EPOCHS * ours["epoch"])
    worst = max(abs(a - b) for a, b in zip(ours["losses"], plain["losses"], strict=False))
    values = [f"{plain['epoch']:.0f}", f"{ours['cache']:.0f}", f"{ours['epoch']:.1f}", f"{total:.1f}"]
    return [
        name,
        *values,
        f"{plain['epoch'] / ours['epoch']:.1f}",
        f"{worst:.0e}",
        f"{plain['peak']:.1f}",
        f"{ours['peak']:.1f}",
    ]


HEADER = (
    "work", "plain s/epoch", "cache s", "ours s/epoch", f"faster over {EPOCHS} epochs", "per epoch once cached",
    "largest loss difference", "plain GB", "ours GB",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir(), "autocompose-benchmark"))
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--parts", type=int, default=100, help="stop after so many parts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    setup = {"pairs": args.pairs, "commit": commit, "machine": platform.processor() or platform.machine()}
    file, folder = args.out / "timings.json", args.out / "corpus"
    record = read_json(file) if file.exists() else {"setup": setup, "parts": {}}
    if record["setup"]["pairs"] != args.pairs:
        parser.error(f"{file} was measured with --pairs {record['setup']['pairs']}")
    if not (folder / "captions").exists():
        make_corpus(folder, args.pairs).save()
    done, work = record["parts"], parts(load_corpus(folder))
    for name in [n for n in work if n not in done][: args.parts]:
        done[name] = {**work[name](), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
        say(f"{name}: {done[name]}")
        write_json(file, record)
    if len(done) == len(work):
        print(f"{record['setup']}, {file}\n")
        print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
        for name in work:
            if name.endswith(": ours"):
                print("| " + " | ".join(row(name.removesuffix(": ours"), done)) + " |")


if __name__ == "__main__":
    main()
