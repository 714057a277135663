"""Ownership of a folder: its settings, whether it is finished, what differs, and which files are ours.

FOLDER/STAGE-started.manifest.json   written first: the settings, and the files that the stage writes
FOLDER/STAGE.manifest.json           written last: the same settings, and what came out

A folder is taken only when it is absent, empty, or carries such a record. Only files that a record names are removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from autocompose.core.errors import ConfigError, InputError
from autocompose.core.files import is_part, read_json, value_hash, write_text

MANIFEST = ".manifest.json"
PAGE_MARK = b'name="generator" content="autocompose"'  # in the head of every HTML page that is written to a file
GALLERY = "gallery.json"  # the record of a gallery
Settings = Mapping[str, Any]
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".lock"})  # of file managers, and our own lock: no content
SHOWN = 3  # differences that a message names
# stage -> the record of version 0.1 that had a name of its own, a key in it, and the file that came last
_OLD = {
    "train": ("settings.json", "encoder", "model.json"),
    "options": ("training_hyperparameters.json", "clip_model_name", "validation_metrics.csv"),
    "bodycpr": ("poses.manifest.json", "settings", "bodycpr.manifest.json"),
    "evaluation": ("metrics.json", "ci95", "metrics.json"),
}


class RunFolder:
    """The folder that one stage of the program makes.

    Usage::

        own = RunFolder(out, "render", "pictures")
        if not own.claim(settings, files=["a.png"]):
            ...do the work...
            own.finish(images=1)

    :param stage: names the records; a folder may hold those of several stages.
    :param what: what the folder holds, in messages.
    :param beside: stages whose folder this one may share; only files that are not there yet are then written.
    :param within: a folder of the user's choice that may lie in this one, such as that of a cache.
    """

    def __init__(
        self,
        folder: Path,
        stage: str,
        what: str = "results",
        beside: Sequence[str] = (),
        within: Path | None = None,
    ) -> None:
        self.folder, self.stage, self.what, self.beside, self.within = Path(folder), stage, what, beside, within
        self.started_path = self.folder / f"{stage}-started{MANIFEST}"
        self.path = self.folder / f"{stage}{MANIFEST}"

    def record(self) -> dict[str, Any] | None:
        """What came out, and the settings; None when the stage has not finished."""
        return _read(self.path)

    def made_with(self) -> dict[str, Any] | None:
        """The settings of the folder, finished or not; None when no record tells."""
        record = self._any_record()
        return record.get("settings") if record else None

    def finished(self, settings: Settings) -> bool:
        """The stage has finished with exactly these settings."""
        record = self.record()
        return record is not None and record.get("settings_hash") == value_hash(_plain(settings))

    @property
    def is_old(self) -> bool:
        """The folder has a record of version 0.1, which named no files and knew less of what it was made from."""
        record = self._any_record()
        return record is not None and "program" not in record

    def differences(self, settings: Settings, old: Settings | None = None) -> list[str]:
        """What differs between the folder's settings and these; [] also when no record tells.

        :param old: the settings as version 0.1 wrote them, for its records; keys that these lack are not compared.
        """
        record = self._any_record()
        if record is None:
            return []
        if "program" in record or old is None:
            return difference(record["settings"], _plain(settings))
        return difference(record["settings"], {k: v for k, v in _plain(old).items() if k in record["settings"]})

    def check(self, settings: Settings, old: Settings | None = None, files: Iterable[str] = ()) -> bool:
        """Check whether the folder may be used, without writing.

        :param files: names that the stage writes from the start.
        :return: the stage has finished.
        :raises ConfigError: the folder was made with other settings; names them. InputError: it is not ours.
        """
        inside = self._inside()  # read before the record, which another process of this run may just be writing
        if self._any_record() is None:
            self._require_free(inside, files)
            return False
        if differences := self.differences(settings, old):
            raise ConfigError(
                f"{self.folder}: holds {self.what} made with other settings ({some(differences)}); "
                "choose another folder or delete it"
            )
        return self._has_finished()

    def claim(self, settings: Settings, old: Settings | None = None, files: Iterable[str] = ()) -> bool:
        """``check``, then write down that the folder is this stage's.

        :return: the stage has finished; nothing needs to be done.
        """
        files = list(files)
        if self.check(settings, old, files):
            return True
        self.start(settings, files)
        return False

    def renew(self, settings: Settings, files: Iterable[str]) -> None:
        """Take the folder for new results in place of earlier ones of this stage, whatever they were made with.

        :param files: all that will be written; others that the stage has named before are removed.
        :raises InputError: the folder is not ours, or one of the files is somebody else's.
        """
        files = list(files)
        if self._any_record() is None:
            self._require_free(self._inside(), files)
        elif not self.is_old:
            self._refuse_taken(files)
        keep = {self.folder / name for name in files}
        for path in list(self.owned()):
            if path not in keep:
                path.unlink(missing_ok=True)
        self.start(settings, files)

    def add(self, files: Iterable[str]) -> None:
        """Name files that are about to be written into a folder which may be anybody's.

        :raises InputError: one of them is there, and is not of this stage.
        """
        files = list(files)
        self._refuse_taken(files)
        self.start({}, files)

    def start(self, settings: Settings, files: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Write the first record; names of an earlier one are kept.

        :param files: names, relative to the folder, of files that the stage writes.
        :param patterns: the same as patterns of ``Path.glob``, for names that are not known before.
        """
        before = _read(self.started_path) or {}
        more = {"files": files, "patterns": patterns}
        record = {key: list(dict.fromkeys([*before.get(key, ()), *names])) for key, names in more.items()}
        if before.get("settings") != _plain(settings) or any(before.get(key) != names for key, names in record.items()):
            _write(self.started_path, settings, record)

    def name_files(self, files: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Add to the files of the stage, before they are written."""
        self.start((_read(self.started_path) or {}).get("settings", {}), files, patterns)

    def finish(self, settings: Settings | None = None, **results: Any) -> None:
        """Declare the stage complete; call it last.

        :param settings: default: those that the folder was claimed with.
        """
        _write(self.path, settings if settings is not None else (self.made_with() or {}), results)

    def release(self) -> None:
        """Take the records away: what is finished belongs to the user, and is never replaced."""
        self.path.unlink(missing_ok=True)
        self.started_path.unlink(missing_ok=True)

    def owned(self) -> Iterator[Path]:
        """The files that the stage has named and that are there."""
        record, root = _read(self.started_path) or {}, self.folder.resolve()
        paths = [self.folder / str(name) for name in record.get("files", ())]
        patterns = [str(pattern) for pattern in record.get("patterns", ()) if not Path(str(pattern)).is_absolute()]
        paths += [path for pattern in patterns for path in self.folder.glob(pattern)]
        for path in paths:  # a record may come from a stranger: it names nothing outside its folder
            if path.parent.resolve().is_relative_to(root) and (path.is_file() or path.is_symlink()):
                yield path

    def clear(self) -> None:
        """Remove the files that the stage has named, folders that this leaves empty, and the record of the end.

        The first record stays, so that the folder is known as ours; ``start`` replaces it.
        """
        folders = set[Path]()
        for path in self.owned():
            path.unlink(missing_ok=True)
            folders.update(p for p in path.parents if self.folder in p.parents)
        for folder in sorted(folders, key=lambda p: len(p.parts), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        self.path.unlink(missing_ok=True)

    def _any_record(self) -> dict[str, Any] | None:
        record = _read(self.started_path) or _read(self.path)
        if record is None and self.stage in _OLD:
            name, key, _ = _OLD[self.stage]
            path = self.folder / name
            content = read_json(path) if path.is_file() else None
            if isinstance(content, dict) and key in content:
                return content if key == "settings" else {"settings": content}
        return record

    def _inside(self) -> list[str]:
        names, root = _names(self.folder), self.folder.resolve()
        if self.within and root in self.within.resolve().parents:
            own = self.within.resolve().relative_to(root).parts[0]
            names = [name for name in names if name != own]
        return names

    def _has_finished(self) -> bool:
        if self.path.exists() or self.started_path.exists():
            return self.path.exists()
        return self.stage in _OLD and (self.folder / _OLD[self.stage][2]).exists()

    def _require_free(self, inside: list[str], files: Iterable[str]) -> None:
        if not any(RunFolder(self.folder, stage)._any_record() for stage in self.beside):
            _refuse_names(self.folder, inside, self.what)
        self._refuse_taken(files)

    def _refuse_taken(self, files: Iterable[str]) -> None:
        named = (_read(self.started_path) or {}).get("files", ())
        taken = next((name for name in files if name not in named and (self.folder / name).exists()), None)
        if taken:
            raise InputError(f"{self.folder / taken}: already exists; choose another folder, or move the file")


def maker(folder: Path) -> str | None:
    """What the program made a folder as: ``gallery``, or the stage of a record in it; None when nothing tells."""
    with suppress(OSError, ValueError, InputError):
        record = read_json(folder / GALLERY) if (folder / GALLERY).is_file() else None
        if isinstance(record, dict) and {"pictures", "fingerprint", "dim"} <= record.keys():
            return "gallery"
        for path in folder.glob(f"*{MANIFEST}"):
            with path.open("rb") as file:
                if b'"settings_hash"' in file.read(300):
                    return path.name.removesuffix(MANIFEST).removesuffix("-started")
    return None


def files_of_others(root: Path) -> list[Path]:
    """All files below ``root``, sorted, but those in folders that this program has made; links to folders are not
    followed.
    """
    files = []
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if maker(here / name) is None]
        files += [path for path in (here / name for name in names) if path.is_file()]
    return sorted(files)


def require_free(folder: Path, what: str) -> None:
    """Refuse a folder that is not empty.

    :raises InputError: names the folder and one of the things in it.
    """
    _refuse_names(Path(folder), _names(folder), what)


def _names(folder: Path) -> list[str]:
    try:
        names = sorted(path.name for path in Path(folder).iterdir())
        return [name for name in names if name not in LITTER and not is_part(name)]  # killed before the first record
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder}: not a writable folder ({error.strerror}); name another one") from None


def _refuse_names(folder: Path, inside: list[str], what: str) -> None:
    if inside:
        raise InputError(
            f"{folder}: not empty and not {what} made by this program (it contains {inside[0]!r}); "
            "choose an empty or new folder"
        )


def require_ours(path: Path, *marks: bytes) -> None:
    """Refuse to replace a file that the program has not written.

    :param marks: any of them tells, in the first bytes, that it has.
    :raises InputError: the file is there and is somebody else's.
    """
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(4096)
        if head and not any(mark in head for mark in marks):
            raise InputError(
                f"{path}: already exists and was not made by this program; name another file or move this one"
            )
    elif path.exists():
        raise InputError(f"{path}: not a regular file; name another")


def difference(old: Any, new: Any, key: str = "") -> list[str]:
    """What differs between two settings, as lines ``key = old instead of new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(k for k in new if k not in old)]
        return [line for k in keys for line in difference(old.get(k), new.get(k), f"{key}.{k}".lstrip("."))]
    short = [str(v)[:12] + "…" if isinstance(v, str) and len(v) == 64 else repr(v) for v in (old, new)]
    return [] if old == new else [f"{key} = {short[0]} instead of {short[1]}"]


def some(differences: list[str]) -> str:
    """The first differences, for a message."""
    more = len(differences) - SHOWN
    return "; ".join(differences[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings as JSON gives them back: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(settings), default=str))
    return plain


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise InputError(f"{path}: not a record of this program; choose another folder")
    return record


def _write(path: Path, settings: Settings, more: Settings) -> None:
    import autocompose

    plain = _plain(settings)
    record = {"program": autocompose.__version__, "settings_hash": value_hash(plain), "settings": plain, **more}
    # ASCII: names of files may hold bytes that are no UTF-8
    write_text(path, json.dumps(record, indent=1) + "\n")
