"""Districts, schools and terms: found, or made on first need."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_app.extensions import db, insert_into
from lti_app.organisations.models import District, School, Term


class UnknownTimeZone(ValueError):
    """Not an IANA time zone name."""


def school_named(name: str, *, district: str, time_zone: str = "Asia/Shanghai") -> School:
    """The school of that name in that district; both are made when new. Raises UnknownTimeZone."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimeZone(time_zone) from error
    home = db.session.scalar(select(District).where(District.name == district))
    if home is None:
        home = District(name=district)
        db.session.add(home)
        db.session.flush()  # home.id
    school = db.session.scalar(select(School).where(School.district_id == home.id, School.name == name))
    if school is None:
        school = School(district_id=home.id, name=name, time_zone=time_zone)
        db.session.add(school)
        db.session.flush()  # school.id
    return school


def free_school_name(wanted: str, *, district: str) -> str:
    """`wanted`, with a number behind it where the district has a school of that name."""
    query = select(School.name).join(District).where(District.name == district)
    taken = set(db.session.scalars(query.where(School.name.startswith(wanted, autoescape=True))))
    return next(
        name for name in (wanted, *(f"{wanted} ({n})" for n in range(2, 10_000))) if name not in taken
    )


def term_of(district_id: int, day: date) -> Term:
    """The district's term that `day` falls in.

    Where the district entered none, it is the half of the school year (1 September to 31 January, 1 February
    to 31 August), shortened where it would overlap an entered one, and kept from then on.
    """
    term = _find_term(district_id, day)
    if term is not None:
        return term
    starts_on, ends_on = _half_of_school_year(day)
    others = db.session.scalars(
        select(Term).where(
            Term.district_id == district_id, Term.starts_on <= ends_on, Term.ends_on >= starts_on
        )
    ).all()
    starts_on = max([starts_on, *(_next(t.ends_on) for t in others if t.ends_on < day)])
    ends_on = min([ends_on, *(_previous(t.starts_on) for t in others if t.starts_on > day)])
    db.session.execute(
        insert_into(Term)
        .values(district_id=district_id, starts_on=starts_on, ends_on=ends_on)
        .on_conflict_do_nothing(index_elements=["district_id", "starts_on"])
    )
    term = _find_term(district_id, day)
    if term is None:  # another process entered a term with this first day that ends before `day`
        raise IntegrityError("term", {}, ValueError("terms changed while one was looked up"))
    return term


def _find_term(district_id: int, day: date) -> Term | None:
    return db.session.scalar(
        select(Term).where(Term.district_id == district_id, Term.starts_on <= day, Term.ends_on >= day)
    )


def _half_of_school_year(day: date) -> tuple[date, date]:
    if day.month >= 9:
        return date(day.year, 9, 1), date(day.year + 1, 1, 31)
    if day.month == 1:
        return date(day.year - 1, 9, 1), date(day.year, 1, 31)
    return date(day.year, 2, 1), date(day.year, 8, 31)


def _next(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)


def _previous(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)
