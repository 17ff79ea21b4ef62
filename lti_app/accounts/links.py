"""Linking guardians to pupils by an imported list; both must be people whom the platform told us of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from integrations.content.spreadsheet import Row, looks_rounded
from integrations.terms import CourseRole
from lti_app.accounts.access import Reach, chunks
from lti_app.accounts.columns import Record, records
from lti_app.accounts.lists import LONGEST_NUMBER, LONGEST_RELATION
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.roster.guardians import link_children
from lti_app.roster.models import (
    Guardianship,
    GuardianSource,
    Membership,
    Person,
    PersonKind,
    PersonLink,
)

LONGEST_ID = 255
_KINDS = {
    "家长": PersonKind.PARENT,
    "parent": PersonKind.PARENT,
    "学生": PersonKind.PUPIL,
    "pupil": PersonKind.PUPIL,
    "student": PersonKind.PUPIL,
}


class Verdict(StrEnum):
    """What becomes of a line. LINK and KIND are written when the list is applied, the others never."""

    LINK = "link"
    KIND = "kind"
    LINKED = "linked"
    PUPIL_UNKNOWN = "pupil-unknown"
    GUARDIAN_UNKNOWN = "guardian-unknown"
    AMBIGUOUS = "ambiguous"
    SAME_LOGIN = "same-login"
    REPEATED = "repeated"
    BAD = "bad"


WRITTEN = (Verdict.LINK, Verdict.KIND)


@dataclass(frozen=True, slots=True)
class Entry:
    """One guardian of one row, as the list says it. `kind` is of the guardian, or of the pupil where the row
    names no guardian."""

    row: int
    pupil: str
    pupil_name: str
    guardian: str
    relation: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The logins and persons that a list is about, found in a fixed number of statements per 500 values."""

    pupils: Mapping[str, set[int]]
    guardians: Mapping[str, set[int]]
    parents: Mapping[int, list[tuple[int, str | None]]]
    links: Collection[tuple[int, int]]

    def login(self, entry: Entry) -> int:
        """The guardian's login, or the pupil's where the row has none; for entries that were found."""
        return next(
            iter(self.guardians[_folded(entry.guardian)] if entry.guardian else self.pupils[entry.pupil])
        )

    def parent(self, login: int, relation: str) -> int | None:
        """The person who comes as a parent by that login: the one so called, else the only one."""
        known = self.parents.get(login, [])
        named = [person for person, label in known if label == relation]
        if named:
            return named[0]
        return known[0][0] if len(known) == 1 else None


def entries_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The list as plain data. Raises NotThisList."""
    return [
        asdict(entry)
        for record in records(rows, needed=("guardian_id", "email", "kind"))
        for entry in _entries(record)
    ]


def judged(entries: Sequence[Entry], reach: Reach) -> list[Verdict]:
    """What would become of each entry now. Only reads."""
    return _judged(entries, _look_up(entries, reach))


def apply(entries: Sequence[Entry], reach: Reach) -> tuple[int, int]:
    """Write what can be written, judged anew; returns how many links and how many kinds were new."""
    known = _look_up(entries, reach)
    links = [
        e for e, verdict in zip(entries, _judged(entries, known), strict=True) if verdict is Verdict.LINK
    ]
    persons = _persons(links, known)
    pairs = {(person, next(iter(known.pupils[e.pupil]))) for e, person in zip(links, persons, strict=True)}
    made = link_children(pairs, GuardianSource.SIS_IMPORT, restoring=True)
    changed = 0
    for kind in PersonKind:
        logins = {
            known.login(entry)
            for entry, verdict in zip(entries, _judged(entries, known), strict=True)
            if verdict in (Verdict.LINK, Verdict.KIND, Verdict.LINKED) and _KINDS.get(entry.kind) is kind
        }
        changed += _set_kind(logins, kind, reach)
    return len(made), changed


def _entries(record: Record) -> Iterator[Entry]:
    pupil, name = record.pupil.get("pupil_number", ""), record.pupil.get("pupil_name", "")
    kind = record.pupil.get("kind", "").lower()
    guardians = [g for g in record.guardians if g.get("guardian_id") or g.get("email")]
    for guardian in guardians:
        said = guardian.get("guardian_id") or guardian["email"]
        yield Entry(record.number, pupil, name, said, guardian.get("relation", ""), kind)
    if not guardians:
        yield Entry(record.number, pupil, name, "", "", kind)


def _judged(entries: Sequence[Entry], known: _Known) -> list[Verdict]:
    seen: set[tuple[str, str]] = set()
    verdicts = []
    for entry in entries:
        verdict = _verdict(entry, known)
        place = (entry.pupil, _folded(entry.guardian))
        if verdict in WRITTEN and place in seen:
            verdict = Verdict.REPEATED
        seen.add(place)
        verdicts.append(verdict)
    return verdicts


def _verdict(entry: Entry, known: _Known) -> Verdict:
    if _is_bad(entry):
        return Verdict.BAD
    pupils, guardians = known.pupils.get(entry.pupil, ()), known.guardians.get(_folded(entry.guardian), ())
    if not pupils:
        return Verdict.PUPIL_UNKNOWN
    if entry.guardian and not guardians:
        return Verdict.GUARDIAN_UNKNOWN
    if len(pupils) > 1 or len(guardians) > 1:
        return Verdict.AMBIGUOUS
    if not entry.guardian:
        return Verdict.KIND
    login, child = next(iter(guardians)), next(iter(pupils))
    if login == child:
        return Verdict.SAME_LOGIN
    person = known.parent(login, entry.relation)
    return Verdict.LINKED if (person, child) in known.links else Verdict.LINK


def _is_bad(entry: Entry) -> bool:
    return (
        not entry.pupil
        or looks_rounded(entry.pupil)
        or len(entry.pupil) > LONGEST_NUMBER
        or len(entry.guardian) > LONGEST_ID
        or len(entry.relation) > LONGEST_RELATION
        or (bool(entry.kind) and entry.kind not in _KINDS)
        or not (entry.guardian or entry.kind)
    )


def _look_up(entries: Sequence[Entry], reach: Reach) -> _Known:
    good = [entry for entry in entries if not _is_bad(entry)]
    pupils = reach.pupils_named({entry.pupil for entry in good})
    guardians = reach.guardians_named({entry.guardian for entry in good if entry.guardian})
    parents: dict[int, list[tuple[int, str | None]]] = {}
    for some in chunks({login for logins in guardians.values() for login in logins}):
        query = (
            select(PersonLink.lti_user_pk, Person.id, Person.label)
            .join(Person, Person.id == PersonLink.person_id)
            .where(PersonLink.lti_user_pk.in_(some), Person.kind == PersonKind.PARENT)
            .order_by(Person.id)
        )
        for login, person, label in db.session.execute(query):
            parents.setdefault(login, []).append((person, label))
    links: set[tuple[int, int]] = set()
    for some in chunks({person for known in parents.values() for person, _label in known}):
        linked = select(Guardianship.person_id, Guardianship.child_pk)
        linked = linked.where(Guardianship.person_id.in_(some), Guardianship.removed_at.is_(None))
        links.update((person, child) for person, child in db.session.execute(linked))
    return _Known(pupils, guardians, parents, links)


def _persons(links: Sequence[Entry], known: _Known) -> list[int]:
    """The guardian of each link as a person; made where the login has none yet."""
    without = {known.login(e) for e in links if known.parent(known.login(e), e.relation) is None}
    made: dict[int, int] = {}
    insert_link = (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert(PersonLink)
    for some in chunks(without):
        new = insert(Person).values([{"kind": PersonKind.PARENT, "created_at": utc_now()} for _ in some])
        people = list(db.session.scalars(new.returning(Person.id)))
        rows = [
            {"lti_user_pk": login, "person_id": person, "role_key": str(PersonKind.PARENT)}
            for login, person in zip(some, people, strict=True)
        ]
        db.session.execute(insert_link.values(rows).on_conflict_do_nothing())
        # Where a first launch at the same moment was quicker, or a family's login has a parent without a name.
        held = select(PersonLink.lti_user_pk, PersonLink.person_id).where(
            PersonLink.lti_user_pk.in_(some), PersonLink.role_key == str(PersonKind.PARENT)
        )
        made.update((login, person) for login, person in db.session.execute(held))
        unused = set(people) - set(made.values())
        if unused:
            db.session.execute(delete(Person).where(Person.id.in_(unused)))
    return [known.parent(known.login(e), e.relation) or made[known.login(e)] for e in links]


def _set_kind(logins: Collection[int], kind: PersonKind, reach: Reach) -> int:
    changed = 0
    for some in chunks(logins):
        statement = (
            update(Membership)
            .where(
                Membership.lti_user_pk.in_(some),
                Membership.context_pk.in_(reach.contexts),
                Membership.role == CourseRole.LEARNER,
                Membership.listed_kind.is_distinct_from(kind),
            )
            .values(listed_kind=kind)
            .execution_options(synchronize_session=False)
        )
        changed += int(db.session.execute(statement).rowcount)  # type: ignore[attr-defined]
    return changed


def _folded(text: str) -> str:
    return text.lower()
