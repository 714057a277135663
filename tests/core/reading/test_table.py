"""Tables as programs really write them; the right answers were written down before the reader was looked at."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocompose.core.errors import InputError
from autocompose.core.reading.table import read_table

ZOE, JUERGEN = "Zoë", "Jürgen Groß"
TWO = [{"path": "p0.jpg", "person": ZOE}, {"path": "sub/p1.jpg", "person": "Doe, Jane", "age": "31"}]
NOTE = [{"path": "p0.jpg", "person": ZOE, "note": 'said "hi"\nand left'}]

# what wrote it -> (bytes, the rows that a person reads in it)
DIALECTS: dict[str, tuple[bytes, list[dict[str, str]]]] = {
    "google sheets": ('path,person,age\r\np0.jpg,Zoë,\r\nsub/p1.jpg,"Doe, Jane",31'.encode(), TWO),
    "excel us, csv": ('path,person,age\r\np0.jpg,Zoë,\r\nsub/p1.jpg,"Doe, Jane",31\r\n'.encode("cp1252"), TWO),
    "excel us, csv utf-8": ('\ufeffpath,person,age\r\np0.jpg,Zoë,\r\nsub/p1.jpg,"Doe, Jane",31\r\n'.encode(), TWO),
    "excel germany, csv": ("path;person;age\r\np0.jpg;Zoë;\r\nsub/p1.jpg;Doe, Jane;31\r\n".encode("cp1252"), TWO),
    "excel germany, csv utf-8": ("\ufeffpath;person;age\r\np0.jpg;Zoë;\r\nsub/p1.jpg;Doe, Jane;31\r\n".encode(), TWO),
    "excel, unicode text": (
        'path\tperson\tage\r\np0.jpg\tZoë\t\r\nsub/p1.jpg\t"Doe, Jane"\t31\r\n'.encode("utf-16"),
        TWO,
    ),
    "excel, csv with sep line": (
        "sep=;\r\npath;person;age\r\np0.jpg;Zoë;\r\nsub/p1.jpg;Doe, Jane;31\r\n".encode(),
        TWO,
    ),
    "excel mac, csv (macintosh)": (
        'path,person,age\rp0.jpg,Zoë,\rsub/p1.jpg,"Doe, Jane",31\r'.encode("mac_roman"),
        TWO,
    ),
    "excel with columns and rows that once held something": (
        'path,person,age,,\r\np0.jpg,Zoë,,,\r\nsub/p1.jpg,"Doe, Jane",31,,\r\n,,,,\r\n,,,,\r\n'.encode(),
        TWO,
    ),
    "numbers, with the name of the table": (
        'Table 1\npath,person,age\np0.jpg,Zoë,\nsub/p1.jpg,"Doe, Jane",31\n'.encode(),
        TWO,
    ),
    "numbers in france": ("path;person;age\r\np0.jpg;Zoë;\r\nsub/p1.jpg;Doe, Jane;31\r\n".encode(), TWO),
    "libreoffice, all texts quoted": (
        '"path","person","age"\n"p0.jpg","Zoë",\n"sub/p1.jpg","Doe, Jane",31\n'.encode(),
        TWO,
    ),
    "libreoffice, tabs": ("path\tperson\tage\np0.jpg\tZoë\t\nsub/p1.jpg\tDoe, Jane\t31\n".encode(), TWO),
    "pandas to_csv": (',path,person,age\n0,p0.jpg,Zoë,\n1,sub/p1.jpg,"Doe, Jane",31\n'.encode(), TWO),
    "pandas to_csv without index": ('path,person,age\np0.jpg,Zoë,\nsub/p1.jpg,"Doe, Jane",31\n'.encode(), TWO),
    "r write.csv": ('"","path","person","age"\n"1","p0.jpg","Zoë",\n"2","sub/p1.jpg","Doe, Jane",31\n'.encode(), TWO),
    "by hand": ('path, person, age\np0.jpg, Zoë,\nsub/p1.jpg, "Doe, Jane", 31\n'.encode(), TWO),
    "by hand, aligned": ('Path ; Person ; age\n p0.jpg ; Zoë ;\nsub/p1.jpg ; Doe, Jane ; 31 \n'.encode(), [
        {"path": "p0.jpg", "Person": ZOE}, {"path": "sub/p1.jpg", "Person": "Doe, Jane", "age": "31"},
    ]),
    "powershell export-csv": (
        '"path","person","age"\r\n"p0.jpg","Zoë",""\r\n"sub/p1.jpg","Doe, Jane","31"\r\n'.encode("utf-16"),
        TWO,
    ),
    "utf-16 without a mark": ("path,person\r\np0.jpg,Zoe\r\np1.jpg,Ann\r\n".encode("utf-16-le"), [
        {"path": "p0.jpg", "person": "Zoe"}, {"path": "p1.jpg", "person": "Ann"},
    ]),
    "database with bars": ("path|person|age\np0.jpg|Zoë|\nsub/p1.jpg|Doe, Jane|31\n".encode(), TWO),
    "cells of several lines": ('path,person,note\n\np0.jpg,Zoë,"said ""hi""\nand left"\n\n'.encode(), NOTE),
    "semicolons with commas in the header": ('path;"name, first"\np0.jpg;Zoë\n'.encode(), [
        {"path": "p0.jpg", "name, first": ZOE},
    ]),
    "commas with semicolons in the header": (b'"tags;all",path\n"a;b",p0.jpg\n', [
        {"path": "p0.jpg", "tags;all": "a;b"},
    ]),
    "inches": (b'path,lens\np0.jpg,5" wide\n', [{"path": "p0.jpg", "lens": '5" wide'}]),
    "one column": (b"path\np0.jpg\np1.jpg\n", [{"path": "p0.jpg"}, {"path": "p1.jpg"}]),
}  # fmt: skip


def rows(path: Path, data: bytes) -> list[dict[str, str]]:
    path.write_bytes(data)
    return [row.cells for row in read_table(path, "path").rows if not row.fault]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_programs_write(tmp_path: Path, dialect: str) -> None:
    data, expected = DIALECTS[dialect]
    assert rows(tmp_path / "t.csv", data) == expected


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ("path,person\np.jpg,Jörg\n".encode("cp1252"), "not UTF-8, read as Windows-1252"),
        ("path,person\rp.jpg,Jörg\r".encode("mac_roman"), "not UTF-8, read as Mac Roman"),
        (b"path;person\np.jpg;x\n", "read as a table with semicolons"),
        (b",path\n0,p.jpg\n", "a column without a name is ignored"),
    ],
)
def test_what_is_assumed_is_said(tmp_path: Path, data: bytes, note: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    assert note in "; ".join(read_table(tmp_path / "t.csv", "path").notes)


def test_a_plain_table_needs_no_word(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(DIALECTS["google sheets"][0])
    table = read_table(tmp_path / "t.csv", "path")
    assert table.notes == () and table.columns == ("path", "person", "age")
    assert [row.line for row in table.rows] == [2, 3]


def test_a_row_with_more_cells_than_columns_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,person\np0.jpg,Doe, Jane\np1.jpg,Ann,,\n")
    first, second = read_table(tmp_path / "t.csv", "path").rows
    assert (first.line, first.fault) == (2, "more cells than the header has columns")
    assert (second.cells, second.fault) == ({"path": "p1.jpg", "person": "Ann"}, "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name,person\np0.jpg,anna\n", r"no column 'path'; the first line, 'name,person'"),
        (b"", "no column 'path'"),
        (b"path,person,person\np0.jpg,a,b\n", "the column 'person' occurs twice"),
        (b"path,Path\np0.jpg,a\n", "the column 'path' occurs twice"),
        (b'path,note\np0.jpg,"never closed\np1.jpg,x\n', "line 2: quotation marks do not match"),
        (b'path,note\np0.jpg,"' + b"x" * 140_000 + b'"\n', "line 2: a cell of more than 131,072 characters"),
        (b"PK\x03\x04 workbook", "is a spreadsheet, not CSV"),
        (b"path,person\np0.jpg,a\0b\n", "zero bytes"),
        ("path,person\np.jpg,写真\n".encode("shift_jis") + b"\x81\n", "not UTF-8 at byte 18, nor Windows-1252"),
        (b"\xff\xfep\0a", "not UTF-8"),
        (b"\xff\xfep\0a\0\xd8\xd8", "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"t\.csv.*{words}") as raised:
        read_table(path, "path")
    assert "\n" not in str(raised.value)


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["C"], include_characters='\n",;\t|'), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.lists(NAMES, min_size=1, max_size=4, unique_by=str.casefold),
    st.data(),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_pythons_writer_writes_comes_back(
    tmp_path: Path, names: list[str], data: st.DataObject, separator: str, encoding: str, end: str, quoting: int
) -> None:
    names = ["path", *(name for name in names if name.casefold() != "path")]
    table = data.draw(st.lists(st.tuples(*[CELLS] * len(names)), max_size=4))
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(names)
    writer.writerows(table)
    cells = [{n: c.strip() for n, c in zip(names, row, strict=True) if c.strip()} for row in table]
    found = rows(tmp_path / "t.csv", file.getvalue().encode(encoding))
    assert found == [row for row in cells if row]


def test_a_column_may_have_another_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;File_Name\n1;x\n")
    table = read_table(path, "path", "file_name")
    assert table.columns == ("a", "path") and table.rows[0].cells == {"a": "1", "path": "x"}
    path.write_text("file_name,path\n1,x\n")
    assert read_table(path, "path", "file_name").rows[0].cells == {"file_name": "1", "path": "x"}
