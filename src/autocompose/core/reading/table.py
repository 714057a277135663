"""Tables as spreadsheets write them: CSV of any usual encoding and separator, read into rows of texts.

What is understood: UTF-8 with and without a byte order mark, UTF-16, Windows-1252, Mac Roman with the old Mac's line
ends; commas, semicolons, tabs and bars; a first line ``sep=;``; lines above the header; empty rows and trailing
separators; spaces around cells; cells in quotation marks that hold separators and line ends.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from autocompose.core.errors import InputError
from autocompose.core.reading.plain import encoding_of, read_file

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ABOVE = 5  # lines that may stand above the header: a title, the name of a sheet
MAX_FIELD = 131_072  # characters of a cell; more is a quotation mark that is never closed
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls
# every white space of Unicode, and the byte order mark
_BLANK = "".join(chr(c) for c in range(0x3001) if chr(c).isspace()) + "\ufeff"


@dataclass(frozen=True)
class Row:
    """One row.

    :param line: where it begins in the file, from 1.
    :param cells: column -> text, for those that are not empty.
    :param fault: why its cells cannot be trusted; "" when they can.
    """

    line: int
    cells: dict[str, str]
    fault: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a header; empty rows are left out.

    :param columns: their names, without spaces around them.
    :param notes: what the user should know about how the file was read.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def read_table(path: Path, key: str, *aliases: str) -> Table:
    """Read a table whose header names the column ``key`` (in small or capital letters).

    :param aliases: other names of that column, where none is called ``key``.

    :raises InputError: the file cannot be read, is no table, has no such column, or a column twice.
    """
    text, notes = _decoded(read_file(path), path)
    separator, lines = _records(text, (key, *aliases), path)
    header = next(lines)[1]
    written = next(name for name in (key, *aliases) if name in [cell.casefold() for cell in header])
    columns = [key if name.casefold() == written else name for name in header]
    twice = [name for name, n in Counter(filter(None, columns)).items() if n > 1]
    if twice:
        raise InputError(f"{path}: the column {twice[0]!r} occurs twice; give each column its own name")
    rows = [Row(line, *_cells(columns, cells)) for line, cells in lines if any(cells)]
    if any(cell for row in rows for name, cell in row.cells.items() if not name):
        notes.append("a column without a name is ignored; name it in the first line to use it")
    rows = [Row(r.line, {name: cell for name, cell in r.cells.items() if name}, r.fault) for r in rows]
    if separator not in ",":
        notes.append(f"read as a table with {SEPARATORS[separator]}")
    return Table(Path(path), tuple(filter(None, columns)), tuple(rows), tuple(notes))


def _cells(columns: list[str], cells: list[str]) -> tuple[dict[str, str], str]:
    filled = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    if any(cells[len(columns) :]):
        return filled, "more cells than the header has columns"
    return filled, ""


def _decoded(data: bytes, path: Path) -> tuple[str, list[str]]:
    if data.startswith(_SPREADSHEETS):
        raise InputError(f"{path}: this is a spreadsheet, not CSV; save it as CSV (UTF-8)")
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
        notes = []
    except UnicodeDecodeError as error:
        text, name = _western(data, path, error)
        notes = [f"not UTF-8, read as {name}; if letters look wrong, save it as CSV UTF-8"]
    if "\0" in text:
        raise InputError(f"{path}: contains zero bytes, so it is damaged or not a table; save it as CSV (UTF-8)")
    return text, notes


def _western(data: bytes, path: Path, error: UnicodeDecodeError) -> tuple[str, str]:
    """The text in the encodings that spreadsheets of Western countries write without saying so."""
    old_mac = b"\r" in data and b"\n" not in data
    if not error.encoding.startswith("utf-16"):
        try:
            return data.decode("mac_roman" if old_mac else "cp1252"), "Mac Roman" if old_mac else "Windows-1252"
        except UnicodeDecodeError:
            pass
    raise InputError(f"{path}: not UTF-8 at byte {error.start}, nor Windows-1252; save it as CSV UTF-8") from None


def _records(text: str, names: Sequence[str], path: Path) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The separator under which one of the first lines has one of the names; and the records from that line on."""
    first, _, rest = text.partition("\n")
    declared = re.fullmatch(r'"?sep=(.)"?', first.strip(_BLANK), re.IGNORECASE)
    skipped = 1 if declared else 0
    text = rest if declared else text
    fault = None
    for separator in [declared[1]] if declared and declared[1] in SEPARATORS else SEPARATORS:
        records = _parsed(text, separator, skipped, path)
        try:
            for line, cells in islice((record for record in records if any(record[1])), ABOVE):
                if any(cell.casefold() in names for cell in cells):
                    return separator, chain([(line, cells)], records)
        except InputError as error:
            fault = fault or error
    if fault:
        raise fault
    shown = next((line for line in text.splitlines() if line.strip(_BLANK)), "")[:80]
    raise InputError(f"{path}: no column {names[0]!r}; the first line, {shown!r}, must name the columns")


def _parsed(text: str, separator: str, skipped: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells without spaces around them) of each record."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {line + skipped}: {_explained(error)}") from None
        yield line + skipped, [cell.strip(_BLANK) for cell in cells]
        line = reader.line_num + 1


def _explained(error: csv.Error) -> str:
    if "field larger" in str(error):
        return f"a cell of more than {MAX_FIELD:,} characters; is a quotation mark left open?"
    return f"quotation marks do not match ({error}); close them, or double those inside a cell"
