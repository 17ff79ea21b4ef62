"""Numbers and first passwords for the guardians of a checked list, the same again for the same guardian."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import insert, select, update

from integrations.content.account_files import Account, Child
from lti_app.accounts.access import chunks
from lti_app.accounts.models import ExpectedChild, ExpectedGuardian
from lti_app.accounts.queries import arrived_ids
from lti_app.clock import utc_now
from lti_app.extensions import db

# Without what is mistaken for something else on paper: l and 1, o and 0.
_CONSONANTS = "bdfghkmnprstvwz"
_VOWELS = "aeiu"
_DIGITS = "23456789"
_LONGEST_BASE = 24
_ID_CARD = re.compile(r"\d{17}[\dx]")

Slot = tuple[str, str]
"""(pupil number, slot)"""


@dataclass(frozen=True, slots=True)
class _Guardian:
    """A guardian of a checked list (lists.Guardian), read back."""

    key: str | None
    name: str
    relation: str
    email: str | None
    children: Sequence[Sequence[str]]

    @property
    def slots(self) -> list[Slot]:
        return [(child[0], child[3]) for child in self.children]


def invite(
    people: Sequence[Mapping[str, Any]],
    school_id: int,
    *,
    prefix: str,
    with_names: bool,
    earlier: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Write down whom the school expects, and draw what their accounts need.

    Each gets `number`, `password` (None for whoever has come already) and `is_new`. `earlier`: what this list
    drew before, by number; its passwords stay, because they may be on paper. Raises IntegrityError when
    somebody else invites the same people at the same moment: nothing is written then.
    """
    guardians = [_Guardian(**person) for person in people]
    known = _Known(guardians, school_id)
    ids = [known.find(guardian) for guardian in guardians]
    numbers = [
        known.number_of(row) if row is not None else known.free_number(guardian, prefix)
        for guardian, row in zip(guardians, ids, strict=True)
    ]
    _write(guardians, ids, numbers, school_id, with_names=with_names)
    by_number = _ids_by_number(numbers, school_id)
    known.write_children(guardians, [by_number[number] for number in numbers])
    come = arrived_ids(school_id, by_number.values())
    made = []
    for number, row in zip(numbers, ids, strict=True):
        before = earlier.get(number, {})
        has_come = by_number[number] in come
        made.append(
            {
                "number": number,
                "is_new": row is None or bool(before.get("is_new")),
                "password": None if has_come else before.get("password") or first_password(),
            }
        )
    return made


def accounts_of(
    people: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]], *, only_new: bool, by_mail: bool
) -> list[Account]:
    """The accounts to hand to the LMS. `by_mail`: the LMS mails a password to whoever has a real address."""
    accounts = []
    for person, drawn in zip(people, made, strict=True):
        if only_new and not drawn["is_new"]:
            continue
        mailed = by_mail and person["email"]
        accounts.append(
            Account(
                number=drawn["number"],
                name=display_name(person),
                title=person["relation"],
                email=person["email"],
                password=None if mailed else drawn["password"],
                children=tuple(Child(child[0], child[2]) for child in person["children"]),
            )
        )
    return accounts


def display_name(person: Mapping[str, Any]) -> str:
    """The guardian's name; where the list has none, the child's with the relation (陈小雨妈妈)."""
    return str(person["name"] or f"{person['children'][0][1]}{person['relation']}")


def first_password() -> str:
    """A password that is easy to copy from paper, like Tuna-peki-48273: 39 bits, and the four kinds of
    characters and eight places that Moodle's default policy wants. It is for the first login only."""
    word = "".join(secrets.choice(_CONSONANTS) + secrets.choice(_VOWELS) for _ in range(4))
    digits = "".join(secrets.choice(_DIGITS) for _ in range(5))
    return f"{word[:4].capitalize()}-{word[4:]}-{digits}"


class _Known:
    """Whom the school expects already, of those whom the list may mean; found in a fixed number of statements
    per 500 guardians."""

    def __init__(self, guardians: Sequence[_Guardian], school_id: int) -> None:
        self._school_id = school_id
        self._by_key: dict[str, int] = {}
        self._by_slot: dict[Slot, tuple[int, int, str, str]] = {}
        """(id of the child's row, guardian's id, relation, class)"""
        self._numbers: dict[int, str] = {}
        self._drawn: set[str] = set()
        for some in chunks({guardian.key for guardian in guardians if guardian.key}):
            query = select(ExpectedGuardian.person_hash, ExpectedGuardian.id).where(
                ExpectedGuardian.school_id == school_id, ExpectedGuardian.person_hash.in_(some)
            )
            self._by_key.update((key or "", id_) for key, id_ in db.session.execute(query))
        for some in chunks({pupil for guardian in guardians for pupil, _slot in guardian.slots}):
            child = ExpectedChild
            rows = select(
                child.pupil_number, child.slot, child.id, child.guardian_id, child.relation, child.class_label
            ).where(child.school_id == school_id, child.pupil_number.in_(some))
            for pupil, slot, child_id, guardian_id, relation, label in db.session.execute(rows):
                self._by_slot[pupil, slot] = (child_id, guardian_id, relation, label)
        numbers = select(ExpectedGuardian.id, ExpectedGuardian.number)
        numbers = numbers.where(ExpectedGuardian.school_id == school_id)
        self._numbers.update((id_, number) for id_, number in db.session.execute(numbers))
        self._drawn.update(self._numbers.values())
        self._taken = set(self._by_key.values())

    def number_of(self, guardian_id: int) -> str:
        """The number of somebody who was found."""
        return self._numbers[guardian_id]

    def find(self, guardian: _Guardian) -> int | None:
        """By phone and name; else whoever has the same place with the same pupil, unless that one is somebody
        else of this list."""
        by_key = self._by_key.get(guardian.key or "")
        if by_key is not None:
            return by_key
        for slot in guardian.slots:
            _child, guardian_id, _relation, _class = self._by_slot.get(slot, (0, 0, "", ""))
            if guardian_id and guardian_id not in self._taken:
                self._taken.add(guardian_id)
                return guardian_id
        return None

    def free_number(self, guardian: _Guardian, prefix: str) -> str:
        """The first free of p2025010203a, p2025010203b … for the guardian's first pupil in the list."""
        base = number_base(prefix, guardian.children[0][0], self._school_id)
        number = next(number for number in map(base.__add__, _letters()) if number not in self._drawn)
        self._drawn.add(number)
        return number

    def write_children(self, guardians: Sequence[_Guardian], ids: Sequence[int]) -> None:
        """Note the pupils of each guardian, with the class they are in now."""
        new, changed = [], []
        for guardian, guardian_id in zip(guardians, ids, strict=True):
            for pupil, _name, class_label, slot, relation in guardian.children:
                says = {"guardian_id": guardian_id, "relation": relation, "class_label": class_label}
                child_id, *before = self._by_slot.get((pupil, slot), (0,))
                if not child_id:
                    key = {"school_id": self._school_id, "pupil_number": pupil, "slot": slot}
                    new.append(key | says)
                elif before != list(says.values()):
                    changed.append({"id": child_id} | says)
        if new:
            db.session.execute(insert(ExpectedChild), new)
        if changed:
            db.session.execute(update(ExpectedChild), changed)


def _write(
    guardians: Sequence[_Guardian],
    ids: Sequence[int | None],
    numbers: Sequence[str],
    school_id: int,
    *,
    with_names: bool,
) -> None:
    now = utc_now()
    new, known, with_key = [], [], []
    for guardian, id_, number in zip(guardians, ids, numbers, strict=True):
        name = (guardian.name or None) if with_names else None
        if id_ is None:
            row = {"school_id": school_id, "number": number, "person_hash": guardian.key, "name": name}
            new.append({**row, "invited_at": now})
        else:
            known.append({"id": id_, "name": name})
            with_key += [{"id": id_, "person_hash": guardian.key}] if guardian.key else []
    for statement, rows in (
        (insert(ExpectedGuardian), new),
        (update(ExpectedGuardian), known),
        (update(ExpectedGuardian), with_key),
    ):
        if rows:
            db.session.execute(statement, rows)


def _ids_by_number(numbers: Collection[str], school_id: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in chunks(numbers):
        query = select(ExpectedGuardian.number, ExpectedGuardian.id).where(
            ExpectedGuardian.school_id == school_id, ExpectedGuardian.number.in_(some)
        )
        found.update((number, id_) for number, id_ in db.session.execute(query))
    return found


def number_base(prefix: str, pupil_number: str, school_id: int) -> str:
    """What the numbers of a pupil's guardians begin with: the prefix and the pupil's number, so that a clerk
    sees at once whose they are. A number that holds an identity card's, or more than letters and digits,
    is replaced by a code drawn from it."""
    plain = pupil_number.lower()
    if re.fullmatch(rf"[a-z0-9]{{1,{_LONGEST_BASE}}}", plain) and not _ID_CARD.search(plain):
        return f"{prefix}{plain}-" if plain[-1].isalpha() else f"{prefix}{plain}"
    secret = current_app.config["SETTINGS"].secret_key
    digest = hmac.new(secret.encode(), f"{school_id}|{pupil_number}".encode(), hashlib.sha256).digest()
    return f"{prefix}{base64.b32encode(digest).decode().lower()[:10]}-"


def _letters() -> Iterator[str]:
    for first in ("", *"abcdefghijkmnpqrstuvwxyz"):
        for last in "abcdefghijkmnpqrstuvwxyz":
            yield first + last
    yield from map(str, itertools.count(2))  # more than any school has for one pupil, but never an end
