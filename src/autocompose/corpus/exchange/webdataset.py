"""A corpus as WebDataset tar shards.

OUT/pairs-SPLIT-000000.tar      per pair: 000000012.json (the entry), .reference.png, .target.png (or .jpg ...)
OUT/pictures-SPLIT-000000.tar   per picture: 000000034.json ({"name", "in_gallery"}), .png (or .jpg ...)

Pairs carry their pictures, so that training streams one kind of shard; galleries come from the other.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from autocompose.core.errors import InputError
from autocompose.core.files import atomic_file, json_bytes
from autocompose.core.log import track
from autocompose.core.reading.jsontext import parse_json
from autocompose.core.reading.plain import unreadable
from autocompose.core.records import Split
from autocompose.corpus.exchange.transfer import Arrivals, picture_bytes, split_pictures
from autocompose.corpus.format import Corpus, pair_to_json

PATTERNS = ("pairs-*-??????.tar", "pictures-*-??????.tar")  # of the files that it writes
END = 1024  # bytes of zeros that end a tar file; without them it was cut off
Sample = list[tuple[str, bytes]]  # (extension, content)


def write_split(corpus: Corpus, split: Split, out: Path, shard: int) -> None:
    """Write one split; a new shard starts after about ``shard`` bytes. Equal corpora give equal bytes."""
    pairs, names = corpus.pairs[split], split_pictures(corpus, split)
    _write(out, f"pairs-{split}", track(_pair_samples(corpus, split), f"{split} pairs", len(pairs)), shard)
    _write(out, f"pictures-{split}", track(_pictures(corpus, names), f"{split} pictures", len(names)), shard)


def _pair_samples(corpus: Corpus, split: Split) -> Iterator[Sample]:
    for pair in corpus.pairs[split]:
        sample: Sample = [("json", _json(pair_to_json(pair)))]
        for role, name in (("reference", pair.reference), ("target", pair.target)):
            sample.append((f"{role}.{_suffix(name)}", picture_bytes(corpus, name)))
        yield sample


def _pictures(corpus: Corpus, names: dict[str, bool]) -> Iterator[Sample]:
    for name, in_gallery in names.items():
        entry = {"name": name, "in_gallery": in_gallery}
        yield [("json", _json(entry)), (_suffix(name), picture_bytes(corpus, name))]


def _json(value: Any) -> bytes:
    return json_bytes(value)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lstrip(".").lower() or "bin"


def _write(out: Path, stem: str, samples: Iterator[Sample], shard: int) -> None:
    waiting = next(samples, None)
    number = key = 0
    while waiting is not None or number == 0:
        size = 0
        with atomic_file(out / f"{stem}-{number:06d}.tar") as file, tarfile.open(fileobj=file, mode="w") as tar:
            while waiting is not None and size < shard:
                for extension, content in waiting:
                    info = tarfile.TarInfo(f"{key:09d}.{extension}")
                    info.size = len(content)
                    size += len(content)
                    tar.addfile(info, io.BytesIO(content))
                key += 1
                waiting = next(samples, None)
        number += 1


def shards(out: Path, split: Split) -> str:
    """Numbers of the shards with a split's pairs, as WebDataset writes ranges: 000000, or {000000..000004}."""
    last = len(list(out.glob(f"pairs-{split}-*.tar"))) - 1
    return f"{{000000..{last:06d}}}" if last > 0 else "000000"


def is_export(source: Path) -> bool:
    """The folder holds shards of ``write_split``."""
    return any(source.glob("pairs-*.tar"))


def read(source: Path, arrivals: Arrivals) -> None:
    """Read all splits; members are read in memory, never unpacked by their own names.

    :raises InputError: a damaged shard, or members that do not belong to an export.
    """
    for split in Split:
        shards = sorted(source.glob(f"pairs-{split}-*.tar"))
        if shards:
            arrivals.start(split)
        for sample in (sample for path in shards for sample in _samples(path)):
            arrivals.pairs[split].append(_entry(sample, shards[0], ("reference", "target")))
        for path in sorted(source.glob(f"pictures-{split}-*.tar")):
            for sample in _samples(path):
                entry = _entry(sample, path, ("name", "in_gallery"))
                content = [data for extension, data in sample.items() if extension != "json"]
                if len(content) != 1:
                    raise InputError(f"{path}: {entry['name']} has {len(content)} pictures, expected one")
                arrivals.picture(split, entry["name"], content[0], bool(entry["in_gallery"]))


def _entry(sample: dict[str, bytes], path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        entry = parse_json(sample["json"], "the .json", dict)
        if any(key not in entry for key in keys):
            raise InputError(f"expected the keys {', '.join(keys)}")
    except (KeyError, InputError) as error:
        raise InputError(
            f"{path}: a sample without a valid .json ({error}); expected an export of this program"
        ) from None
    return entry


def _samples(path: Path) -> Iterator[dict[str, bytes]]:
    try:
        with open(path, "rb") as file:
            file.seek(-END, 2)
            if any(file.read()):
                raise tarfile.ReadError("no end mark")
        with tarfile.open(path, "r:") as tar:
            key = ""
            sample: dict[str, bytes] = {}
            for member in tar:
                stem, _, extension = member.name.partition(".")
                if sample and stem != key:
                    yield sample
                    sample = {}
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise InputError(f"{path}: {member.name} is not a plain file; expected an export of this program")
                key, sample[extension] = stem, content.read()
            if sample:
                yield sample
    except (PermissionError, IsADirectoryError) as error:
        raise unreadable(path, error) from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{path}: damaged or truncated ({error}); export or download it again") from None
