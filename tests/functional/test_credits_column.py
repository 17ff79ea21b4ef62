"""A column for a term's credits: made in the gradebook when a teacher asks, and always up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.credits.models import SourceKind
from lti_app.credits.services import record_event
from lti_app.delivery.worker import drain
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook import wishes
from lti_app.gradebook.columns.care import look_after
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import ColumnKind, Keeps, LineItem, Score, ScoreState, Sends
from lti_app.organisations.models import School, Term
from lti_app.registrations.models import Registration
from lti_app.roster.models import Context, LtiUser, Membership, Person, PersonLink
from tests.browsing import QueryCount, Visitor
from tests.conftest import running
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, count, finish
from tests.platforms.faulty.gradebook import Gradebook

AGS_CLAIM = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"


class WithGradebook(FakePlatform):
    """The test platform, with a gradebook that keeps what it is told."""

    gradebook: Gradebook

    def _answer(self, request: requests.PreparedRequest, path: str) -> tuple[int, object]:
        if not path.startswith("/ags/"):
            return super()._answer(request, path)
        body = request.body.encode() if isinstance(request.body, str) else request.body
        status, content, _ = self.gradebook.serve(
            request.method or "", request.url or "", body, request.headers
        )
        return status, content


@pytest.fixture
def platform() -> WithGradebook:
    platform = WithGradebook()
    platform.gradebook = Gradebook(platform.issuer)
    return platform


@pytest.fixture
def app(database_url: str, tmp_path: Path, platform: WithGradebook) -> Iterator[Flask]:
    yield from running(database_url, tmp_path, platform)


def ask_for_column(visit: Visitor, target: str = "1.5") -> None:
    page = visit("teacher").post("/grades/credits", {"target": target})
    assert "已保存" in page.text


def work(app: Flask) -> None:
    drain(app, [look_after, deliver])


def column(app: Flask) -> LineItem:
    with app.app_context():
        return db.session.scalars(select(LineItem).where(LineItem.kind == ColumnKind.CREDITS)).one()


def cells(app: Flask) -> dict[str, int]:
    """What the credit column should show, by the platform's user id."""
    start_as_reader(False)
    with app.app_context():
        query = (
            select(LtiUser.sub, Score.given)
            .join(Score, Score.lti_user_pk == LtiUser.id)
            .join(LineItem, LineItem.id == Score.line_item_id)
            .where(LineItem.kind == ColumnKind.CREDITS)
        )
        return {sub: given for sub, given in db.session.execute(query)}


def person_of(app: Flask, sub: str) -> int:
    with app.app_context():
        query = select(PersonLink.person_id).join(LtiUser, LtiUser.id == PersonLink.lti_user_pk)
        return db.session.scalars(query.where(LtiUser.sub == sub)).one()


def earn(app: Flask, person_id: int, quantity: int, source: str = "x") -> None:
    """A happening that is worth so many hundredths of a credit."""
    start_as_reader(False)
    with app.app_context():
        record_event(
            person_id,
            kind=SourceKind.COURSE,
            source_id=source,
            quantity=quantity,
            occurred_at=utc_now(),
            school=db.session.scalars(select(School)).first(),  # type: ignore[arg-type]
        )
        db.session.commit()


def change(app: Flask, do: Callable[[LineItem], object]) -> None:
    start_as_reader(False)
    with app.app_context():
        do(db.session.scalars(select(LineItem).where(LineItem.kind == ColumnKind.CREDITS)).one())
        db.session.commit()


def finish_second(visit: Visitor) -> None:
    """The other test course, of one article and 0.25 credits."""
    assert came(visit, "parent", "second").post("/lessons/only/read").status == 200


def sub_of(platform: FakePlatform, user: str) -> str:
    sub = platform.users[user].sub
    assert sub is not None
    return sub


def test_the_gradebook_follows_what_is_earned(app: Flask, platform: WithGradebook, visit: Visitor) -> None:
    mine = sub_of(platform, "parent")
    finish(came(visit, "parent"))
    came(visit, "father")
    ask_for_column(visit)
    assert cells(app) == {mine: 33_33}, "who has earned nothing has nothing to show"
    work(app)
    made = platform.gradebook.columns
    assert [(item["tag"], item["scoreMaximum"]) for item in made] == [("credits", 1.5)]
    assert made[0]["resourceId"] == f"credits:{column(app).term_id}"
    assert made[0]["label"].startswith("学分 20")
    key = (made[0]["id"], mine)
    assert platform.gradebook.grades[key] == pytest.approx(0.5, abs=0.001)
    finish_second(visit)
    work(app)
    assert platform.gradebook.grades[key] == 0.75
    assert column(app).made_by_us
    ask_for_column(visit, "0.75")
    work(app)
    assert (made[0]["scoreMaximum"], platform.gradebook.grades[key]) == (0.75, 0.75)
    assert len(made) == 1


def test_more_than_the_target_is_the_whole_grade_and_a_reversal_takes_it_back(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    mine = sub_of(platform, "parent")
    came(visit, "parent")
    ask_for_column(visit)
    person = person_of(app, mine)
    earn(app, person, 900)
    assert cells(app) == {mine: 100_00}
    work(app)
    earn(app, person, 0)
    assert cells(app) == {mine: 0}
    work(app)
    assert platform.gradebook.posts[-1]["scoreGiven"] == 0
    change(app, lambda one: wishes.set_policy(one, keeps=Keeps.BEST, sends=Sends.AT_ONCE, paused=False))
    earn(app, person, 900)
    earn(app, person, 0)
    assert cells(app) == {mine: 100_00}
    change(app, lambda one: wishes.set_policy(one, keeps=Keeps.LATEST, sends=Sends.AT_ONCE, paused=False))
    assert cells(app) == {mine: 0}


def test_who_earned_elsewhere_and_comes_to_the_class_is_shown_there(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    came(visit, "parent", "demo/class-2")
    visit("teacher")
    ask_for_column(visit)
    earn(app, person_of(app, sub_of(platform, "parent")), 75)
    assert cells(app) == {}, "not a learner of this class"
    came(visit, "parent")
    assert cells(app) == {sub_of(platform, "parent"): 50_00}


def test_a_familys_login_shows_the_best_of_its_parents_and_pupils_show_nothing(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    visit("teacher").post("/class/audience", {"audience": "families"})
    mother, father = (
        visit("pupil").post("/who", {"kind": "parent", "label": label}) for label in ("妈妈", "爸爸")
    )
    ask_for_column(visit)
    finish(mother)
    assert cells(app) == {sub_of(platform, "pupil"): 33_33}
    assert father.status == 200
    with app.app_context():
        people = list(db.session.scalars(select(Person.id).order_by(Person.id)))
    gate = Barrier(2)

    def at_once(person: int, quantity: int) -> None:
        gate.wait()
        earn(app, person, quantity, "at once")

    for round_ in range(1, 6):
        with ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(at_once, person, round_ * 10 + 5 * number) for number, person in enumerate(people)
            ]
            for job in jobs:
                job.result()
        best = max(50 + round_ * 10, round_ * 10 + 5)
        assert cells(app) == {sub_of(platform, "pupil"): best * 100_00 // 150}


def test_two_bookings_and_a_worker_do_not_wait_for_each_other(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    """Lessons that end while others end, a teacher changes the column and scores are sent: no deadlock."""
    pages = [came(visit, user) for user in ("parent", "father")]
    ask_for_column(visit)
    work(app)
    gate = Barrier(4)

    def teacher() -> None:
        for paused in (True, False) * 3:
            wanted = partial(wishes.set_policy, keeps=Keeps.LATEST, sends=Sends.AT_ONCE, paused=paused)
            change(app, wanted)

    def worker() -> None:
        for _ in range(5):
            work(app)

    jobs: list[Callable[[], object]] = [*(partial(finish, page) for page in pages), teacher, worker]

    def together(job: Callable[[], object]) -> None:
        gate.wait()
        job()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(together, job) for job in jobs]:
            done.result()
    work(app)
    made = platform.gradebook.columns[0]["id"]
    shown = {user: points for (where, user), points in platform.gradebook.grades.items() if where == made}
    assert shown == {sub_of(platform, user): pytest.approx(0.5, abs=0.001) for user in ("parent", "father")}


def test_a_class_without_a_gradebook_gets_no_column(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    nothing: dict[str, Any] = {AGS_CLAIM: ...}
    visit("teacher", **nothing).post("/grades/credits", {"target": "2"})
    assert count(app, LineItem) == 0
    with app.app_context():
        context = db.session.scalars(select(Context)).one()
        assert context.context_id == "class-1"
        with pytest.raises(wishes.NoGradebook):
            wishes.add_credits_column(context, db.session.scalars(select(Registration)).one(), None, 100)  # type: ignore[arg-type]
        db.session.rollback()


def test_a_removed_column_is_gone_with_its_grades_and_can_be_made_again(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    finish(came(visit, "parent"))
    ask_for_column(visit)
    work(app)
    change(app, wishes.remove_column)
    earn(app, person_of(app, sub_of(platform, "parent")), 25)
    ask_for_column(visit)
    assert not column(app).wants_deletion, "asked for again in time, it stays"
    work(app)
    assert len(platform.gradebook.columns) == 1
    made, mine = platform.gradebook.columns[0]["id"], sub_of(platform, "parent")
    assert platform.gradebook.grades[made, mine] == 0.75
    change(app, wishes.remove_column)
    work(app)
    assert platform.gradebook.columns == []
    assert cells(app) == {}
    ask_for_column(visit)
    work(app)
    assert len(platform.gradebook.columns) == 1


def test_a_teachers_column_is_not_ours_to_remove(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    with app.app_context():
        with pytest.raises(ValueError, match="not made by us"):
            wishes.remove_column(db.session.scalars(select(LineItem)).one())
        db.session.rollback()


def test_a_column_that_was_deleted_in_the_lms_is_made_anew_when_asked(
    app: Flask, platform: WithGradebook, visit: Visitor
) -> None:
    finish(came(visit, "parent"))
    ask_for_column(visit)
    work(app)
    platform.gradebook.deleted.add(platform.gradebook.columns.pop()["id"])
    finish_second(visit)
    work(app)
    with app.app_context():
        held = db.session.scalars(select(Score).where(Score.state == ScoreState.HELD)).one()
    teacher = visit("teacher")
    teacher.post(f"/scores/{held.id}/retry")
    work(app)
    assert len(platform.gradebook.columns) == 1
    made = platform.gradebook.columns[0]["id"]
    assert platform.gradebook.grades[made, sub_of(platform, "parent")] == 0.75


def test_a_booking_costs_the_same_however_large_the_class_is(app: Flask, visit: Visitor) -> None:
    came(visit, "parent")
    ask_for_column(visit)
    with app.app_context():
        person = db.session.scalars(select(Person.id)).one()
    costs = []
    for size in (3, 40):
        with app.app_context():
            context = db.session.scalars(select(Context)).one()
            here = db.session.scalars(select(Membership)).first()
            assert here is not None
            for number in range(size):
                user = LtiUser(registration_id=context.registration_id, sub=f"{size}-{number}")
                db.session.add(user)
                db.session.flush()
                db.session.add(
                    Membership(context_pk=context.id, lti_user_pk=user.id, role=here.role, status=here.status)
                )
            db.session.commit()
        with QueryCount(app) as queries:
            earn(app, person, size)
        costs.append(len(queries))
    assert costs[1] <= costs[0]


def test_the_term_names_its_column(lite_app: Flask) -> None:
    with lite_app.test_request_context():
        names = [
            wishes.credits_label(Term(starts_on=date(year, month, 1), ends_on=date(year + 1, 1, 1)))
            for year, month in ((2026, 9), (2027, 2), (2027, 1))
        ]
    assert names == ["学分 2026秋", "学分 2027春", "学分 2026秋"]
