"""Finding out what the columns of somebody's own list mean, by their headers in Chinese or English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from integrations.content.spreadsheet import Row

ALIASES: Mapping[str, str] = {
    "pupil_number": "学号 学生学号 学生编号 学籍号 学生学籍号 pupilnumber pupilid studentid studentnumber studentsisid",
    "pupil_name": "学生姓名 姓名 孩子姓名 学生 孩子 pupilname studentname childname name pupil student",
    "class_name": "班级 年级班级 所在班级 行政班 class classname homeroom",
    "guardian_name": "家长姓名 监护人姓名 家长 监护人 guardianname parentname guardian parent",
    "guardian_id": "家长编号 家长账号 家长邮箱或编号 家长编号或邮箱 监护人编号 guardianid guardiannumber parentid"
    " parentnumber guardianidoremail observerid",
    "relation": "关系 与学生关系 与孩子关系 家长关系 监护人关系 relation relationship parentrelation guardianrelation",
    "phone": "电话 手机 手机号 手机号码 联系电话 家长电话 家长手机 家长手机号 家长联系电话 监护人电话 监护人手机"
    " phone mobile parentphone guardianphone phonenumber",
    "email": "邮箱 电子邮箱 电子邮件 家长邮箱 监护人邮箱 email mail parentemail guardianemail",
    "kind": "身份 家长或学生 kind parentorpupil",
}
_FIELD = {alias: name for name, aliases in ALIASES.items() for alias in aliases.split()}
PUPIL_FIELDS = ("pupil_number", "pupil_name", "class_name", "kind")
_PARENTS = {
    "父亲": "爸爸",
    "爸爸": "爸爸",
    "母亲": "妈妈",
    "妈妈": "妈妈",
    "father": "爸爸",
    "mother": "妈妈",
}
_NUMERALS = str.maketrans("一二三四五六", "123456")
_LOOK_INTO = 5
"""Rows from the top in which the header may be: lists often have a title above it."""


class NotThisList(ValueError):
    """The header does not fit. `code`: no-header, missing-column or repeated-column; `column` names it."""

    def __init__(self, code: str, column: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.column = column


@dataclass(frozen=True, slots=True)
class Record:
    """A row: what it says of the pupil, and of each guardian whom it names. Values are folded to their plain
    form (full-width digits become digits)."""

    number: int
    pupil: Mapping[str, str]
    guardians: Sequence[Mapping[str, str]]


def records(rows: Sequence[Row], *, needed: Sequence[str]) -> Iterator[Record]:
    """The rows below the header. One of `needed` must be among the columns, as must the pupil's number.

    Guardians stand in columns of their own: 家长1姓名, 家长2姓名; 父亲电话, 母亲电话; or twice the same header.
    Raises NotThisList.
    """
    position, columns = _header(rows)
    names = {name for name, _group in columns.values()}
    if not names & set(needed):
        raise NotThisList("missing-column", needed[0])
    for row in rows[position + 1 :]:
        pupil: dict[str, str] = {}
        guardians: dict[str, dict[str, str]] = {group: {} for _name, group in columns.values() if group}
        for index, cell in enumerate(row.cells):
            name, group = columns.get(index, ("", ""))
            if name and cell:
                (guardians[group] if group else pupil)[name] = _plain(cell)
        for group, guardian in guardians.items():
            if guardian and group in _PARENTS.values():
                guardian.setdefault("relation", group)
        yield Record(row.number, pupil, [guardian for guardian in guardians.values() if guardian])


def _header(rows: Sequence[Row]) -> tuple[int, dict[int, tuple[str, str]]]:
    """The header's position, and for each of its columns the field and the guardian it belongs to."""
    for position, row in enumerate(rows[:_LOOK_INTO]):
        fields = [_field(cell) for cell in row.cells]
        if any(field is not None and field[0] == "pupil_number" for field in fields):
            return position, _columns(row, fields)
    raise NotThisList("no-header", "pupil_number")


def _columns(row: Row, fields: Sequence[tuple[str, str] | None]) -> dict[int, tuple[str, str]]:
    columns: dict[int, tuple[str, str]] = {}
    for index, field in enumerate(fields):
        if field is None:
            continue
        name, group = field
        if name in PUPIL_FIELDS:
            group = ""
        elif field in columns.values() and group == "1" and not re.search(r"[1一]", row.cells[index]):
            group = str(1 + [taken for taken, _group in columns.values()].count(name))
        if (name, group) in columns.values():
            raise NotThisList("repeated-column", row.cells[index])
        columns[index] = (name, group)
    return columns


def _field(header: str) -> tuple[str, str] | None:
    """The field and the guardian ("1" … "6", 爸爸, 妈妈) of a header; None for one that we do not read."""
    text = re.sub(r"[(\[【（].*?[)\]】）]", "", _plain(header)).lower()
    text = re.sub(r"[\W_]+", "", text)
    if text in _FIELD:
        return _FIELD[text], "1"
    for word, relation in _PARENTS.items():
        if text.startswith(word):
            rest = text.removeprefix(word)
            name = _FIELD.get(f"家长{rest}") or _FIELD.get(f"parent{rest}") or _FIELD.get(rest)
            return (name, relation) if name and name not in PUPIL_FIELDS else None
    text = text.translate(_NUMERALS)
    digits = re.findall(r"[1-6]", text)
    name = _FIELD.get(re.sub(r"[1-6]", "", text))
    return (name, digits[0]) if name and len(digits) == 1 else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()
