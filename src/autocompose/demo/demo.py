"""The stages of the demo. Each leaves files; a killed demo continues and ends with the same numbers."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from autocompose.core.distributed import first_process_first, rank, together
from autocompose.core.files import read_json, write_bytes, write_json
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.core.run_folder import RunFolder
from autocompose.core.workers import kept_processes
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.pictures.decoding import decoded
from autocompose.demo.figures import measure
from autocompose.demo.presets import DemoSettings, Scratch
from autocompose.demo.wordings import described, write_demo_texts
from autocompose.evaluate.fusion import CARD_KEY
from autocompose.gallery.indexing.index import build
from autocompose.model.bundled import NAME
from autocompose.model.checkpoint import load_model
from autocompose.model.combiner import Combiner
from autocompose.model.embedders.own import LoadedModel
from autocompose.model.encoder import Encoder
from autocompose.model.features import image_features
from autocompose.model.model import Composer, Model
from autocompose.model.small import small_config, small_encoder
from autocompose.prepare.bodycpr.clusters import PRESETS, prepare_bodycpr
from autocompose.prepare.bodycpr.singles import Singles, cube_pictures, joined, prepare_singles
from autocompose.train.baselines import train_one_input
from autocompose.train.loop import Metrics, run
from autocompose.train.precision import recorded_precision
from autocompose.train.pretrain import Pretrain
from autocompose.train.run_data import Data
from autocompose.train.runs import Encoded, finetune, new_combiner, train_combiner

IMAGE_SIDE = "pretrain/visual.safetensors"
# where they are, there is nothing to do
RESULTS = ("report.html", "metrics.json", "model/model.json", "gallery/gallery.json")


class Demo:
    """One demo in one folder.

    :param out: the folder; an unfinished demo in it is finished.
    :raises InputError: the folder holds a demo made with other settings.
    """

    def __init__(self, out: Path, settings: DemoSettings, seed: int) -> None:
        self.out, self.seed = Path(out), seed
        self.settings = settings = settings.on(torch.device("cpu"), recorded_precision(self.out, "demo"))
        self.made_with = {"seed": seed, **settings.model_dump(mode="json")}
        self.own = RunFolder(self.out, "demo", "a demo")
        self.finished = self.own.claim(self.made_with) and all((self.out / name).exists() for name in RESULTS)
        self.seconds: dict[str, float] = {}
        self._clock = self.out / "seconds.json"
        if self._clock.exists():
            self.seconds = read_json(self._clock)

    def run(self) -> Path:
        """All stages, in order; returns the path of the report."""
        from autocompose.evaluate.report import write_report

        if self.finished:
            say(f"{self.out}: finished before")
            return self.out / RESULTS[0]
        with kept_processes():
            corpus = self.corpus()
            if self.settings.scratch and not (self.out / IMAGE_SIDE).exists():
                with self._stage("render single bodies"):
                    self.bodies(corpus)
        with together(self.settings.processes, _help, self.out, self.settings, self.seed):
            models = self.trained(corpus)
        with self._stage("evaluate"):
            metrics, answers = measure(corpus, models, self.settings, self.out)
        with self._stage("index the pictures"):
            self.index(corpus)
        metrics["seed"], metrics["seconds"] = self.seed, self.seconds
        metrics["start"] = None if self.settings.scratch else NAME
        write_json(self.out / "metrics.json", metrics)
        report = write_report(self.out, corpus, answers, metrics)
        self.own.finish(self.made_with)
        return report

    def corpus(self) -> Corpus:
        """BodyCPR with its texts."""
        root = self.out / "corpus"
        if described(root):
            return load_corpus(root)
        with self._stage("render the benchmark"):
            corpus = prepare_bodycpr(root, self.settings.preset, self.seed)
        with self._stage("write the texts"):
            return write_demo_texts(corpus, self.settings, self.seed)

    @property
    def _scratch(self) -> Scratch:
        assert self.settings.scratch is not None, "the demo from small-v2 pretrains nothing"
        return self.settings.scratch

    def bodies(self, corpus: Corpus) -> Singles:
        """What the image encoder is pretrained on: single bodies, and those of the training cubes."""
        folder, scratch = self.out / "singles", self._scratch
        singles = prepare_singles(folder, scratch.singles, scratch.sizes.image_size, self.seed)
        preset, pixels = PRESETS[self.settings.preset], self._pixels(corpus, Split.TRAIN)
        return joined(singles, cube_pictures(corpus, pixels, preset, self.seed, folder / "cubes.npz"))

    def trained(self, corpus: Corpus) -> dict[str, Model]:
        """The models of the two stages, the single-input baselines, and small-v2 where they start from it."""
        first = self.started(corpus)
        stage1 = self.finetuned(corpus, first)
        combined = self.combined(corpus, stage1, first.card)
        baselines = self.baselines(corpus, combined, stage1.composer)
        if self.settings.scratch is not None:
            return {"combiner": combined, "sum": stage1, **baselines}
        self._look(corpus, combined.encoder, corpus.galleries[Split.TEST])
        return {"combiner": combined, "stage1": stage1, "small": load_model(NAME), **baselines}

    def started(self, corpus: Corpus) -> Model:
        """The start of stage 1: small-v2 with the words of the training texts, or an encoder made here."""
        if self.settings.scratch is not None:
            return self.with_texts(corpus, self.pretrained(corpus))
        model = load_model(NAME)
        with self._stage("estimate the poses"):
            data, first = self._data(corpus), self.settings.finetune
            self._look(corpus, model.encoder, data.table(first.text, first.loop.batch_size).images)
            self._look(corpus, model.encoder, corpus.galleries[Split.VAL])
        return Model(model.encoder.with_vocabulary(_texts(corpus), keep=True), model.composer, model.card)

    def _look(self, corpus: Corpus, encoder: Encoder, names: Sequence[str]) -> None:
        """The estimator's poses of pictures, in the cache, by all processes together; in the order of later use."""
        paths = [corpus.image_path(name) for name in names]
        image_features(encoder, paths, self.out / "cache", trunk=True, all_processes=True)

    def pretrained(self, corpus: Corpus) -> Encoder:
        """The small encoder, its image side pretrained on single bodies."""
        scratch = self._scratch
        encoder = small_encoder(scratch.sizes, _texts(corpus), self.seed)
        file, loop = self.out / IMAGE_SIDE, scratch.loop
        if file.exists():
            encoder.visual.load_state_dict(load_file(file))
            return encoder.eval()
        with self._stage("pretrain the image encoder"):
            stage = Pretrain(encoder, self.bodies(corpus), scratch.pretrain, loop.batch_size, self.seed)
            run(stage, loop, file.parent, self._validator(stage, corpus), "pretrain")
            if rank() == 0:
                write_bytes(file, save({k: v.contiguous() for k, v in encoder.visual.state_dict().items()}))
        return encoder.eval()

    def _pixels(self, corpus: Corpus, split: Split) -> np.ndarray:
        """The gallery of a split, squared to the encoder's input size."""
        paths = [corpus.image_path(n) for n in corpus.galleries[split]]
        config, size = small_config(self._scratch.sizes), self._scratch.sizes.image_size
        with first_process_first():
            return decoded(paths, config.transform, size, config.target_ratio, self.out / "cache")

    def _validator(self, stage: Pretrain, corpus: Corpus) -> Callable[[], Metrics]:
        poses, pixels = corpus.poses, self._pixels(corpus, Split.VAL)
        assert poses is not None, "BodyCPR always has poses"
        rows = poses.rows(corpus.galleries[Split.VAL])
        group = poses.columns["cube"][rows]
        return lambda: stage.validate(pixels, poses.joints[rows], poses.yaw[rows], group)

    def _data(self, corpus: Corpus) -> Data:
        return Data(corpus, key="auto", cache=self.out / "cache")

    def with_texts(self, corpus: Corpus, encoder: Encoder) -> Model:
        """From scratch, the text encoder trains alone first; the head would memorise the training cubes."""
        with self._stage("train the text encoder"):
            return finetune(self._data(corpus), encoder, self._scratch.text, self.out / "text")

    def finetuned(self, corpus: Corpus, first: Model) -> Model:
        """Stage 1: the text encoder and the head of the image side, with the element-wise sum.

        small-v2 was trained with a Combiner, and its features do not add up; so its Combiner takes the place
        of the sum and trains too.
        """
        folder = self.out / ("sum" if self.settings.scratch else "stage1")
        with self._stage("train text encoder and head"):
            data, settings = self._data(corpus), self.settings.finetune
            return finetune(data, first.encoder, settings, folder, start=_combiner(first.composer))

    def combined(self, corpus: Corpus, stage1: Model, card: Mapping[str, Any]) -> Model:
        """Stage 2: the Combiner on the frozen encoders, with the cyclic loss.

        :param card: of the model that stage 1 started from, whose weight beside the symbolic score is kept.
        """
        inherited = {key: card[key] for key in (CARD_KEY,) if key in card}
        with self._stage("train the Combiner"):
            return train_combiner(
                self._data(corpus), stage1.encoder, self.settings.combiner, self.out / "model",
                _combiner(stage1.composer), inherited=inherited,
            )  # fmt: skip

    def baselines(self, corpus: Corpus, model: Model, start: Composer) -> dict[str, Model]:
        """``image_only`` and ``text_only``, trained like the Combiner and from the same weights."""
        data, settings, encoder = self._data(corpus), self.settings.combiner, model.encoder
        with self._stage("train the baselines"):
            table = data.table(settings.text, settings.loop.batch_size)
            encoded, folder = Encoded.of(data, table, encoder, settings), self.out / "baselines"
            return {
                f"{kept}_only": train_one_input(
                    kept, encoded, _combiner(start) or new_combiner(encoder.dim, settings), model, folder
                )
                for kept in ("image", "text")
            }

    def index(self, corpus: Corpus) -> None:
        """The gallery of all pictures, with the features that training and evaluation have left in the cache."""
        model = LoadedModel(load_model(self.out / "model"))
        train = self.settings.combiner if self.settings.scratch else self.settings.finetune
        features: dict[str, np.ndarray] = {}
        for names in (
            self._data(corpus).table(train.text, train.loop.batch_size).images,
            corpus.galleries[Split.VAL],
            corpus.galleries[Split.TEST],
        ):
            paths = [corpus.image_path(name) for name in names]
            vectors = image_features(model.model.encoder, paths, self.out / "cache").plain.numpy()
            features |= zip(names, vectors, strict=True)
        say(build(corpus.root, model, self.out / "gallery", model_name=model.name, features=features).line())

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Time a stage; the seconds of an interrupted one count from its last start."""
        say(f"{name} ...")
        start = time.monotonic()
        yield
        if rank() > 0:
            return
        self.seconds[name] = max(self.seconds.get(name, 0.0), round(time.monotonic() - start, 1))
        write_json(self._clock, self.seconds)
        say(f"{name}: {self.seconds[name]:.0f} s")


def _combiner(composer: Composer) -> Combiner | None:
    """A copy to train; None of a sum."""
    return copy.deepcopy(composer) if isinstance(composer, Combiner) else None


def _texts(corpus: Corpus) -> list[str]:
    return [text for pair in corpus.split(Split.TRAIN) for text in pair.texts.get("auto", ())]


def _help(out: Path, settings: DemoSettings, seed: int) -> None:
    """What a second process does: train the same models with its share of each batch."""
    Demo(out, settings, seed).trained(load_corpus(out / "corpus"))


def run_demo(out: Path, quick: bool = False, seed: int = 0, from_scratch: bool = False) -> tuple[Path, list[str]]:
    """Run or finish the demo in ``out``; prints where report, metrics and model are, and how to search.

    :param from_scratch: train an image encoder from random weights instead of starting from small-v2.
    :return: the report, and the arguments of the command that opens the page.
    """
    name = ("scratch-quick" if quick else "scratch") if from_scratch else "quick" if quick else "demo"
    report = Demo(out, DemoSettings.preset_file(name, seed), seed).run()
    say(f"report:  {report}")
    say(f"metrics: {report.with_name('metrics.json')}")
    say(f"model:   {report.parent / 'model'}")
    serve = ["serve", f"{out}/gallery"]
    say(f"search the demo's pictures in a browser:  autocompose {' '.join(serve)}")
    return report, serve
