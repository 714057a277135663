"""The folder of a gallery: its sources, its writer lock, its store, and the deleted pictures.

GALLERY/gallery.json       format, picture folder, model, store
GALLERY/items.sqlite, vectors-N.faiss     the embedded store; absent with a Qdrant server
GALLERY/poses-N/           poses of large galleries, for mapping; of the embedded store
GALLERY/thumbs/            thumbnails by content
GALLERY/videos/            how far each video has been indexed, by content
GALLERY/forgotten.json     content hashes of pictures that were deleted on request and stay out
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.errors import GalleryError, InputError
from autocompose.core.files import read_json, write_json
from autocompose.estimate.people_finder import Finder, PeopleFinder
from autocompose.estimate.videos.sampling import Sampling
from autocompose.gallery.storage.store import EmbeddedStore, Store
from autocompose.model.embedders.embedder import Embedder
from autocompose.model.embedders.naming import ADDRESS, known_model, open_embedder
from autocompose.model.embedders.options import EmbedderOptions


class GalleryConfig(Config):
    """The sources and settings of a gallery.

    :param pictures: folder that item paths are relative to (absolute).
    :param source: what was named when indexing: the same folder, or the corpus around it.
    :param model: what names it: a run folder, a weight file or ``pretrained:TAG``; "" = it has no name.
    :param model_options: settings of a model that is not ours (``EmbedderOptions``) that differ from the defaults.
    :param destination: host and model that pictures may be sent to; "" = they stay on this machine.
    :param fingerprint: of the model; only that model may search here.
    :param dim: feature size D.
    :param store: ``embedded`` or ``qdrant://host:port/collection``.
    :param index: exact or approximate search.
    :param people: corpus that tells where people are in the pictures; "" = none was named.
    :param poses: people were looked for and their poses estimated; None: a gallery of version 0.1, which could not.
    :param pose_weights: file of the pose networks; "" = those of the package.
    :param videos: whether videos are indexed; ``video_rate``, ``video_change``: see ``Sampling``.
    :param indexed_ns: when the last complete run began, nanoseconds since 1970; 0 = not known.
    """

    format: Literal[1] = 1
    pictures: str
    source: str
    model: str
    model_options: dict[str, Any] = Field({})
    destination: str = ""
    fingerprint: str
    dim: int
    store: str = "embedded"
    index: Literal["exact", "approximate"] = "exact"
    people: str = ""
    poses: bool | None = None
    pose_weights: str = ""
    indexed_ns: int = 0
    videos: bool = True
    video_rate: float = 4.0
    video_change: float = 150.0

    @property
    def sampling(self) -> Sampling:
        """Which frames of videos are kept."""
        return Sampling(self.video_rate, self.video_change)

    def save(self, folder: Path) -> None:
        """Write ``gallery.json``."""
        write_json(folder / "gallery.json", self.model_dump())


def read_config(folder: Path) -> GalleryConfig | None:
    """The configuration of a gallery folder, None when it is not one.

    :raises ConfigError: the file is there but wrong.
    """
    path = Path(folder) / "gallery.json"
    return GalleryConfig.parse(read_json(path, dict), str(path)) if path.exists() else None


def open_store(folder: Path, config: GalleryConfig, *, write: bool = False) -> Store:
    """The store that a gallery uses.

    :raises GalleryError: cannot be opened; DependencyError: no client for it.
    """
    if config.store == "embedded":
        return EmbeddedStore(folder, config.fingerprint, config.index, write=write)
    from autocompose.gallery.storage.qdrant import QdrantStore

    return QdrantStore.connect(config.store, config.fingerprint, config.dim, write=write)


def model_for(
    config: GalleryConfig | None, name: str = "", changes: Mapping[str, Any] | None = None, consent: bool = False
) -> Embedder:
    """The model of a gallery, or one to make it with.

    :param config: of the gallery as it is; None: there is none yet.
    :param name, changes: what the user says: a model, and how it is used; else as the gallery was made, or ``small``.
    :param consent: pictures may be sent to the model's host; else only where that was agreed to for this gallery.
    """
    known = config.model if config else ""
    same = name in ("", known) or all(one.startswith(ADDRESS) for one in (name, known))
    kept = config.model_options if config and same else {}
    options = EmbedderOptions.parse({**kept, **(changes or {})}, "options of the model")
    embedder = open_embedder(name or known_model(known) or known or "small", options, consent)
    embedder.consent = consent or bool(config and embedder.destination and config.destination == embedder.destination)
    return embedder


def finder_for(config: GalleryConfig | None, poses: bool | None = None, weights: Path | None = None) -> Finder | None:
    """The people finder for indexing; None if detection is off.

    :param config: of the gallery as it is; None: there is none yet.
    :param poses, weights: what the user says; None: as the gallery was made, else with the package's networks.
    :raises InputError: weights for nothing; CheckpointError: no such weights.
    """
    if poses is False:
        if weights:
            raise InputError("--pose-weights with --no-poses: use only one of them")
        return None
    if poses is None and weights is None and config and config.poses is False:
        return None
    kept = Path(config.pose_weights) if config and config.pose_weights else None
    return PeopleFinder(weights or kept)


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Only one process writes; the lock ends with the process, even if it is killed.

    :raises GalleryError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(Path(folder) / ".lock")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise GalleryError(f"{folder}: another process is indexing this gallery; wait until it has finished") from None
    except OSError as error:
        raise GalleryError(f"{folder}: not a writable folder ({error.strerror}); name another one") from None
    try:
        yield
    finally:
        lock.release()


def forgotten(folder: Path) -> set[str]:
    """Content hashes of pictures that were deleted for good."""
    path = Path(folder) / "forgotten.json"
    digests = read_json(path, list) if path.exists() else []
    if not all(isinstance(digest, str) for digest in digests):
        raise GalleryError(f"{path}: damaged, expected a list of content hashes; restore it from a backup")
    return set(digests)


def remember_forgotten(folder: Path, digests: set[str]) -> None:
    """Add to the pictures that were deleted for good."""
    write_json(Path(folder) / "forgotten.json", sorted(forgotten(folder) | digests))
