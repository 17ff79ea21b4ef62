"""Handing out turns: two dispatchers, in whatever processes, never hand out the same one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import ColumnElement, and_, func, or_, select

from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.services import LONGEST_LEASE, is_free
from lti_app.delivery.turns import DueTurn, Work, find_turns, rota_of
from lti_app.extensions import db, insert_into, start_as_reader


def offer(
    app: Flask,
    works: Sequence[Work],
    seconds: float = 10.0,
    *,
    limit: int | None = None,
    in_trouble: int | None = None,
) -> list[tuple[str, int]]:
    """(work, registration) of due turns that nobody was offered yet, most urgent first; for `seconds` nobody
    else is offered them.

    At most `limit` of them; and as many in trouble (their platform failed last time) as leave no more than
    `in_trouble` such registrations offered or served at a time, over all processes.
    """
    turns = find_turns(app, works)
    if not turns or limit == 0:
        return []
    start_as_reader(False)
    with app.app_context():
        now = utc_now()
        if in_trouble is not None and any(turn.troubled for turn in turns):
            turns = _with_few_in_trouble(turns, in_trouble - _troubled_now(now))
        mine = _mark(_not_offered(turns, now)[:limit], now, seconds)
        db.session.commit()
    taken = [turn for turn in turns if turn.registration_id in mine]
    for turn in taken:
        rota_of(app).note(turn)
    return [(turn.work, turn.registration_id) for turn in taken]


def _with_few_in_trouble(turns: Sequence[DueTurn], places: int) -> list[DueTurn]:
    troubled = [turn for turn in turns if turn.troubled]
    return [turn for turn in turns if not turn.troubled] + troubled[: max(places, 0)]


def _troubled_now(now: datetime) -> int:
    busy = or_(~is_free(now), _is_offered(now))
    return db.session.scalar(select(func.count()).where(DeliverySlot.failures > 0, busy)) or 0


def _is_offered(now: datetime) -> ColumnElement[bool]:
    """Offered and not taken yet; not what a clock far ahead of ours wrote."""
    until = DeliverySlot.offered_until
    return and_(until.is_not(None), until > now, until <= now + timedelta(seconds=LONGEST_LEASE))


def _not_offered(turns: Sequence[DueTurn], now: datetime) -> list[DueTurn]:
    offered = set(db.session.scalars(select(DeliverySlot.registration_id).where(_is_offered(now))))
    return [turn for turn in turns if turn.registration_id not in offered]


def _mark(turns: Sequence[DueTurn], now: datetime, seconds: float) -> Collection[int]:
    """Those that nobody else marked or took meanwhile. In the order of ids, as all that lock several."""
    if not turns:
        return ()
    until = now + timedelta(seconds=seconds)
    rows = [
        {"registration_id": one, "offered_until": until, "failures": 0, "clock_ahead": 0}
        for one in sorted(turn.registration_id for turn in turns)
    ]
    statement = (
        insert_into(DeliverySlot)
        .values(rows)
        .on_conflict_do_update(
            index_elements=["registration_id"],
            set_={"offered_until": until},
            where=and_(is_free(now), ~_is_offered(now)),
        )
        .returning(DeliverySlot.registration_id)
    )
    return set(db.session.scalars(statement))
