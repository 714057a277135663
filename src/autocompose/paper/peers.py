"""A list of models on one corpus, in one table: recall, robustness, speed, size and cost (``runs/peers.sh``).

Each model is measured with each bank of texts; what is finished is not measured again, and an embedder's vectors are
kept as they come. A model that cannot be opened has a row that says why, and how to get it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from autocompose.core.config import Config
from autocompose.core.errors import AutocomposeError, ConfigError, CorpusError
from autocompose.core.files import read_json, value_hash, write_json
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.core.run_folder import RunFolder
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.evaluate.questions import evaluate_model, questions_of
from autocompose.evaluate.results import write_evaluation
from autocompose.evaluate.robust.judged import judge
from autocompose.model.embedders.embedder import Embedder
from autocompose.model.embedders.naming import is_download, open_embedder
from autocompose.model.embedders.options import EmbedderOptions
from autocompose.paper.peers_table import Line, write_table

SAMPLE = 64  # pictures and queries by which speed is measured


class Peer(Config):
    """One model.

    :param title: its name in the table; ``name``: what ``--model`` takes.
    :param options: how it is used, see ``EmbedderOptions``.
    :param get: how to get its weights, in words or as a command.
    :param dollars_per_million_tokens: of an endpoint, by its own count of tokens; None: the cost is not stated.
    """

    title: str = Field(min_length=1)
    name: str
    options: EmbedderOptions = EmbedderOptions()
    get: str = ""
    dollars_per_million_tokens: float | None = Field(None, ge=0)


class Bank(Config):
    """Texts to ask with.

    :param key: ``human``, ``rules``, ``mllm``, or a field of the corpus.
    :param every_text: one query for each text of a pair, so that the spread over wordings can be measured.
    """

    key: str
    every_text: bool = False

    @property
    def shown(self) -> str:
        """Its name in the table."""
        return f"{self.key}, every text" if self.every_text else self.key


class Peers(Config):
    """The list.

    :param split: the part that is measured. :param dollars_per_hour: of this machine; None: its cost is not stated.
    """

    split: Split = Split.TEST
    texts: tuple[Bank, ...] = (Bank(key="human"),)
    dollars_per_hour: float | None = Field(None, ge=0)
    model: tuple[Peer, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _different(self) -> Peers:
        titles = [peer.title for peer in self.model]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"two models have the title {twice[0]!r}; each needs its own")
        return self


def run_peers(
    peers: Peers, corpus: Corpus, out: Path, cache: Path | None = None, download: bool = False, consent: bool = False
) -> list[Line]:
    """Measure what has not been measured, and write ``peers.csv`` and ``peers.md`` into ``out``.

    :param cache: folder for features; default: the corpus' own.
    :param download: open models by names that download weights. :param consent: pictures may leave the machine.
    :raises ConfigError: ``out`` holds something else.
    """
    own = RunFolder(out, "peers")
    own.add(["peers.csv", "peers.md"])
    lines = []
    for peer in peers.model:
        say(f"{peer.title}: {peer.name}")
        lines += _Measuring(peers, peer, corpus, out, cache or corpus.root / ".cache", download, consent).lines()
        write_table(out, lines)
    own.finish()
    return lines


class _Measuring:
    """One model on the corpus."""

    def __init__(
        self, peers: Peers, peer: Peer, corpus: Corpus, out: Path, cache: Path, download: bool, consent: bool
    ) -> None:
        self.peers, self.peer, self.corpus, self.cache = peers, peer, corpus, cache
        self.download, self.consent = download, consent
        self.folder = out / f"{''.join(c if c.isalnum() else '-' for c in peer.title)}-{value_hash(peer.title)[:6]}"

    def lines(self) -> list[Line]:
        """One line for each bank of texts."""
        try:
            embedder = self._open()
            speed = self._speed(embedder)
        except AutocomposeError as error:
            return [Line(self.peer.title, "", note=self._note(error))]
        lines = []
        for bank in self.peers.texts:
            try:
                lines.append(Line(self.peer.title, bank.shown, self._metrics(embedder, bank), speed))
            except AutocomposeError as error:
                lines.append(Line(self.peer.title, bank.shown, {}, speed, self._note(error)))
        return lines

    def _note(self, error: AutocomposeError) -> str:
        absent = not isinstance(error, CorpusError)
        how = f"; to get it: {self.peer.get}" if self.peer.get and absent else ""
        say(f"{self.peer.title}: not measured: {error}")
        return f"not measured: {error}{how}"

    def _open(self) -> Embedder:
        if is_download(self.peer.name) and not self.download:
            raise ConfigError(f"{self.peer.name} may download weights; allow it with --download")
        return open_embedder(self.peer.name, self.peer.options, self.consent)

    def _made(self, embedder: Embedder, **more: Any) -> dict[str, Any]:
        """What a result depends on."""
        return {"fingerprint": embedder.fingerprint, "options": self.peer.options.changed(), **more}

    def _metrics(self, embedder: Embedder, bank: Bank) -> dict[str, Any]:
        folder = self.folder / f"{bank.key}{'-every' if bank.every_text else ''}"
        made = self._made(embedder, bank=bank.model_dump(), split=str(self.peers.split), corpus=str(self.corpus.root))
        stamp = folder.with_suffix(".json")
        if not (stamp.exists() and read_json(stamp) == made):
            split, texts = self.peers.split, bank.key
            evaluation = evaluate_model(embedder, self.corpus, split, texts, bank.every_text, self.cache)
            write_evaluation(folder, evaluation, 0, self.peer.title, judge(evaluation, self.corpus))
            write_json(stamp, made)
        metrics: dict[str, Any] = read_json(folder / "metrics.json", dict)
        return metrics

    def _speed(self, embedder: Embedder) -> dict[str, Any]:
        """Measured once for each model and way of using it."""
        path, made = self.folder / "speed.json", self._made(embedder)
        if path.exists() and (known := read_json(path, dict)).get("made") == made:
            return dict(known["speed"])
        speed = measure_speed(embedder, self.corpus, self.peers, self.peer)
        write_json(path, {"made": made, "speed": speed})
        return speed


def measure_speed(embedder: Embedder, corpus: Corpus, peers: Peers, peer: Peer) -> dict[str, Any]:
    """Pictures and queries a second, ``SAMPLE`` of them at once, when the model is loaded.

    A query is a text, and a picture whose features are known where the model composes from those.

    :return: ``dim``, ``bytes_per_item``, ``pictures_per_second``, ``queries_per_second``, and
        ``dollars_per_1000_queries`` (None: not stated).
    """
    if embedder.destination and not embedder.consent:
        raise ConfigError(f"pictures would be sent to {embedder.destination}; pass --yes when that is right")
    queries = questions_of(corpus, peers.split, peers.texts[0].key, False)[0][:SAMPLE]
    paths = [corpus.image_path(name) for name in corpus.galleries[peers.split][:SAMPLE]]
    references = [corpus.image_path(query.reference) for query in queries]
    features = embedder.embed_images(references)  # also loads the model
    _ask(embedder, features[:1], references[:1], ["Raise the left arm."])
    begun = time.perf_counter()
    embedder.embed_images(paths)
    between, before = time.perf_counter(), _tokens(embedder)
    _ask(embedder, features, references, [f"{query.text} " for query in queries])  # texts that are not in its cache
    seconds, tokens = time.perf_counter() - between, _tokens(embedder) - before
    return {
        "dim": int(features.shape[1]),
        "bytes_per_item": 4 * int(features.shape[1]),
        "pictures_per_second": len(paths) / (between - begun),
        "queries_per_second": len(queries) / seconds,
        "dollars_per_1000_queries": _dollars(peers, peer, seconds / len(queries), tokens / len(queries)),
    }


def _ask(embedder: Embedder, features: Any, references: Sequence[Path], texts: Sequence[str]) -> None:
    if embedder.joint:
        embedder.compose_pictures(references, texts)
    else:
        embedder.compose(features, texts)


def _tokens(embedder: Embedder) -> int:
    requests = getattr(embedder, "requests", None)
    return requests.tokens if requests is not None else 0


def _dollars(peers: Peers, peer: Peer, seconds: float, tokens: float) -> float | None:
    """Of 1,000 queries, each of so many seconds and tokens."""
    if peer.dollars_per_million_tokens is not None:
        return 1000 * peer.dollars_per_million_tokens * tokens / 1e6
    return None if peers.dollars_per_hour is None or tokens else 1000 * seconds * peers.dollars_per_hour / 3600


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``runs/peers.sh``."""
    parser = argparse.ArgumentParser(prog="peers.sh", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("corpus", type=Path, help="corpus folder")
    parser.add_argument("out", type=Path, help="folder for results; a stopped run continues there")
    parser.add_argument("--list", type=Path, default=Path("runs/peers.toml"), help="TOML list of models")
    parser.add_argument("--cache", type=Path, help="folder for features; default CORPUS/.cache")
    parser.add_argument("--download", action="store_true", help="open models whose names download weights")
    parser.add_argument("--yes", action="store_true", help="consent to send pictures to the hosts of endpoints")
    given = parser.parse_args(arguments)
    peers = Peers.load(given.list)
    try:
        run_peers(peers, load_corpus(given.corpus), given.out, given.cache, given.download, given.yes)
    except AutocomposeError as error:
        raise SystemExit(f"peers.sh: {error}") from None
    say((given.out / "peers.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
