"""The identity of a training run: everything that determines its result."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autocompose.core.config import Config
from autocompose.core.distributed import first_process_first
from autocompose.core.files import value_hash
from autocompose.core.fingerprint import Contents
from autocompose.core.run_folder import RunFolder
from autocompose.model.encoder import Encoder
from autocompose.train.run_data import Data
from autocompose.train.sampling import TripletTable


@dataclass(frozen=True)
class MadeWith:
    """What determines a run: data, queries, initial weights and settings; and what version 0.1 recorded of them."""

    settings: dict[str, Any]
    old: dict[str, Any]
    cache: Path | None

    @classmethod
    def of(
        cls,
        data: Data,
        table: TripletTable,
        encoder: Encoder,
        settings: Config,
        start: nn.Module | None = None,
    ) -> MadeWith:
        """Hashes the pictures; with a cache folder only those that have changed."""
        old = {"encoder": encoder.fingerprint(), "data": data.hash(), **settings.model_dump(mode="json")}
        names = sorted({*table.images, *(n for s in data.splits for n in data.corpus.galleries[s])})
        with first_process_first():
            contents = Contents(data.cache)
            pictures = contents.of([data.corpus.image_path(n) for n in names])
            contents.save()
        more = {
            "pictures": value_hash(dict(zip(names, pictures, strict=True))),
            "questions": {
                "train": str(data.train),
                "val": str(data.val) if data.val else None,
                "key": data.key,
                "flatten": data.flatten,
            },
            "start": state_hash(start) if start else None,
        }
        return cls({**old, **more}, old, data.cache)

    def own(self, folder: Path) -> RunFolder:
        """The run's folder; beside the papers of the commands that call it."""
        return RunFolder(folder, "train", "a run", beside=("options",), within=self.cache)

    def has_finished(self, folder: Path) -> bool:
        """Whether the folder contains this run, finished.

        :raises ConfigError: it holds another one; says what differs. InputError: something else.
        """
        return self.own(folder).check(self.settings, self.old)


def state_hash(module: nn.Module) -> str:
    """SHA-256 of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
