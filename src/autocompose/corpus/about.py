"""``about.json``: where a corpus comes from, what may be done with it, and what its protocol lets splits share."""

from __future__ import annotations

from pathlib import Path

from autocompose.core.config import Config
from autocompose.core.files import read_json, write_json

FILE = "about.json"


class About(Config):
    """The provenance of a corpus.

    :param name: short name of the data, such as ``fixmypose``.
    :param protocol: how pairs and splits were made, one or two sentences.
    :param sources: what it was made from, one line for each, with addresses.
    :param licence: licences of pictures and texts, as their owners state them.
    :param redistribution: what may be passed on, and what not.
    :param shares: members of ``validate.SHARED_KEYS`` that the protocol lets splits share.
    """

    name: str
    protocol: str = ""
    sources: tuple[str, ...] = ()
    licence: str = "not stated"
    redistribution: str = "not stated: do not pass the pictures or texts on before you have checked"
    shares: tuple[str, ...] = ()

    def save(self, root: Path) -> None:
        """Write ``root/about.json`` atomically."""
        write_json(root / FILE, self.model_dump())

    @classmethod
    def of(cls, root: Path) -> About:
        """Read ``root/about.json``; a corpus without one is named after its folder.

        :raises ConfigError: unknown keys or wrong types.
        """
        path = root / FILE
        return cls.parse(read_json(path, dict), str(path)) if path.exists() else cls(name=root.resolve().name)
