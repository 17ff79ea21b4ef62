"""Reading tables that people send, and writing ones that open safely."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import zipfile
from datetime import datetime
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.content.account_files import split_name
from integrations.content.limits import MAX_COLUMNS, MAX_ROWS, UnreadableTable
from integrations.content.spreadsheet import (
    Sheet,
    clean,
    looks_rounded,
    read_rows,
    write_csv,
    write_csv_for_people,
    write_xlsx,
)


def cells(data: bytes) -> list[tuple[str, ...]]:
    return [row.cells for row in read_rows(data)]


def code(data: bytes) -> str:
    with pytest.raises(UnreadableTable) as caught:
        read_rows(data)
    return caught.value.code


def workbook(fill: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, **options}) as book:
        fill(book, book.add_worksheet("一"))
    return out.getvalue()


def changed(data: bytes, part: str, change: Any) -> bytes:
    """The workbook with one part rewritten."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == part else content)
    return out.getvalue()


SIMPLE = write_xlsx([Sheet("一", [["学号", "姓名"], ["001", "陈"]], [])])
SHEET = "xl/worksheets/sheet1.xml"


def test_what_cells_of_a_workbook_become() -> None:
    def fill(book: Any, sheet: Any) -> None:
        day = book.add_format({"num_format": 'yyyy"年"m"月"d"日"'})
        red = book.add_format({"num_format": "[Red]0.00"})
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_number(1, 0, 13800000000)
        sheet.write_number(1, 1, 2020000000.0)
        sheet.write_number(2, 0, 510103200902280016)
        sheet.write_number(2, 1, 0.1 + 0.2)
        sheet.write_datetime(3, 0, datetime(2015, 9, 1), day)  # noqa: DTZ001
        sheet.write_datetime(3, 1, datetime(2015, 9, 1, 8, 30), day)  # noqa: DTZ001
        sheet.write_formula(4, 0, "=6*7", None, 42)
        sheet.write_formula(4, 1, '=A1&"x"', None, "ax")
        sheet.write_boolean(5, 0, True)
        sheet.write_number(5, 1, 45.0, red)
        sheet.write_rich_string(6, 0, "陈", book.add_format({"bold": True}), "小雨")
        sheet.write_string(8, 0, "  \u202e陈\u200b\n雨 ")

    rows = read_rows(workbook(fill))
    assert [row.cells for row in rows] == [
        ("a", "b"),
        ("13800000000", "2020000000"),
        (rows[2].cells[0], "0.3"),
        ("2015-09-01", "2015-09-01 08:30:00"),
        ("42", "ax"),
        ("TRUE", "45"),
        ("陈小雨",),
        ("陈 雨",),
    ]
    assert looks_rounded(rows[2].cells[0]), "18 digits do not fit into a number"
    assert rows[-1].number == 9, "as the program numbers it"


def test_only_the_first_visible_sheet_is_read() -> None:
    def fill(book: Any, first: Any) -> None:
        first.write_string(0, 0, "hidden")
        second = book.add_worksheet("二")
        second.write_string(0, 0, "seen")
        second.activate()
        first.hide()

    assert cells(workbook(fill)) == [("seen",)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_csv_as_programs_write_it(separator: str, encoding: str) -> None:
    text = (
        separator.join(["学号", "姓名"])
        + "\r\n"
        + separator.join(["001", f'"陈{separator}小""雨"'])
        + "\r\n\r\n"
    )
    tab = "\t"  # which is no character of a name
    assert cells(text.encode(encoding)) == [
        ("学号", "姓名"),
        ("001", f'陈{separator.replace(tab, " ")}小"雨'),
    ]


def test_two_far_cells_cost_nothing() -> None:
    def fill(_book: Any, sheet: Any) -> None:
        sheet.write_string(0, 0, "a")
        sheet.write_string(1_048_575, 0, "b")

    assert [(row.number, row.cells) for row in read_rows(workbook(fill))] == [
        (1, ("a",)),
        (1_048_576, ("b",)),
    ]


def test_a_title_above_does_not_hide_the_separator() -> None:
    assert cells("晨光实验学校\n学号;姓名\n1;陈".encode())[1] == ("学号", "姓名")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b" \r\n,,\r\n", "empty"),
        (b"x" * (5 * 1024 * 1024 + 1), "too-big"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512, "old-format"),
        (b"a,b\0c", "not-a-table"),
        (b"\xff\xff\xff\x80", "unknown-encoding"),
        (b"PK\x03\x04" + b"junk" * 50, "damaged"),
        (SIMPLE[:-200], "damaged"),
        (SIMPLE[: len(SIMPLE) // 2], "damaged"),
        (("x," * 70 + "\r\n").encode(), "too-many-columns"),
        (b"x\r\n" * (MAX_ROWS + 2), "too-many-rows"),
        (b'"' + b"x" * 200_000, "damaged"),
        (changed(SIMPLE, SHEET, lambda xml: xml[:-40]), "damaged"),
        (changed(SIMPLE, SHEET, lambda xml: xml.replace(b'r="B2"', b'r="XFD2"')), "too-many-columns"),
        (changed(SIMPLE, SHEET, lambda xml: xml.replace(b"<v>1</v>", b"<v>99</v>")), "damaged"),
        (changed(SIMPLE, SHEET, lambda xml: xml.replace(b"<v>1</v>", b"<v>-1</v>")), "damaged"),
        (changed(SIMPLE, SHEET, lambda xml: xml.replace(b't="s"', b"").replace(b"<v>1<", b"<v>x<")), "damaged"),
        (changed(SIMPLE, "xl/workbook.xml", lambda xml: xml.replace(b"<sheets>", b"").replace(b"</sheets>", b"").replace(b"<sheet ", b"<x ")), "damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_has_a_name(data: bytes, expected: str) -> None:
    assert code(data) == expected


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert (
        code(changed(SIMPLE, SHEET, lambda xml: xml.replace(b"<worksheet", bomb + b"<worksheet")))
        == "damaged"
    )


def test_macros_are_refused() -> None:
    out = io.BytesIO(SIMPLE)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"macro")
    assert code(out.getvalue()) == "has-macros"


def test_a_bomb_stops_at_its_real_size() -> None:
    """80 MB of blanks in 80 KB, also where the directory claims little."""
    data = changed(SIMPLE, SHEET, lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + b" " * 80_000_000))
    assert len(data) < 200_000
    assert code(data) == "too-big"
    size = (80_000_000 + len(zipfile.ZipFile(io.BytesIO(SIMPLE)).read(SHEET))).to_bytes(4, "little")
    assert size in data
    assert code(data.replace(size, (1000).to_bytes(4, "little"))) in ("too-big", "damaged")


def test_one_long_string_everywhere_is_too_much() -> None:
    rows = [["x" * 30_000] * 60] * 20
    assert code(write_xlsx([Sheet("一", rows, [])])) == "too-big"


def test_columns_up_to_the_limit() -> None:
    assert len(cells(write_xlsx([Sheet("一", [["x"] * MAX_COLUMNS], [])]))[0]) == MAX_COLUMNS


def test_a_table_for_people_runs_nothing() -> None:
    data = write_csv_for_people([["=1+1", "+2", "-3", "@x", "陈"]])
    assert data.startswith(b"\xef\xbb\xbf")
    assert next(csv.reader(io.StringIO(data.decode("utf-8-sig")))) == ["'=1+1", "'+2", "'-3", "'@x", "陈"]


def test_what_is_written_as_text_stays_text() -> None:
    data = write_xlsx([Sheet("一", [["=1+1", "http://x.test", "007"]], [])])
    assert cells(data) == [("=1+1", "http://x.test", "007")]
    assert b"<f>" not in zipfile.ZipFile(io.BytesIO(data)).read(SHEET)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("陈小雨", ("陈", "小雨")),
        ("欧阳静", ("欧阳", "静")),
        ("欧阳", ("欧", "阳")),
        ("王", ("王", "妈妈")),
        ("Mary Ann Smith", ("Smith", "Mary Ann")),
        ("Cher", ("Cher", "妈妈")),
        ("古丽·阿卜杜拉", ("古", "丽·阿卜杜拉")),
    ],
)
def test_names_have_two_parts(name: str, expected: tuple[str, str]) -> None:
    assert split_name(name, "妈妈") == expected


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(st.lists(TEXT, min_size=1, max_size=6), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_both_formats_bring_back_what_was_written(rows: list[list[str]]) -> None:
    wanted = []
    for row in rows:
        kept = [clean(cell) for cell in row]
        while kept and not kept[-1]:
            kept.pop()
        if kept:
            wanted.append(tuple(kept))
    if not wanted:
        return
    plain = [[re.sub(r"_x[0-9A-Fa-f]{4}_", "", cell) for cell in row] for row in rows]
    if plain == rows:
        assert cells(write_xlsx([Sheet("一", rows, [])])) == wanted
    if not any(separator in cell for cell in rows[0] for separator in ";\t"):
        assert cells(b"\xef\xbb\xbf" + write_csv([["a", "b"], *rows]))[1:] == wanted


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_a_named_error(data: bytes) -> None:
    for content in (data, b"PK\x03\x04" + data):
        with contextlib.suppress(UnreadableTable):
            read_rows(content)


@given(st.integers(0, len(SIMPLE) - 1), st.binary(min_size=1, max_size=4))
@settings(max_examples=300)
def test_a_damaged_workbook_is_rows_or_a_named_error(position: int, junk: bytes) -> None:
    with contextlib.suppress(UnreadableTable):
        read_rows(SIMPLE[:position] + junk + SIMPLE[position + len(junk) :])
