"""Checking a school's list of pupils and guardians, and finding out which lines are the same human."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from flask import current_app

from integrations.content.account_files import LONGEST_NAME
from integrations.content.spreadsheet import Row, looks_like_formula, looks_rounded
from lti_app.accounts.access import Reach
from lti_app.accounts.columns import Record, records

MOST_GUARDIANS = 4
LONGEST_NUMBER = 64
LONGEST_CLASS = 60
LONGEST_RELATION = 20
LONGEST_EMAIL = 100
SOMEBODY = "家长"
_RELATIONS = {
    "母亲": "妈妈",
    "母": "妈妈",
    "妈": "妈妈",
    "mother": "妈妈",
    "mum": "妈妈",
    "mom": "妈妈",
    "父亲": "爸爸",
    "父": "爸爸",
    "爸": "爸爸",
    "father": "爸爸",
    "dad": "爸爸",
    "监护人": SOMEBODY,
    "guardian": SOMEBODY,
    "parent": SOMEBODY,
    "祖父": "爷爷",
    "祖母": "奶奶",
    "外祖父": "外公",
    "外祖母": "外婆",
}
_MOBILE = re.compile(r"1[3-9]\d{9}")
_OTHER_PHONE = re.compile(r"\+?[02-9]\d{6,14}")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_ID_CARD = re.compile(r"\d{17}[\dXx]")


@dataclass(slots=True)
class Line:
    """What becomes of one guardian in one row: `problems` leave it out, `notes` only tell. Both hold codes."""

    row: int
    pupil: str
    pupil_name: str
    class_name: str
    guardian: str
    relation: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Guardian:
    """One human of the list. `key` knows them again in another list; None where the list gives neither phone
    nor e-mail. A child is (pupil number, pupil's name, class, slot, relation)."""

    key: str | None
    name: str
    relation: str
    email: str | None
    children: list[tuple[str, str, str, str, str]]


def checked(rows: Sequence[Row], reach: Reach) -> dict[str, Any]:
    """The list as plain data: `lines` for the preview and `people`, the guardians of the good lines.

    Raises NotThisList. Phone numbers are used for comparing and are not in what is returned.
    """
    found = list(records(rows, needed=("guardian_name", "relation", "phone")))
    outside = reach.strangers([r.pupil.get("pupil_number", "")[:LONGEST_NUMBER] for r in found])
    check = _Check(reach.school_id, outside)
    for record in found:
        check.take(record)
    return {
        "lines": [asdict(line) for line in check.lines],
        "people": [asdict(person) for person in check.people],
    }


class _Check:
    def __init__(self, school_id: int, outside: set[str]) -> None:
        self.lines: list[Line] = []
        self.people: list[Guardian] = []
        self._outside = outside
        self._school_id = school_id
        self._by_key: dict[Any, Guardian] = {}
        self._names: dict[str, str] = {}
        self._slots: dict[tuple[str, str], int] = {}
        self._guardians: dict[str, int] = {}
        self._contacts: dict[str, Any] = {}

    def take(self, record: Record) -> None:
        for guardian in record.guardians or [{}]:
            line = _line(record, guardian)
            self.lines.append(line)
            line.problems += self._pupil_problems(record.pupil)
            line.problems += _guardian_problems(guardian)
            if not line.problems:
                self._settle(line, guardian)

    def _pupil_problems(self, pupil: Mapping[str, str]) -> list[str]:
        number, name = pupil.get("pupil_number", ""), pupil.get("pupil_name", "")
        problems = _text_problems(number, LONGEST_NUMBER, "pupil")
        problems += _text_problems(name, LONGEST_NAME, "pupil-name") if name else []
        class_name = pupil.get("class_name", "")
        problems += _text_problems(class_name, LONGEST_CLASS, "class") if class_name else []
        if problems:
            return problems
        if number in self._outside:
            return ["pupil-outside"]
        if name and self._names.setdefault(number, name) != name:
            return ["pupil-two-names"]
        return []

    def _settle(self, line: Line, given: Mapping[str, str]) -> None:
        """Add the child to the guardian whom we know already from another row, or to a new one."""
        name = given.get("guardian_name", "")
        contact = _phone(given.get("phone", "")) or given.get("email", "").lower()
        who = name or line.relation
        key = self._hash(f"{contact}|{who}") if contact else None
        place: Any = key or (line.pupil, line.relation, name)
        known = self._by_key.get(place)
        if known is not None and any(child[0] == line.pupil for child in known.children):
            line.problems.append("repeated")
            return
        if self._guardians.get(line.pupil, 0) >= MOST_GUARDIANS:
            line.problems.append("too-many-guardians")
            return
        self._guardians[line.pupil] = self._guardians.get(line.pupil, 0) + 1
        count = self._slots[line.pupil, line.relation] = self._slots.get((line.pupil, line.relation), 0) + 1
        slot = line.relation if count == 1 else f"{line.relation}{count}"
        child = (line.pupil, line.pupil_name, line.class_name, slot, line.relation)
        if known is not None:
            known.children.append(child)
            line.notes.append("sibling")
            return
        if contact and self._contacts.setdefault(contact, place) != place:
            line.notes.append("shared-contact")
        if not contact:
            line.notes.append("no-contact")
        if _ID_CARD.search(line.pupil):
            line.notes.append("id-card")
        person = Guardian(key, name, line.relation, given.get("email"), [child])
        self._by_key[place] = person
        self.people.append(person)

    def _hash(self, text: str) -> str:
        secret = current_app.config["SETTINGS"].secret_key
        return hmac.new(secret.encode(), f"{self._school_id}|{text}".encode(), hashlib.sha256).hexdigest()


def _line(record: Record, guardian: Mapping[str, str]) -> Line:
    relation = guardian.get("relation", "") or SOMEBODY
    return Line(
        row=record.number,
        pupil=record.pupil.get("pupil_number", "")[:LONGEST_NUMBER],
        pupil_name=record.pupil.get("pupil_name", "")[:LONGEST_NAME],
        class_name=record.pupil.get("class_name", "")[:LONGEST_CLASS],
        guardian=guardian.get("guardian_name", "")[:LONGEST_NAME],
        relation=_RELATIONS.get(relation.lower(), relation)[:LONGEST_RELATION],
    )


def _guardian_problems(guardian: Mapping[str, str]) -> list[str]:
    if not guardian:
        return ["no-guardian"]
    name, relation = guardian.get("guardian_name", ""), guardian.get("relation", "")
    problems = _text_problems(name, LONGEST_NAME, "name") if name else []
    problems += _text_problems(relation, LONGEST_RELATION, "relation") if relation else []
    if guardian.get("phone") and _phone(guardian["phone"]) is None:
        problems.append("phone-rounded" if looks_rounded(guardian["phone"]) else "phone")
    email = guardian.get("email", "")
    if email and not (len(email) <= LONGEST_EMAIL and _EMAIL.fullmatch(email)):
        problems.append("email")
    return problems


def _text_problems(text: str, longest: int, what: str) -> list[str]:
    if not text:
        return [f"{what}-missing"]
    if len(text) > longest:
        return [f"{what}-too-long"]
    if looks_like_formula(text):
        return [f"{what}-formula"]
    if what == "pupil" and looks_rounded(text):
        return ["pupil-rounded"]
    return []


def _phone(text: str) -> str | None:
    """The digits of a possible phone number; None for an impossible one or none."""
    digits = re.sub(r"[\s().-]", "", text)
    mobile = re.sub(r"^(\+|00)?86(?=1\d{10}$)", "", digits)
    if _MOBILE.fullmatch(mobile):
        return mobile
    return digits if _OTHER_PHONE.fullmatch(digits) else None
