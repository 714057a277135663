"""A corpus as parquet files, in the layout that Hugging Face ``datasets`` loads by itself.

OUT/pairs/SPLIT-00000.parquet      reference, target, img_set, one list of texts per field, extra (JSON)
OUT/pictures/SPLIT-00000.parquet   name, image {bytes, path}, in_gallery, joints (22 x 3, metres), yaw (degrees)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompose.core.errors import DependencyError, InputError, StorageError
from autocompose.core.files import atomic_file
from autocompose.core.log import track
from autocompose.core.reading.jsontext import parse_json, to_json
from autocompose.core.reading.plain import unreadable
from autocompose.core.records import Split
from autocompose.corpus.exchange.transfer import Arrivals, picture_bytes, split_pictures
from autocompose.corpus.format import TEXT_KEYS, Corpus

if TYPE_CHECKING:
    import pyarrow

PATTERNS = ("pairs/*-?????.parquet", "pictures/*-?????.parquet")  # of the files that it writes
BATCH = 64  # pictures in memory at once


def _arrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DependencyError("pyarrow", "datasets", "parquet files") from None
    return pyarrow


def write_split(corpus: Corpus, split: Split, out: Path, shard: int) -> None:
    """Write the pairs and pictures of one split; a new file starts after about ``shard`` bytes of pictures."""
    _write_pairs(corpus, split, out)
    names = list(split_pictures(corpus, split).items())
    rows = track(_picture_rows(corpus, names), f"{split} pictures", len(names))
    schema = _picture_schema(corpus.poses is not None)
    waiting = next(rows, None)
    number = 0
    while waiting is not None or number == 0:
        size = 0
        with atomic_file(out / "pictures" / f"{split}-{number:05d}.parquet") as file, _writer(file, schema) as writer:
            batch: list[dict[str, Any]] = []
            while waiting is not None and size < shard:
                batch.append(waiting)
                size += len(waiting["image"]["bytes"])
                waiting = next(rows, None)
                if len(batch) == BATCH:
                    writer.write_table(_arrow().Table.from_pylist(batch, schema))
                    batch = []
            writer.write_table(_arrow().Table.from_pylist(batch, schema))
        number += 1


def _writer(file: Any, schema: Any) -> Any:
    # pictures are compressed already
    return _arrow().parquet.ParquetWriter(file, schema, compression="none")


def _write_pairs(corpus: Corpus, split: Split, out: Path) -> None:
    pa = _arrow()
    texts = pa.list_(pa.string())
    columns = {
        "reference": pa.string(),
        "target": pa.string(),
        "img_set": texts,
        **dict.fromkeys(sorted(TEXT_KEYS), texts),
    }
    schema = pa.schema([*columns.items(), ("extra", pa.string())])
    rows = [
        {
            "reference": pair.reference, "target": pair.target, "img_set": list(pair.img_set),
            **{key: list(values) for key, values in pair.texts.items()},
            "extra": to_json(pair.extra),
        }
        for pair in corpus.pairs[split]
    ]  # fmt: skip
    with atomic_file(out / "pairs" / f"{split}-00000.parquet") as file:
        pa.parquet.write_table(pa.Table.from_pylist(rows, schema), file)


def _picture_schema(poses: bool) -> pyarrow.Schema:
    pa = _arrow()
    fields = [
        ("name", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("in_gallery", pa.bool_()),
    ]
    features: dict[str, Any] = {
        "name": {"dtype": "string", "_type": "Value"},
        "image": {"_type": "Image"},
        "in_gallery": {"dtype": "bool", "_type": "Value"},
    }
    if poses:
        fields += [("joints", pa.list_(pa.list_(pa.float32()))), ("yaw", pa.float32())]
        number = {"dtype": "float32", "_type": "Value"}
        features |= {"joints": {"feature": {"feature": number, "_type": "List"}, "_type": "List"}, "yaw": number}
    # how Hugging Face datasets learns that the struct is a picture
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def _picture_rows(corpus: Corpus, names: list[tuple[str, bool]]) -> Iterator[dict[str, Any]]:
    index = corpus.poses.index() if corpus.poses is not None else {}
    for name, in_gallery in names:
        image = {"bytes": picture_bytes(corpus, name), "path": name.replace("/", "__")}
        row: dict[str, Any] = {"name": name, "image": image, "in_gallery": in_gallery}
        if corpus.poses is not None and name in index:
            row["joints"] = corpus.poses.joints[index[name]].tolist()
            row["yaw"] = float(corpus.poses.yaw[index[name]])
        yield row


def is_export(source: Path) -> bool:
    """The folder holds parquet files of ``write_split``."""
    return any((source / "pairs").glob("*.parquet"))


def read(source: Path, arrivals: Arrivals) -> None:
    """Read all splits.

    :raises InputError: a damaged file, or columns missing.
    """
    for split in Split:
        pairs = sorted((source / "pairs").glob(f"{split}-*.parquet"))
        pictures = sorted((source / "pictures").glob(f"{split}-*.parquet"))
        if pairs:
            arrivals.start(split)
        for row in (row for path in pairs for row in _rows(path, ("reference", "target", "img_set", "extra"))):
            extra = parse_json(row.pop("extra") or "{}", f"{source}: extra keys of a pair", dict)
            arrivals.pairs[split].append({**{k: v for k, v in row.items() if v is not None}, **extra})
        for row in (row for path in pictures for row in _rows(path, ("name", "image", "in_gallery"))):
            arrivals.picture(split, row["name"], row["image"]["bytes"], row["in_gallery"])


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    pa = _arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            missing = [name for name in needed if name not in file.schema_arrow.names]
            if missing:
                raise InputError(f"{path}: no column {missing[0]!r}; expected an export of this program")
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()
    except (PermissionError, IsADirectoryError) as error:
        raise unreadable(path, error) from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, StorageError):
            raise
        raise InputError(f"{path}: damaged or truncated ({error}); export or download it again") from None
