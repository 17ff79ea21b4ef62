"""Columns that we make in a gradebook: found before made, kept in step, deleted when that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from time_machine import Traveller

from lti_app.clock import utc_now
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.gradebook.columns.care import look_after, request_reading
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import LineItem, ReadingState, Score, ScoreState
from lti_app.gradebook.wishes import add_credits_column, remove_column
from lti_app.organisations.models import School as OurSchool
from lti_app.organisations.services import term_of
from lti_app.roster.models import Context, ResourceLink
from tests.fake_ags import READING, SCOPES, Desk, School, answer, running_desk

START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


class Columns(Desk):
    """A desk with a column of credits in the class of the link `c1`."""

    def credits(self, school: School, target: int = 12_00) -> int:
        """Ask for the column of the class's credits this term; returns its id."""
        self.column(school)
        with self.work():
            context = db.session.scalars(
                select(Context).join(ResourceLink).where(ResourceLink.resource_link_id == "c1")
            ).one()
            district_id = db.session.get_one(OurSchool, context.school_id).district_id
            term = term_of(district_id, START.date())
            return add_credits_column(context, self.registration(school), term, target).id

    def care(self) -> int:
        return drain(self.app, [look_after])

    def exists(self, column: int) -> bool:
        with self.work():
            return db.session.get(LineItem, column) is not None


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def desk(database_url: str, tmp_path: Path, clock: Traveller) -> Iterator[Columns]:
    with running_desk(
        Columns, tmp_path, database_url, works=(deliver, look_after), scopes=(*SCOPES, READING)
    ) as running:
        yield running


def methods(school: School) -> list[str]:
    return [method for method, path in school.calls if "/lineitems" in path and "/scores" not in path]


def test_a_column_of_credits_is_made_and_gets_what_waited_for_it(desk: Columns) -> None:
    school = desk.school(kind="moodle")
    column = desk.credits(school)
    desk.want(column, "u1", 50_00)
    desk.drain()
    (made,) = school.columns
    row = desk.line_item(column)
    assert (row.url, row.made_by_us, row.maximum) == (made["id"], True, 12_00)
    assert (made["scoreMaximum"], made["tag"]) == (12, "credits")
    assert made["resourceId"] == row.resource_id == f"credits:{row.term_id}"
    assert made["label"] == row.label
    assert school.grades == {(made["id"], "u1"): 6}


def test_a_column_that_is_there_already_is_found(desk: Columns, clock: Traveller) -> None:
    school = desk.school(kind="canvas")
    column = desk.credits(school)
    resource = f"credits:{desk.line_item(column).term_id}"
    others = [("credits:999", "credits"), (resource, "course"), (resource, None)]
    ours = (resource, "credits")
    school.columns += [
        {
            "id": school.column_url(f"x{number}"),
            "label": "旧名",
            "scoreMaximum": 8,
            "resourceId": one,
            "tag": tag,
        }
        for number, (one, tag) in enumerate([*others, ours])
    ]
    # Some platforms ignore the filters.
    everything = list(school.columns)
    school.faults = [answer(200, everything)]
    desk.care()
    assert desk.line_item(column).url == school.column_url("x3")
    assert "POST" not in methods(school)
    assert school.columns[3]["label"] == desk.line_item(column).label, "and gets our name"
    assert school.columns[3]["scoreMaximum"] == 12
    assert [item["label"] for item in school.columns[:3]] == ["旧名"] * 3


def test_a_worker_that_dies_after_making_a_column_makes_no_second_one(
    desk: Columns, clock: Traveller
) -> None:
    school = desk.school()
    column = desk.credits(school)
    with desk.mortal() as die:
        calls = iter([None, "made"])

        def fatal(request: Any) -> Any:
            if next(calls) is None:
                return None
            made = school.serve("POST", request.url, request.body, request.headers)
            assert made[0] == 201
            die()

        school.always = fatal
        desk.care()
    school.always = None
    clock.shift(3600)
    desk.care()
    assert len(school.columns) == 1
    assert desk.line_item(column).url == school.columns[0]["id"]


def test_a_change_keeps_whatever_the_platform_has_of_its_own(desk: Columns) -> None:
    school = desk.school(kind="moodle")
    column = desk.credits(school)
    desk.care()
    (made,) = school.columns
    made |= {"ltiLinkId": "7", "submissionReview": {"url": "https://a.test/review"}}
    with desk.work():
        row = db.session.get_one(LineItem, column)
        row.label, row.ends_at = "学分 2026 秋（新）", START + timedelta(days=60)
        row.wants_edit, row.due_at = True, utc_now()
    desk.care()
    (changed,) = school.columns
    assert changed == {
        **made,
        "label": "学分 2026 秋（新）",
        "endDateTime": "2027-01-22T19:00:00.000+00:00",
    }
    row = desk.line_item(column)
    assert (row.wants_edit, row.reading) == (False, ReadingState.DONE)


def test_a_refused_change_does_not_keep_a_column_from_being_read(desk: Columns) -> None:
    school = desk.school()
    column = desk.credits(school)
    desk.care()
    with desk.work():
        row = db.session.get_one(LineItem, column)
        row.label, row.wants_edit, row.due_at = "新名", True, utc_now()

    school.always = lambda request: (403, {}, {}) if request.method == "PUT" else None
    desk.care()
    row = desk.line_item(column)
    assert (row.wants_edit, row.reading) == (False, ReadingState.DONE)
    assert methods(school).count("PUT") == 1


def test_a_teachers_column_is_never_changed_nor_deleted(desk: Columns) -> None:
    school = desk.school()
    column = desk.column(school)
    with desk.work():
        row = db.session.get_one(LineItem, column)
        row.wants_edit = row.wants_deletion = True
        row.due_at = utc_now()
    desk.care()
    assert set(methods(school)) == {"GET"}
    row = desk.line_item(column)
    assert (row.wants_edit, row.wants_deletion, row.url) == (False, False, school.column_url("c1"))


@pytest.mark.parametrize("gone_already", [False, True])
def test_a_column_that_is_not_wanted_any_more_is_deleted_with_its_scores(
    desk: Columns, gone_already: bool
) -> None:
    school = desk.school(kind="moodle")
    column = desk.credits(school)
    score = desk.want(column, "u1", 50_00)
    desk.drain()
    if gone_already:
        school.deleted.add(school.columns.pop()["id"])
    with desk.work():
        remove_column(db.session.get_one(LineItem, column))
    desk.drain()
    assert school.columns == []
    assert not desk.exists(column)
    with desk.work():
        assert db.session.get(Score, score) is None


def test_a_column_that_is_wanted_again_while_it_is_deleted_is_made_anew(desk: Columns) -> None:
    school = desk.school(kind="moodle")
    column = desk.credits(school)
    desk.want(column, "u1", 50_00)
    desk.drain()
    with desk.work():
        remove_column(db.session.get_one(LineItem, column))

    def meanwhile(_: object) -> None:
        assert desk.credits(school) == column

    school.faults = [meanwhile]
    desk.drain()
    (made,) = school.columns
    assert desk.line_item(column).url == made["id"]
    assert school.grades[made["id"], "u1"] == 6
    assert methods(school).count("POST") == 2


def test_a_platform_that_refuses_a_column_is_asked_again_at_last_daily(
    desk: Columns, clock: Traveller
) -> None:
    school = desk.school()
    column = desk.credits(school)
    school.always = answer(403, {"error": "no"})
    waits = []
    for _ in range(12):
        desk.care()
        row = desk.line_item(column)
        assert (row.reading, row.reading_error) == (ReadingState.FAILED, "forbidden")
        assert row.due_at is not None
        waits.append(row.due_at - utc_now())
        clock.move_to(row.due_at)
    assert waits == sorted(waits[:8]) + waits[8:]
    assert timedelta(minutes=5) <= waits[0] <= timedelta(minutes=6)
    assert timedelta(hours=24) <= min(waits[9:]) <= max(waits[9:]) <= timedelta(hours=29)
    school.always = None
    desk.care()
    assert len(school.columns) == 1


def test_a_new_target_gives_everybody_another_grade_and_the_column_another_maximum(
    desk: Columns, clock: Traveller
) -> None:
    school = desk.school(kind="moodle")
    column = desk.credits(school)
    score = desk.want(column, "u1", 50_00)
    desk.drain()
    with desk.work():
        row = db.session.get_one(LineItem, column)
        row.target, row.wants_edit, row.due_at = 20_00, True, utc_now()
    clock.shift(3600)
    desk.drain()
    (made,) = school.columns
    assert made["scoreMaximum"] == 20
    assert school.grades == {(made["id"], "u1"): 10}
    assert desk.score(score).state is ScoreState.SENT
    with desk.work():
        assert request_reading([column], utc_now()) == 0, "it was read a moment ago"
