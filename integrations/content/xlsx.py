"""Reading XLSX (ECMA-376, part 1, 18) with bounded memory.

A reader that lays a sheet out as a rectangle is stopped by two cells: A1 and XFD1048576, in a file of 5 KB,
ask for 500 GB (measured with calamine 0.9, which then aborts the process). Here only cells that are there
cost anything, and all limits are checked while reading.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from io import BytesIO
from xml.parsers.expat import ExpatError, ParserCreate

from integrations.content.limits import MAX_COLUMNS, MAX_ROWS, MAX_TEXT, UnreadableTable

MAX_PARTS = 2000
MAX_INFLATED = 60 * 1024 * 1024
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# What a number format may hold beside its placeholders: "text", [conditions], \x, _x and *x.
_NOT_PLACEHOLDER = re.compile(r'"[^"]*"|\[[^\]]*\]|[\\_*].')
# 18.8.30: built-in formats of dates and times, also those of Chinese, Japanese and Korean.
_DATE_FORMATS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_KEPT_DIGITS = 15
_LAST_DAY = 2_958_466  # after 9999-12-31

Attributes = dict[str, str]


@dataclass(slots=True)
class _Book:
    """What the parts around a sheet say."""

    sheet: str
    strings: list[str] = field(default_factory=list)
    dates: list[bool] = field(default_factory=list)
    from_1904: bool = False


def sheet_rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each row that has any, of the first visible sheet. Raises UnreadableTable."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            parts = _Parts(archive)
            book = _book(parts)
            rows = _SheetReader(book).read(parts[book.sheet])
    except (
        zipfile.BadZipFile,
        zlib.error,
        ExpatError,
        LookupError,  # a part, a string or a style that is not there
        ValueError,
        ArithmeticError,
        NotImplementedError,  # a compression that nobody uses here
        RuntimeError,  # an encrypted part
        OSError,
        EOFError,
    ) as error:
        raise UnreadableTable("damaged", type(error).__name__) from error
    for number, cells in sorted(rows.items()):
        yield number, [cells.get(column, "") for column in range(1, max(cells) + 1)]


class _Parts:
    """The parts of the package by name, in any case; together at most MAX_INFLATED bytes, whatever the
    directory of the archive claims."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        names = archive.namelist()
        if len(names) > MAX_PARTS:
            raise UnreadableTable("too-big")
        if any(name.lower().endswith("vbaproject.bin") for name in names):
            raise UnreadableTable("has-macros")
        self._archive = archive
        self._names = {name.lower().lstrip("/"): name for name in names}
        self._left = MAX_INFLATED

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def __getitem__(self, name: str) -> bytes:
        with self._archive.open(self._names[name.lower()]) as part:
            content = part.read(self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise UnreadableTable("too-big")
        return content


def _book(parts: _Parts) -> _Book:
    start = _related(parts, "")
    workbook = start.get("officeDocument", [("", "xl/workbook.xml")])[0][1]
    related = _related(parts, workbook)
    book = _Book(sheet="")
    sheets: list[str] = []

    def begin(tag: str, values: Attributes) -> None:
        if tag == "sheet" and values.get("state", "visible") == "visible":
            sheets.extend(value for name, value in values.items() if name.endswith(":id"))
        elif tag == "workbookPr":
            book.from_1904 = values.get("date1904") in ("1", "true")

    _parse(parts[workbook], begin)
    book.sheet = dict(related["worksheet"])[sheets[0]]
    for _id, part in related.get("sharedStrings", [])[:1]:
        book.strings = _strings(parts[part])
    for _id, part in related.get("styles", [])[:1]:
        book.dates = _date_styles(parts[part])
    return book


def _related(parts: _Parts, source: str) -> dict[str, list[tuple[str, str]]]:
    """(id, part) of what a part refers to, by kind, which is the last word of its type."""
    folder, name = posixpath.split(source)
    found: dict[str, list[tuple[str, str]]] = {}

    def begin(tag: str, values: Attributes) -> None:
        if tag == "Relationship" and values.get("TargetMode") != "External":
            kind = values["Type"].rpartition("/")[2]
            target = posixpath.normpath(posixpath.join("/", folder, values["Target"])).lstrip("/")
            found.setdefault(kind, []).append((values["Id"], target))

    part = posixpath.join(folder, "_rels", f"{name}.rels")
    if part in parts:
        _parse(parts[part], begin)
    return found


def _strings(part: bytes) -> list[str]:
    """The shared strings: all text of an item but its reading aid (rPh)."""
    found: list[str] = []
    pieces: list[str] = []
    inside = {"t": False, "rPh": False}

    def begin(tag: str, _values: Attributes) -> None:
        if tag in inside:
            inside[tag] = True

    def text(piece: str) -> None:
        if inside["t"] and not inside["rPh"]:
            pieces.append(piece)

    def end(tag: str) -> None:
        if tag in inside:
            inside[tag] = False
        elif tag == "si":
            found.append(_unescaped("".join(pieces)))
            pieces.clear()

    _parse(part, begin, end, text)
    return found


def _date_styles(part: bytes) -> list[bool]:
    """For each cell style whether it shows a number as a date or time."""
    custom: dict[str, bool] = {}
    formats: list[str] = []
    where: list[str] = []

    def begin(tag: str, values: Attributes) -> None:
        if tag == "numFmt" and "dxfs" not in where:
            code = _NOT_PLACEHOLDER.sub("", values.get("formatCode", "")).lower()
            custom[values["numFmtId"]] = code != "general" and any(char in "dmyhs" for char in code)
        elif tag == "xf" and where[-1:] == ["cellXfs"]:
            formats.append(values.get("numFmtId", "0"))
        where.append(tag)

    _parse(part, begin, lambda _tag: where.pop())
    return [custom.get(number, int(number) in _DATE_FORMATS) for number in formats]


class _SheetReader:
    """Collects the cells of a sheet by row and column; empty ones are left out."""

    def __init__(self, book: _Book) -> None:
        self._book = book
        self._rows: dict[int, dict[int, str]] = {}
        self._row = 0
        self._column = 0
        self._cell: Attributes = {}
        self._pieces: list[str] = []
        self._reading = False
        self._text = 0

    def read(self, part: bytes) -> dict[int, dict[int, str]]:
        _parse(part, self._begin, self._end, self._characters)
        return self._rows

    def _begin(self, tag: str, values: Attributes) -> None:
        if tag == "row":
            self._row = int(values.get("r", self._row + 1))
            self._column = 0
        elif tag == "c":
            self._cell = values
            self._pieces = []
            self._column += 1
            if "r" in values:
                self._row, self._column = _position(values["r"])
        elif tag in ("v", "t"):
            self._reading = True
        elif tag == "rPh":
            self._reading = False

    def _characters(self, piece: str) -> None:
        if self._reading:
            self._pieces.append(piece)

    def _end(self, tag: str) -> None:
        if tag in ("v", "t"):
            self._reading = False
        elif tag == "c":
            self._keep(_value("".join(self._pieces), self._cell, self._book))

    def _keep(self, value: str) -> None:
        if not value.strip():
            return
        if self._column > MAX_COLUMNS:
            raise UnreadableTable("too-many-columns")
        self._rows.setdefault(self._row, {})[self._column] = value
        self._text += len(value)
        if len(self._rows) > MAX_ROWS + 1:
            raise UnreadableTable("too-many-rows")
        if self._text > MAX_TEXT:
            raise UnreadableTable("too-big")


def _position(reference: str) -> tuple[int, int]:
    """Row and column of "B7", from one."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError("no cell reference")
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - 64
    return int(match[2]), column


def _value(text: str, cell: Attributes, book: _Book) -> str:
    """The text of a cell of type `t` (18.18.11) and style `s`."""
    kind = cell.get("t", "n")
    if not text:
        return ""
    if kind == "s":
        number = int(text)
        if number < 0:
            raise ValueError("no such string")
        return book.strings[number]
    if kind == "b":
        return "TRUE" if text == "1" else "FALSE"
    if kind != "n":
        return _unescaped(text)
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("not a number") from error
    style = int(cell.get("s", "0"))
    is_date = 0 <= style < len(book.dates) and book.dates[style]
    return _date_text(amount, book.from_1904) if is_date else _number_text(amount)


def _number_text(amount: Decimal) -> str:
    if not amount.is_finite():
        return str(amount)
    if amount.adjusted() >= _KEPT_DIGITS:
        return f"{amount.normalize():E}"
    if amount == amount.to_integral_value():
        return str(int(amount))
    return f"{float(amount):.{_KEPT_DIGITS}g}"


def _date_text(days: Decimal, from_1904: bool) -> str:
    """ISO 8601 for days since the book's day 0 (18.17.4.1); the time of day alone below one day."""
    if not 0 <= days < _LAST_DAY - 1462:
        return _number_text(days)
    start = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30)  # noqa: DTZ001
    moment = start + timedelta(seconds=round(float(days) * 86400))
    if days < 1 and not from_1904:
        return moment.time().isoformat()
    return moment.date().isoformat() if days == int(days) else moment.isoformat(" ")


def _unescaped(text: str) -> str:
    """18.4.12, ST_Xstring: `_x000D_` stands for a character that XML cannot hold."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _parse(
    part: bytes,
    begin: Callable[[str, Attributes], None],
    end: Callable[[str], object] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Run through a part; tags come without their prefix. A document type is refused: no entity is expanded."""
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, values: begin(name.rpartition(":")[2], values)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
    if text is not None:
        parser.CharacterDataHandler = text

    def refuse(*_: object) -> None:
        raise ValueError("a document type")

    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(part, True)
