"""Any multimodal model of sentence-transformers: ``st:NAME_OR_FOLDER``."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompose.core.errors import AutocomposeError, CheckpointError, DependencyError
from autocompose.core.files import file_hash, value_hash
from autocompose.core.fingerprint import WHOLE
from autocompose.core.log import track
from autocompose.model.embedders.embedder import Embedder, TextCache, decoded, unit
from autocompose.model.embedders.options import EmbedderOptions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from autocompose.model.embed import Picture

PREFIX = "st:"
COMMIT = "modules.json"  # stands in every repository of sentence-transformers
BOTH: Any = (("image", "text"), ("text", "image"))


class SentenceModel(Embedder):
    """A model of sentence-transformers that embeds pictures and texts; of many, both together.

    :param source: a folder, from which nothing is downloaded, or a repository's name on the hub, which is downloaded
        where it is not in the cache. Code of a repository is never run.
    :raises DependencyError: the library is missing; CheckpointError: it cannot load the model.
    """

    def __init__(self, source: str, options: EmbedderOptions | None = None) -> None:
        self.options = options or EmbedderOptions()
        self.source = str(Path(source).resolve()) if os.path.isdir(source) else source
        self.name = PREFIX + self.source
        self.text_weight = self.options.text_weight
        self._texts = TextCache(self._encode_texts)
        self._loading = threading.Lock()
        self._kept: SentenceTransformer | None = None
        made = ["sentence-transformers", self._identity(), self.options.document_prompt]
        self.fingerprint = value_hash(made)[:16]

    def __reduce__(self) -> tuple[type[SentenceModel], tuple[Any, ...]]:
        """Another process loads the model itself."""
        return SentenceModel, (self.source, self.options)

    def _identity(self) -> list[Any]:
        """The files of a folder, or name and commit of a repository."""
        folder = Path(self.source)
        if folder.is_dir():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return [[path.relative_to(folder).as_posix(), _content(path)] for path in files]
        from huggingface_hub import try_to_load_from_cache

        try:
            cached = try_to_load_from_cache(self.source, COMMIT) or (self.loaded and None)
            cached = cached or try_to_load_from_cache(self.source, COMMIT)
        except AutocomposeError:
            raise
        except Exception as error:  # no possible name of a repository
            raise CheckpointError(f"{self.name}: neither a folder nor OWNER/NAME on the hub ({error})") from None
        return [self.source, Path(cached).parent.name if isinstance(cached, str) else ""]

    @property
    def loaded(self) -> SentenceTransformer:
        """The model, loaded when it is first used, on the GPU if there is one.

        :raises CheckpointError: it cannot be loaded, or embeds no pictures.
        """
        with self._loading:
            if self._kept is None:
                self._kept = _load(self.name, self.source)
            return self._kept

    @property
    def settings(self) -> dict[str, Any]:
        """The options that differ from the defaults."""
        return self.options.changed()

    @property
    def joint(self) -> bool:
        """It embeds a picture with a text, and no weight of a sum is set."""
        return self.options.text_weight is None and any(self.loaded.supports(both) for both in BOTH)

    @property
    def query_settings(self) -> str:
        """The prompts of queries."""
        return f"{self.options.composed_prompt}\n{self.options.query_prompt}"

    def embed_images(self, images: Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised."""
        return self._encode("encode_document", [{"image": image} for image in images], self.options.document_prompt)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised; each is computed once."""
        return self._texts(texts)

    def _encode_texts(self, texts: list[str]) -> np.ndarray:
        follows = "message" in self.loaded.modalities
        prompt = self.options.text_prompt if follows else self.options.query_prompt
        return self._encode("encode_query", [{"text": text} for text in texts], prompt)

    def compose_pictures(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised: pictures and texts together, or their weighted sum."""
        if not self.joint:
            return super().compose_pictures(images, texts)
        inputs = [{"image": image, "text": text} for image, text in zip(images, texts, strict=True)]
        return unit(self._encode("encode_query", inputs, self.options.composed_prompt))

    def _encode(self, method: str, inputs: list[dict[str, Any]], prompt: str | None) -> np.ndarray:
        """Inputs are dictionaries: the library would take a bare text that looks like an address for a picture."""
        encode, size = getattr(self.loaded, method), self.options.batch_size
        given = {} if prompt is None else {"prompt": prompt}
        parts = []
        for start in track(range(0, len(inputs), size), "encoding") if len(inputs) > size else (0,):
            batch = [
                {kind: decoded(value) if kind == "image" else value for kind, value in one.items()}
                for one in inputs[start : start + size]
            ]
            try:
                vectors = encode(batch, batch_size=size, show_progress_bar=False, **given)
            except Exception as error:  # of the library, and of the model
                raise CheckpointError(f"{self.name}: {method} failed ({_words(error)})") from None
            parts.append(np.asarray(vectors, np.float32).reshape(len(batch), -1))
        return np.concatenate(parts)


def _load(shown: str, source: str) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise DependencyError("sentence-transformers", "embedders", shown) from None
    local = os.path.isdir(source)
    try:
        model = SentenceTransformer(source, local_files_only=local)
    except Exception as error:  # of hubs, networks, archives and configurations
        hint = "copy the folder again" if local else f"connect, or download it first: hf download {source}"
        raise CheckpointError(f"{shown}: sentence-transformers cannot load it ({_words(error)}); {hint}") from None
    missing = [kind for kind in ("image", "text") if not model.supports(kind)]  # type: ignore[arg-type]
    if missing:
        kinds = ", ".join(map(str, model.modalities))
        raise CheckpointError(f"{shown}: embeds {kinds}, but no {missing[0]}; choose a model for pictures and texts")
    return model


def _content(path: Path) -> str:
    """What tells whether a file is the same; files of many gigabytes are known by size and ends."""
    size = path.stat().st_size
    if size <= 64 * WHOLE:
        return file_hash(path)
    with open(path, "rb") as file:
        start = file.read(WHOLE)
        file.seek(-WHOLE, os.SEEK_END)
        return value_hash([size, start.hex(), file.read(WHOLE).hex()])


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
