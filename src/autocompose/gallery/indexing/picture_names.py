"""Which picture a name in a side file means: spreadsheets, archives and other systems write names their own way."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath, PurePosixPath

MAX_COMPARED = 5_000  # names that a misspelt one is compared with


class PictureNames:
    """The pictures of a folder by any spelling of their names.

    :param names: paths below the folder, forward slashes.
    :param root: the folder; names may begin with it, or with its own name.
    """

    def __init__(self, names: Iterable[str], root: PurePath) -> None:
        self.names = frozenset(names)
        self._prefixes = [_key(f"{root.as_posix()}/"), _key(f"{root.name}/")]
        self._by_key: dict[str, list[str]] | None = None

    def find(self, name: str) -> str | None:
        """The picture that ``name`` means: itself, or the only one that is equal but for back slashes, ``./``,
        composed and decomposed accents, small and capital letters, and the folder in front."""
        if name in self.names:
            return name
        if self._by_key is None:
            self._by_key = defaultdict(list)
            for known in self.names:
                self._by_key[_key(known)].append(known)
        key = _key(name)
        for candidate in (key, *(key.removeprefix(p) for p in self._prefixes if key.startswith(p))):
            if matches := self._by_key.get(candidate):
                return matches[0] if len(matches) == 1 else None
        return None

    def suggest(self, name: str) -> str | None:
        """A suggestion for a name without a match."""
        key = _key(name)
        same = [n for n in self.names if _key(PurePosixPath(n).name) == PurePosixPath(key).name]
        if same:
            return min(same)
        near = sorted(n for n in self.names if abs(len(n) - len(name)) <= 3)[:MAX_COMPARED]
        return next(iter(get_close_matches(name, near, 1, 0.75)), None)


def _key(name: str) -> str:
    text = unicodedata.normalize("NFC", name.strip().replace("\\", "/")).casefold()
    while text.startswith("./"):
        text = text[2:]
    return unicodedata.normalize("NFC", text.replace("/./", "/").replace("//", "/"))
