"""Tables that people make with a spreadsheet program: read as rows of text, written so that they open safely.

Whatever a file holds, reading it takes bounded time and memory (`MAX_…`) or raises UnreadableTable.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import xlsxwriter

from integrations.content.limits import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, UnreadableTable
from integrations.content.xlsx import sheet_rows

_SEPARATORS = ",;\t"
_LOOK_INTO = 5
"""Lines from the top that show the separator: a title may stand above the header."""
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# Where the program's own separator is another one than ours, a cell may begin within ours.
_HIDDEN_FORMULA = re.compile(r"(?<=[;\t\r\n])(?=[=+\-@＝＋－＠])")
_ROUNDED = re.compile(r"[+-]?\d+(\.\d+)?E\+?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not blank: its number as the spreadsheet program shows it, and its cells."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet to write: its name (at most 31 characters), rows of text, and widths of columns in characters."""

    name: str
    rows: Sequence[Sequence[str]]
    widths: Sequence[int]


def read_rows(data: bytes) -> list[Row]:
    """The rows of a CSV file, or of the first visible sheet of an XLSX file.

    CSV: UTF-8, UTF-16 with a mark, or GB18030; separated by comma, semicolon or tab. XLSX: formulas count as
    their last value, dates become ISO 8601, and numbers keep all their digits; one of more than the 15 digits
    that the program keeps is written with an exponent, for `looks_rounded`. Raises UnreadableTable.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableTable("too-big")
    if data.startswith(b"\xd0\xcf\x11\xe0"):  # .xls, and any .xlsx with a password
        raise UnreadableTable("old-format")
    source = sheet_rows(data) if data.startswith(b"PK") else _csv_rows(_decoded(data))
    rows: list[Row] = []
    for number, values in source:
        cells = [clean(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if len(cells) > MAX_COLUMNS:
            raise UnreadableTable("too-many-columns")
        if len(rows) > MAX_ROWS:  # the first one is the header
            raise UnreadableTable("too-many-rows")
        rows.append(Row(number, tuple(cells)))
    if not rows:
        raise UnreadableTable("empty")
    return rows


def clean(text: str) -> str:
    """The text of a cell without what nobody sees: control and direction characters, halves of characters,
    and white space around it."""
    if not text.isprintable():
        text = "".join(_visible(char) for char in text)
    return text.strip()


def looks_rounded(text: str) -> bool:
    """Whether a spreadsheet program has replaced digits by an exponent (2.02E+09), so that some are lost."""
    return _ROUNDED.fullmatch(text) is not None


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet program would run the text of a CSV cell (OWASP, CSV Injection)."""
    return text.startswith(_FORMULA)


def write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """CSV for another program: UTF-8, RFC 4180, not one character added to the cells."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def write_csv_for_people(rows: Iterable[Sequence[str]]) -> bytes:
    """CSV for a spreadsheet program: with the mark by which it knows UTF-8; no cell is run as a formula."""
    return b"\xef\xbb\xbf" + write_csv([_inert(cell) for cell in row] for row in rows)


def write_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """An XLSX file in which every cell is text (so that numbers keep their zeros) and the first row a header."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        head = book.add_format({"bold": True, "bg_color": "#dcefeb", "num_format": "@"})
        text = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            page.freeze_panes(1, 0)
            for column, width in enumerate(sheet.widths):
                page.set_column(column, column, width, text)
            for number, row in enumerate(sheet.rows):
                for column, cell in enumerate(row):
                    page.write_string(number, column, cell, head if number == 0 else text)
    return out.getvalue()


def _inert(cell: str) -> str:
    cell = _HIDDEN_FORMULA.sub("'", cell)
    return "'" + cell if looks_like_formula(cell) else cell


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Cf", "Cs"):
        return ""
    return " " if category in ("Cc", "Zl", "Zp") or char == "\xa0" else char


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise UnreadableTable("not-a-table")
        return text
    raise UnreadableTable("unknown-encoding")


def _csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    top = itertools.islice((line for line in io.StringIO(text) if line.strip()), _LOOK_INTO)
    counts = Counter(char for line in top for char in line if char in _SEPARATORS)
    separator = counts.most_common(1)[0][0] if counts else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        yield from enumerate(reader, 1)
    except csv.Error as error:
        raise UnreadableTable("damaged", str(error)) from error
