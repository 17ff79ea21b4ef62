"""The rules as data: which one pays for an event, and how they are added and ended. Never edited."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_app.credits.models import Category, CreditEntry, CreditEvent, CreditRule, SourceKind
from lti_app.credits.rules import Rule
from lti_app.extensions import db
from lti_app.organisations.models import District, School


class RuleRefused(ValueError):
    """Says in one sentence why a rule cannot be added or ended."""


def rule_for(event: CreditEvent) -> CreditRule | None:
    """The district's own rule of the event's day before the default one; the newest where two overlap."""
    district_id = select(School.district_id).where(School.id == event.school_id).scalar_subquery()
    return db.session.scalar(
        select(CreditRule)
        .where(
            CreditRule.source_kind == event.source_kind,
            CreditRule.valid_from <= event.day,
            CreditRule.valid_until.is_(None) | (CreditRule.valid_until >= event.day),
            CreditRule.district_id.is_(None) | (CreditRule.district_id == district_id),
        )
        .order_by(CreditRule.district_id.is_(None), CreditRule.valid_from.desc(), CreditRule.id.desc())
        .limit(1)
    )


def rule_of_entry(entry_id: int) -> CreditRule:
    """The rule that an entry remembers."""
    return db.session.scalars(
        select(CreditRule)
        .join(CreditEntry, CreditEntry.rule_id == CreditRule.id)
        .where(CreditEntry.id == entry_id)
    ).one()


def all_rules() -> list[tuple[CreditRule, str | None]]:
    """Every rule with the name of its district (None: the default), newest first within each."""
    rows = db.session.execute(
        select(CreditRule, District.name)
        .outerjoin(District, District.id == CreditRule.district_id)
        .order_by(CreditRule.source_kind, District.name, CreditRule.valid_from.desc(), CreditRule.id)
    )
    return [(rule, name) for rule, name in rows]


def add_rule(
    terms: Rule,
    *,
    kind: SourceKind,
    category: Category,
    valid_from: date,
    valid_until: date | None = None,
    district: str | None = None,
) -> CreditRule:
    """Add a rule for events of `valid_from` to `valid_until` (inclusive).

    Raises RuleRefused for an unknown district or where another rule of the same scope is valid meanwhile.
    """
    if valid_until is not None and valid_until < valid_from:
        raise RuleRefused(f"the last day {valid_until} is before the first day {valid_from}")
    district_id = _district_id(district)
    other = _overlapping(kind, district_id, valid_from, valid_until)
    if other is not None:
        raise RuleRefused(f"rule {other.id} is valid from {other.valid_from} on; end it first")
    rule = CreditRule(
        district_id=district_id,
        source_kind=kind,
        category=category,
        rate=terms.rate,
        cap_day=terms.cap_day,
        cap_week=terms.cap_week,
        cap_term=terms.cap_term,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    db.session.add(rule)
    try:
        db.session.flush()
    except IntegrityError as error:
        raise RuleRefused("another rule with this first day was added meanwhile") from error
    return rule


def end_rule(rule_id: int, last_day: date) -> CreditRule:
    """Make `last_day` the last one that the rule pays for. What it paid stays. Raises RuleRefused."""
    rule: CreditRule | None = db.session.scalar(
        select(CreditRule).where(CreditRule.id == rule_id).with_for_update()
    )
    if rule is None:
        raise RuleRefused(f"there is no rule {rule_id}")
    if rule.valid_until is not None and rule.valid_until <= last_day:
        raise RuleRefused(f"rule {rule_id} already ends on {rule.valid_until}")
    if last_day < rule.valid_from:
        raise RuleRefused(f"rule {rule_id} begins only on {rule.valid_from}")
    rule.valid_until = last_day
    return rule


def _district_id(name: str | None) -> int | None:
    if name is None:
        return None
    found = db.session.scalar(select(District.id).where(District.name == name))
    if found is None:
        raise RuleRefused(f"there is no district called {name}")
    return found


def _overlapping(
    kind: SourceKind, district_id: int | None, first: date, last: date | None
) -> CreditRule | None:
    scope = CreditRule.district_id.is_(None) if district_id is None else CreditRule.district_id == district_id
    begins = [] if last is None else [CreditRule.valid_from <= last]
    still = CreditRule.valid_until.is_(None) | (CreditRule.valid_until >= first)
    found = select(CreditRule).where(CreditRule.source_kind == kind, scope, still, *begins)
    return db.session.scalar(found.order_by(CreditRule.valid_from).limit(1))
