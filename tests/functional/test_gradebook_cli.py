"""`flask gradebook …`: an operator sees what is going on, and can help without doing harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, select, update
from time_machine import Traveller

from integrations.terms import Outcome
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.models import Difference, Keeps, LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.gradebook.oversight import requeue
from lti_app.gradebook.wishes import set_policy
from lti_app.roster.models import LtiUser
from tests.conftest import run
from tests.fake_ags import Desk, answer, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def desk(database_url: str, tmp_path: Path, clock: Traveller) -> Iterator[Desk]:
    with running_desk(Desk, tmp_path, database_url) as running:
        yield running


def pause(desk: Desk, column: int | None) -> None:
    with desk.work():
        row = db.session.get_one(LineItem, column)
        set_policy(row, keeps=Keeps.LATEST, sends=Sends.AT_ONCE, paused=True)


def hold(desk: Desk, score: int, outcome: Outcome) -> None:
    with desk.work():
        values = {"state": ScoreState.HELD, "outcome": outcome, "due_at": None, "attempts": 3}
        db.session.execute(update(Score).where(Score.id == score).values(values))


def state_of(desk: Desk, score: int) -> tuple[ScoreState, Outcome | None]:
    row = desk.score(score)
    return row.state, row.outcome


def test_deliver_sends_what_is_due_and_ends(desk: Desk) -> None:
    school = desk.school()
    desk.want(desk.column(school))
    assert "handled: 1" in desk.operator("gradebook", "deliver").splitlines()
    assert len(school.posts) == 1
    desk.operator("gradebook", "deliver", "--once")
    assert len(school.posts) == 1


def test_status_tells_what_is_kept_back_and_how_readings_went(desk: Desk) -> None:
    school = desk.school()
    kept, read = desk.column(school, "c1"), desk.column(school, "c2")
    desk.want(kept)
    pause(desk, kept)
    with desk.work():
        done = update(LineItem).where(LineItem.id == read).values(reading=ReadingState.DONE)
        db.session.execute(done)
    line = next(text for text in desk.operator("gradebook", "status").splitlines() if "a.test" in text)
    assert "a.test (active): 0 unsent, 0 held, 1 withheld" in line
    assert "columns read back: done 1, never 1" in line


def test_requeue_makes_due_what_was_refused_and_nothing_else(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column, paused = desk.column(school, "c1"), desk.column(school, "c2")
    locked, overridden, sent, kept = (
        desk.want(where, sub)
        for where, sub in ((column, "u1"), (column, "u2"), (column, "u3"), (paused, "u1"))
    )
    desk.drain()
    hold(desk, locked, Outcome.LOCKED)
    hold(desk, overridden, Outcome.OVERRIDDEN)
    pause(desk, paused)
    hold(desk, kept, Outcome.LOCKED)
    counted = desk.operator("gradebook", "requeue", "--dry-run")
    assert "locked: 2" in counted
    assert state_of(desk, locked) == (ScoreState.HELD, Outcome.LOCKED), "a dry run only counts"
    desk.operator("gradebook", "requeue")
    assert state_of(desk, locked) == (ScoreState.WAITING, None)
    assert desk.score(locked).due_at == START
    assert state_of(desk, overridden) == (ScoreState.HELD, Outcome.OVERRIDDEN)
    assert state_of(desk, sent)[0] is ScoreState.SENT
    assert desk.score(kept).due_at is None, "it waits until its column goes on"
    assert "0 score(s) are due now" in desk.operator("gradebook", "requeue")


@pytest.mark.parametrize("by", ["--registration", "--column", "--outcome"])
def test_requeue_can_be_narrowed(desk: Desk, by: str) -> None:
    first, second = desk.school("a.test"), desk.school("b.test")
    columns = desk.column(first, "c1"), desk.column(second, "c2")
    mine, other = (desk.want(column) for column in columns)
    hold(desk, mine, Outcome.LOCKED)
    hold(desk, other, Outcome.MISCONFIGURED)
    value = {"--registration": "a.test", "--column": str(columns[0]), "--outcome": "locked"}[by]
    assert "1 score(s) are due now" in desk.operator("gradebook", "requeue", by, value)
    assert state_of(desk, mine) == (ScoreState.WAITING, None)
    assert state_of(desk, other) == (ScoreState.HELD, Outcome.MISCONFIGURED)


def test_requeue_goes_through_more_than_one_batch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    column = desk.column(desk.school())
    scores = [desk.want(column, f"u{number}") for number in range(5)]
    for score in scores:
        hold(desk, score, Outcome.LOCKED)
    monkeypatch.setattr(requeue.requeue, "__kwdefaults__", {"most": 2, "ends_rest": True})
    assert "5 score(s) are due now" in desk.operator("gradebook", "requeue")


def test_requeue_ends_a_platforms_rest_and_finds_a_column_anew(desk: Desk) -> None:
    """A teacher embedded the activity again: its link names another column than the one that is gone."""
    school = desk.school()
    column = desk.column(school, "c1")
    score = desk.want(column)
    school.always = answer(404)
    desk.drain()
    assert state_of(desk, score) == (ScoreState.HELD, Outcome.COLUMN_GONE)
    with desk.work():
        link = db.session.get_one(LineItem, column).resource_link_pk
        db.session.execute(
            update(LineItem).where(LineItem.id == column).values(url=school.column_url("former"))
        )
        db.session.execute(update(DeliverySlot).values(blocked_until=datetime(2030, 1, 1, tzinfo=UTC)))
    assert link is not None
    school.always = None
    assert "1 score(s) are due now" in desk.operator("gradebook", "requeue", "--outcome", "column-gone")
    desk.drain()
    assert school.posts[-1]["column"] == school.column_url("c1")


def test_reconcile_asks_for_readings_and_can_do_them(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    first = desk.column(school, "c1")
    desk.column(school, "c2")
    desk.want(first)
    desk.drain()
    assert "2 of 2 column(s) will be read" in desk.operator("gradebook", "reconcile", "--all")
    assert "0 of 1 column(s) will be read" in desk.operator(
        "gradebook", "reconcile", "--column", str(first)
    ), "they wait already"
    clock.shift(120)
    told = desk.operator("gradebook", "reconcile", "--registration", "a.test", "--now")
    assert "queued" not in told.splitlines()[-1]
    with desk.work():
        assert ReadingState.QUEUED not in set(db.session.scalars(select(LineItem.reading)))


def test_explain_tells_a_score_from_the_beginning(desk: Desk, clock: Traveller) -> None:
    school = desk.school()
    column = desk.column(school)
    score = desk.want(column, given=70_00)
    desk.drain()
    clock.shift(60)
    desk.want(column, given=85_50)
    school.always = answer(503)
    desk.drain()
    with desk.work():
        db.session.execute(
            update(Score).values(
                seen_at=START,
                seen_given=60_00,
                seen_maximum=100_00,
                difference=Difference.CHANGED,
                in_doubt=True,
            )
        )
        db.session.execute(update(DeliverySlot).values(clock_ahead=-3200))
    told = dict(
        text.split(maxsplit=1) if text.split()[0] not in TWO_WORDS else _two(text)
        for text in desk.operator("gradebook", "explain", str(score)).splitlines()
    )
    assert told["score"] == str(score)
    assert "a.test (generic, active)" in told["platform"]
    assert told["address"] == school.column_url("c1")
    assert told["policy"] == "keeps the latest result, sends at-once"
    assert told["wanted"].startswith("85.50 of 100.00, Completed, FullyGraded, revision 2")
    assert told["state"].startswith("waiting: ")
    assert told["sent"].startswith("70.00 of 100.00, ")
    assert "revision 1, at 2026-11-23 19:00:00 UTC" in told["sent"]
    assert told["in doubt"].startswith("another value was sent too")
    assert told["answer"].startswith("retry after 1 attempt(s)")
    assert told["LMS shows"] == "60.00 of 100.00, changed, read 2026-11-23 19:00:00 UTC"
    assert told["last success"] == "2026-11-23 19:00:00 UTC"
    assert told["clock"] == "the platform's is -3.2 s from ours"
    keys = list(told)
    assert keys.index("wanted") < keys.index("sent") < keys.index("answer") < keys.index("LMS shows")


TWO_WORDS = {"LMS", "last", "next", "in"}


def _two(line: str) -> tuple[str, str]:
    first, second, rest = line.split(maxsplit=2)
    return f"{first} {second}", rest


def test_explain_names_nobody(desk: Desk) -> None:
    score = desk.want(desk.column(desk.school()), "sub-of-chen", comment="写得很好")
    with desk.work():
        db.session.execute(update(LtiUser).values(name="陈妈妈", email="chen@example.org"))
    told = desk.operator("gradebook", "explain", str(score))
    for secret in ("陈妈妈", "chen@example.org", "sub-of-chen", "写得很好"):
        assert secret not in told
    login = desk.score(score).lti_user_pk
    listed = desk.operator("gradebook", "explain", "--login", str(login))
    assert f"score {score}" in listed
    assert "100.00 of 100.00, waiting" in listed


def test_explain_before_anything_was_sent(desk: Desk) -> None:
    score = desk.want(desk.column(desk.school()))
    with desk.work():
        db.session.execute(delete(DeliverySlot))
    told = desk.operator("gradebook", "explain", str(score))
    assert "nothing was ever sent to this platform" in told
    assert "sent          never" in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["explain", "4711"], 1, "there is no score 4711"),
        (["explain", "9" * 30], 1, "Error: "),
        (["explain"], 2, "say the number of a score"),
        (["explain", "1", "--login", "1"], 2, "say the number of a score"),
        (["explain", "x"], 2, "Invalid value"),
        (["reconcile"], 2, "say which columns"),
        (["reconcile", "--all", "--column", "1"], 2, "say which columns"),
        (["reconcile", "--column", "4711"], 1, "no such column"),
        (["reconcile", "--column", "9" * 30], 1, "Error: "),
        (["reconcile", "--registration", "nobody"], 1, "no platform is called 'nobody'"),
        (["requeue", "--registration", "9" * 30], 1, "Error: "),
        (["requeue", "--registration", "a\x00b"], 1, "Error: "),
        (["requeue", "--outcome", "nonsense"], 2, "Invalid value"),
        (["requeue", "--outcome", "overridden"], 1, "a teacher can choose our grade"),
        (["requeue", "--outcome", "sent"], 1, "what is sent is there"),
    ],
)
def test_bad_arguments_are_told_in_a_sentence(
    app: Flask, arguments: list[str], code: int, words: str
) -> None:
    assert words in run(app, "gradebook", *arguments, exit_code=code)
