"""Training that does not waste work: both stages against the plain way of working, at RN50 sizes, on the CPU.

    python benchmarks/training.py            writes the table of docs/benchmarks-training.md to the console

The plain way, written from the paper's description: in every epoch every picture of a batch is read, preprocessed and
encoded by the frozen image encoder, and every text is padded to 77 tokens. It runs PLAIN_EPOCHS epochs and is scaled
to EPOCHS; ours includes building the cache (text fine-tuning, whose epochs are all alike, is scaled too). CPU seconds
of one process with one thread, so that other work on the machine does not count; random weights (speed does not depend
on them); same batches, same losses (checked).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.images import open_image
from autocompose.evaluate.experiment import CombinerSettings, new_combiner
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.losses import composed_loss
from autocompose.train.features import image_features, text_features
from autocompose.train.sampling import TextMode, TripletTable
from autocompose.train.stages import CombinerStage, ComposeSettings, TextStage

BATCH, EPOCHS, PLAIN_EPOCHS = 128, 10, 1
WORDS = ["raise", "lower", "bend", "your", "left", "right", "arm", "knee", "hand", "torso", "slightly", "until", "the"]


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


def plain_epoch(corpus, table, encoder, composer, optimizer, epoch, train_text) -> list[float]:
    """One epoch of the plain way; the losses of its batches."""
    encoder.visual.to(memory_format=torch.contiguous_format)  # channels last is ours

    def pictures(rows, flips):
        pixels = [encoder.preprocess(open_image(corpus.image_path(table.images[r]))) for r in rows]
        with torch.no_grad():
            parts = torch.stack([p.flip(-1) if f else p for p, f in zip(pixels, flips, strict=True)]).split(32)
            return torch.cat([encoder.clip.encode_image(part) for part in parts])

    def texts(rows):
        tokens = encoder.tokenize([table.texts[r] for r in rows])
        with torch.set_grad_enabled(train_text):
            return encoder.clip.encode_text(torch.nn.functional.pad(tokens, (0, 77 - tokens.shape[1])))

    losses = []
    for batch in table.epoch(0, epoch, BATCH):
        loss = composed_loss(
            composer,
            reference=pictures(batch.reference, batch.flip),
            target=pictures(batch.target, batch.flip),
            text=texts(batch.text),
            back_text=texts(batch.back),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def our_epoch(stage, optimizer, epoch) -> list[float]:
    losses = []
    for batch in stage.batches(epoch):
        loss = stage(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def seconds_of(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def combiner(corpus: Corpus, mode: str) -> dict[str, float]:
    """Stage 2 both ways."""
    encoder = Encoder(EncoderConfig(arch="RN50", transform="squarepad")).eval().train_only("none")
    table = TripletTable(corpus.split(Split.TRAIN), TextMode.from_name(mode, cycle=True))
    new = lambda: new_combiner(encoder.dim, CombinerSettings(dropout=0)).train()  # noqa: E731

    def cache():
        paths = [corpus.image_path(n) for n in table.images]
        return image_features(encoder, paths, flips=table.mode.mirror), text_features(encoder, table.texts)

    building, (images, texts) = seconds_of(cache)
    composer = new()
    stage = CombinerStage(table, images, texts, composer, ComposeSettings(mask_duplicates=False), BATCH)
    optimizer = torch.optim.AdamW(composer.parameters(), lr=2e-5, weight_decay=0, fused=True)
    ours, losses = seconds_of(lambda: [our_epoch(stage, optimizer, e) for e in range(EPOCHS)])
    composer = new()
    optimizer = torch.optim.Adam(composer.parameters(), lr=2e-5)
    plain, expected = seconds_of(
        lambda: [plain_epoch(corpus, table, encoder, composer, optimizer, e, False) for e in range(PLAIN_EPOCHS)]
    )
    return report(f"Combiner, {mode}, cycle", building, ours, plain, losses, expected)


def text_encoder(corpus: Corpus, mode: str) -> dict[str, float]:
    """Stage 1 with ``--encoder text`` both ways."""
    table = TripletTable(corpus.split(Split.TRAIN), TextMode.from_name(mode, cycle=True))
    results = []
    for way in ("ours", "plain"):
        encoder = Encoder(EncoderConfig(arch="RN50", transform="squarepad")).eval().train_only("text")
        trained = [p for p in encoder.parameters() if p.requires_grad]
        if way == "ours":
            paths = [corpus.image_path(n) for n in table.images]
            building, images = seconds_of(lambda e=encoder, p=paths: image_features(e, p, flips=table.mode.mirror))
            stage = TextStage(table, images, encoder, ElementwiseSum(), ComposeSettings(mask_duplicates=False), BATCH)
            optimizer = torch.optim.AdamW(trained, lr=2e-6, eps=1e-7, fused=True)
            ours, losses = seconds_of(lambda s=stage, o=optimizer: [our_epoch(s, o, e) for e in range(PLAIN_EPOCHS)])
            results += [building, ours * EPOCHS / PLAIN_EPOCHS]
        else:
            optimizer = torch.optim.AdamW(trained, lr=2e-6, eps=1e-7)
            plain, expected = seconds_of(
                lambda e=encoder, o=optimizer: [
                    plain_epoch(corpus, table, e, ElementwiseSum(), o, i, True) for i in range(PLAIN_EPOCHS)
                ]
            )
    return report(f"CLIP text encoder, {mode}, cycle", *results, plain, losses, expected)


def report(name, building, ours, plain, losses, expected) -> dict[str, float]:
    worst = float(np.abs(np.subtract(losses[0], expected[0])).max())
    plain_epoch_seconds, our_epoch_seconds = plain / PLAIN_EPOCHS, ours / EPOCHS
    total = plain_epoch_seconds * EPOCHS / (building + ours)
    values = {
        "work": name,
        "plain s/epoch": round(plain_epoch_seconds, 1),
        "cache s": round(building, 1),
        "ours s/epoch": round(our_epoch_seconds, 2),
        f"faster over {EPOCHS} epochs": round(total, 1),
        "faster per epoch": round(plain_epoch_seconds / our_epoch_seconds, 1),
        "largest loss difference in epoch 1": worst,
    }
    print(json.dumps(values), flush=True)
    return values


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--only", choices=("combiner", "text"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder), args.pairs)
        if args.only != "text":
            rows += [combiner(corpus, mode) for mode in ("mllm-reverse_3", "mllm-mirror-reverse_3")]
        if args.only != "combiner":
            rows += [text_encoder(corpus, "mllm-reverse_3")]
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(v) for v in row.values()) + " |")


if __name__ == "__main__":
    main()
