"""What filtering by the audit and the cyclic loss buy when an annotator confuses left and right.

    autocompose demo && python benchmarks/annotation_study.py demo study

On a finished demo: the simulated annotator of the tests describes part of the training pairs over HTTP, with 0, 10 and
20 % of the sides exchanged. Text encoder and Combiner train on all texts, on those that the poses do not refute
(``filtered``), and on these with lost fields taken from their mirror (``filled``), with and without the cycle; every
run makes the same number of steps from the demo's image encoder. Tests ask with the simulator's faultless texts.

Every step that is finished is kept; ``--seconds`` starts no new one after that time (exit 3: call again).
"""

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from autocompose.core.files import read_json, write_json, write_text
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.core.run_folder import RunFolder
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.demo.demo import IMAGE_SIDE
from autocompose.demo.presets import DemoSettings
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.annotation_report import report
from autocompose.describe.mllm.export import Rules, export_texts
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.job import EDITS, Job
from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe
from autocompose.evaluate.metrics import Ranks, compare
from autocompose.evaluate.questions import evaluate_model
from autocompose.evaluate.results import read_ranks, write_evaluation
from autocompose.model.encoder import Encoder
from autocompose.model.small import small_config
from autocompose.train.run_data import Data
from autocompose.train.runs import finetune, train_combiner
from autocompose.train.sampling import TextMode

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.simulator.process import simulator
from tests.simulator.renders import stamped

RATES = (0, 20, 10)  # percent of the parts spoken of whose sides are exchanged
SEEDS = (0, 1, 2)
ARMS = {"all": Rules(min_agreement=0), "filled": Rules(fill_mirrors=True), "filtered": Rules()}
CELLS = (("all", True), ("filled", True), ("all", False), ("filled", False), ("filtered", True))  # texts, cycle
PER_CUBE = {Split.TRAIN: 4, Split.VAL: 8, Split.TEST: 24}  # pairs
SAMPLES = {"finetune": 12_000, "combiner": 12_000}  # triplets that each stage sees
METRICS = {"group_recall_at1": "group R@1", "recall_at10": "R@10"}
FIELDS = ("mllm", "reverse", "mirror", "mirror-reverse")


class Study:
    def __init__(self, demo: Path, out: Path) -> None:
        self.demo, self.out = demo, out
        self.corpus = load_corpus(demo / "corpus")
        identity = RunFolder(demo, "demo").made_with()
        self.settings = DemoSettings.parse({k: v for k, v in identity.items() if k != "seed"}, str(demo))

    def steps(self):
        """(file that tells that it is done, what to do), in an order in which the first ones already say something."""
        yield self.out / "told.json", partial(self.annotate, "told", 0)
        for rate in RATES:
            yield self.out / f"rate-{rate}.json", partial(self.annotate, f"rate-{rate}", rate)
        for seed, cell, rate in product(SEEDS, CELLS, RATES):
            done = self.cell(rate, *cell) / str(seed) / "ranks.csv"
            yield done, partial(self.train, rate, *cell, seed)

    def cell(self, rate: int, texts: str, cycle: bool) -> Path:
        return self.out / "cells" / f"{rate}-{texts}-{'cycle' if cycle else 'plain'}"

    def annotate(self, name: str, rate: int) -> None:
        """Training pairs in all four fields, or (``told``) validation and test pairs in one, with one wording."""
        root, told = self.out / name, name == "told"
        splits = (Split.VAL, Split.TEST) if told else (Split.TRAIN,)
        corpus = stamped(self.corpus, {s: self.chosen(s) for s in splits}, root)
        with simulator(root / "poses.npz", errors={"swap": rate / 100}, seed=rate + told) as sim:
            recipe = Recipe(model="sim", frame=Frame.WORDS, size=128, texts=1 if told else 3)
            edits = (Edit.PLAIN,) if told else EDITS
            summary = annotate(Job(corpus, recipe, Endpoint(base_url=sim.url), Limits(slots=16), edits=edits))
            if summary.stopped != "done":
                sys.exit(summary.line())
            said = sim.stats()["said"]
        record = {"run": summary.line(), "said": said, "false": said["false statements"] / said["statements"]}
        record["measured"] = report(root)["texts"]["mllm"]["claims wrong (either)"]
        for arm, rules in ARMS.items():
            export_texts(root, rules)
            needed = {"mllm"} if told else set(FIELDS)
            kept = [p for s in splits for p in load_corpus(root).split(s) if needed <= p.texts.keys()]
            texts = {f"{p.reference} {p.target}": p.texts for p in kept}
            write_json(self.out / f"{name}-{arm}.texts.json", texts)
        write_json(self.out / f"{name}.json", record)

    def chosen(self, split: Split) -> list:
        rng, by_cube = np.random.default_rng(7), {}
        for pair in self.corpus.split(split):
            by_cube.setdefault(pair.extra["cube"], []).append(pair)
        return [pairs[i] for pairs in by_cube.values() for i in sorted(rng.permutation(len(pairs))[: PER_CUBE[split]])]

    def described(self, rate: int, arm: str) -> Corpus:
        """The demo's corpus with only the annotated pairs."""
        texts = self.texts(rate, arm) | read_json(self.out / "told-all.texts.json")
        pairs = {
            split: tuple(
                replace(p, texts={k: tuple(v) for k, v in found.items()})
                for p in self.corpus.split(split)
                if (found := texts.get(f"{p.reference} {p.target}"))
            )
            for split in self.corpus.pairs
        }
        return replace(self.corpus, pairs=pairs)

    def texts(self, rate: int, arm: str) -> dict[str, dict[str, list[str]]]:
        chosen = {f"{p.reference} {p.target}" for p in self.chosen(Split.TRAIN)}
        found = read_json(self.out / f"rate-{rate}-{arm}.texts.json")
        return {key: fields for key, fields in found.items() if key in chosen}

    @lru_cache(maxsize=1)  # noqa: B019
    def vocabulary(self) -> list[str]:
        fields = self.texts(RATES[0], "all").values()
        return sorted({text for groups in fields for group in groups.values() for text in group})

    def train(self, rate: int, arm: str, cycle: bool, seed: int) -> None:
        folder, settings = self.cell(rate, arm, cycle) / str(seed), self.settings
        corpus = self.described(rate, arm)
        data = Data(corpus, key="mllm", cache=self.out / "cache")
        mode = TextMode(source="mllm", mirror=True, reverse=True, texts=3, cycle=cycle)
        encoder = Encoder(small_config(settings.sizes), seed).with_vocabulary(self.vocabulary())
        encoder.visual.load_state_dict(load_file(self.demo / IMAGE_SIDE))
        stages = {}
        for name in ("finetune", "combiner"):
            stage = getattr(settings, name)
            whole = len(corpus.split(Split.TRAIN)) // stage.loop.batch_size * stage.loop.batch_size
            epochs = max(1, round(SAMPLES[name] / whole))
            loop = {"loop": stage.loop.model_copy(update={"seed": seed, "epochs": epochs, "validate_every": epochs})}
            compose = {"compose": stage.compose.model_copy(update={"seed": seed})}
            stages[name] = stage.model_copy(update={"text": mode, **loop, **compose})
        begun = time.process_time()
        summed = finetune(data, encoder.eval(), stages["finetune"], folder / "sum")
        model = train_combiner(data, summed.encoder, stages["combiner"], folder / "model")
        found = evaluate_model(model, corpus, Split.TEST, "mllm", cache=data.cache)
        write_evaluation(folder, found, keep=0)
        say(f"{folder}: {json.dumps(found.ranks.metrics())}; {time.process_time() - begun:.0f} s of CPU")
        for part in ("sum", "model"):
            shutil.rmtree(folder / part)

    def ranks(self, rate: int, texts: str, cycle: bool, seeds: list[int]) -> tuple[Ranks, np.ndarray]:
        """Ranks of the seeds that are there, one after the other, and their cubes."""
        parts = [read_ranks(self.cell(rate, texts, cycle) / str(s)) for s in seeds]
        gallery, group = (np.concatenate([getattr(p[2], a) for p in parts]) for a in ("gallery", "group"))
        return Ranks(gallery, group), np.concatenate([p[1] for p in parts])

    def seeds(self, rate: int, *cells: tuple[str, bool]) -> list[int]:
        return [s for s in SEEDS if all((self.cell(rate, *c) / str(s) / "ranks.csv").exists() for c in cells)]

    def tables(self) -> str:
        """What was annotated, what each arm reaches, and what the arms differ by, as Markdown."""
        annotated = []
        for rate in sorted(RATES):
            r = read_json(self.out / f"rate-{rate}.json")
            pairs = [f"{len(self.texts(rate, arm)):,}" for arm in ARMS]
            annotated.append([rate, f"{100 * r['false']:.1f}", f"{100 * r['measured']:.1f}", *pairs])
        reached, differ = [], []
        for rate, cell in product(sorted(RATES), CELLS):
            if seeds := self.seeds(rate, cell):
                ranks, clusters = self.ranks(rate, *cell, seeds)
                values, ci = ranks.metrics(), ranks.ci95(clusters)
                shown = [f"{values[m]:.1f} [{ci[m][0]:.1f}, {ci[m][1]:.1f}]" for m in METRICS]
                reached.append([rate, cell[0], "yes" if cell[1] else "no", len(seeds), *shown])
        for rate, (title, first, second) in product(sorted(RATES), DIFFERENCES):
            if seeds := self.seeds(rate, first, second):
                (one, clusters), (two, _) = (self.ranks(rate, *c, seeds) for c in (first, second))
                found = compare(one, two, clusters)
                shown = [f"{(d := found[m]).value:+.1f} [{d.ci95[0]:+.1f}, {d.ci95[1]:+.1f}]" for m in METRICS]
                differ.append([rate, title, len(seeds), *shown])
        rated = "sides exchanged, %"
        return "\n".join(
            (
                table([rated, "false statements, %", "audit says, %", *(f"pairs {a}" for a in ARMS)], annotated),
                table([rated, "texts", "cycle", "seeds", *METRICS.values()], reached),
                table([rated, "difference", "seeds", *METRICS.values()], differ),
            )
        )


def table(titles: list[str], rows: list[list]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


DIFFERENCES = (
    ("filled - all, cycle", ("all", True), ("filled", True)),
    ("filled - all, no cycle", ("all", False), ("filled", False)),
    ("filtered - all, cycle", ("all", True), ("filtered", True)),
    ("cycle - no cycle, all", ("all", False), ("all", True)),
    ("cycle - no cycle, filled", ("filled", False), ("filled", True)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, nargs="?", default=Path("demo"), help="folder of a finished demo")
    parser.add_argument("out", type=Path, nargs="?", default=Path("annotation-study"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no step after this time")
    options = parser.parse_args()
    if not (options.demo / "metrics.json").exists():
        sys.exit(f"{options.demo}: no finished demo; run `autocompose demo --out {options.demo}` first")
    study, begun = Study(options.demo, options.out), time.monotonic()
    for done, work in study.steps():
        if done.exists():
            continue
        if time.monotonic() - begun > options.seconds:
            sys.exit(3)
        work()
    write_text(options.out / "tables.md", study.tables())
    print(study.tables())


if __name__ == "__main__":
    main()
