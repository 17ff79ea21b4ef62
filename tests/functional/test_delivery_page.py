"""The LMS administrator's page of the sending: what waits and why, how fast, what failed, and "try again now"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import insert, select, update
from time_machine import Traveller

from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.connection.delivery_page import MOST
from lti_app.delivery.models import SINCE_EVER, DeliverySlot, DeliveryTally, FailedExchange
from lti_app.delivery.worker import drain
from lti_app.extensions import cache, db, start_as_reader
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import ColumnKind, Keeps, LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.gradebook.outcomes import OUTCOMES
from lti_app.gradebook.wishes import set_policy
from lti_app.roster.models import Context, LtiUser, ResourceLink
from tests.browsing import Page, QueryCount, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, finish

NOW = datetime(2026, 11, 23, 19, 4, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(NOW, tick=False) as travelling:
        yield travelling


def page_of(visit: Visitor, path: str = "/connection/delivery") -> Page:
    page = visit("admin").get(path)
    assert page.status == 200
    return page


def change(app: Flask, statement: Any) -> None:
    start_as_reader(False)
    with app.app_context():
        db.session.execute(statement)
        db.session.commit()


def add(app: Flask, *rows: object) -> None:
    start_as_reader(False)
    with app.app_context():
        db.session.add_all(rows)
        db.session.commit()


def scores(app: Flask) -> list[tuple[ScoreState, Outcome | None, datetime | None]]:
    with app.app_context():
        found = db.session.execute(select(Score.state, Score.outcome, Score.due_at).order_by(Score.id))
        return [(state, outcome, due) for state, outcome, due in found]


def figures(page: Page) -> dict[str, str]:
    """The big numbers by their words."""
    found = re.findall(r"<dt>([^<]+)</dt>\s*<dd><span class=\"stat-number\">([^<]+)</span>", page.html)
    return dict(found)


@pytest.mark.parametrize("user", ["parent", "observer", "pupil", "teacher", "anonymous"])
def test_only_administrators_see_it_and_press_its_button(visit: Visitor, user: str) -> None:
    page = came(visit, user) if user != "teacher" else visit(user)
    assert page.get("/connection/delivery").status == 403
    assert page.post("/connection/delivery/retry", follow_redirects=False).status == 403


def test_before_the_first_score_it_says_what_will_be_here(visit: Visitor) -> None:
    page = page_of(visit)
    assert "还没有成绩要发送" in page.text
    assert 'action="' + page.root + '/connection/delivery/retry"' not in page.html
    assert "成绩发送情况" in page.get("/connection").text


def test_when_all_is_sent_it_says_so(
    clock: Traveller, app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    finish(came(visit, "parent"))
    clock.shift(45 * 60)
    waiting = page_of(visit)
    assert "还有 1 个成绩在路上" in waiting.text
    assert "最早一个等了 45分钟" in waiting.text
    assert figures(waiting) == {"等待发送": "1", "需要处理": "0", "老师暂不发送": "0"} | _readings(never=1)
    drain(app, [deliver])
    assert platform.scores
    page = page_of(visit)
    assert "该送的成绩都已写入学校平台" in page.text
    assert "没有在等的" in page.text
    assert figures(page)["等待发送"] == "0"


def _readings(*, done: int = 0, never: int = 0, failed: int = 0) -> dict[str, str]:
    return {"核对过": str(done), "还没核对": str(never), "读不到": str(failed)}


def test_a_dead_platform_is_explained_and_can_be_tried_again_at_once(
    clock: Traveller, app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    finish(came(visit, "parent"))
    platform.faults = [lambda _: (503, {})]
    drain(app, [deliver])
    admin = visit("admin")
    page = admin.get("/connection/delivery")
    assert "学校平台暂时不通" in page.text
    assert "令牌地址正忙或出错" in page.text
    assert str(OUTCOMES[Outcome.RETRY].word) in page.text
    assert scores(app)[0][2] is not None
    pressed = admin.post("/connection/delivery/retry", follow_redirects=False)
    assert (pressed.status, pressed.response.location) == (303, admin.root + "/connection/delivery")
    after = admin.get("/connection/delivery")
    assert "现在就重试：1 个成绩" in after.text
    assert "暂时不通" not in after.text
    assert scores(app) == [(ScoreState.WAITING, None, NOW)]
    drain(app, [deliver])
    assert [score["scoreGiven"] for score in platform.scores] == [100]


def test_two_presses_are_one(clock: Traveller, app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    first, second = visit("admin"), visit("admin")
    assert "现在就重试" in first.post("/connection/delivery/retry").text
    change(app, update(Score).values(state=ScoreState.HELD, outcome=Outcome.LOCKED, due_at=None))
    assert "请等十秒" in second.post("/connection/delivery/retry").text
    assert scores(app) == [(ScoreState.HELD, Outcome.LOCKED, None)]
    clock.shift(11)
    assert "现在就重试：1 个成绩" in second.post("/connection/delivery/retry").text


@pytest.mark.parametrize("outcome", [Outcome.OVERRIDDEN, None])
def test_a_teachers_grade_and_what_nobody_tried_are_left_alone(
    app: Flask, visit: Visitor, outcome: Outcome | None
) -> None:
    finish(came(visit, "parent"))
    state = ScoreState.HELD if outcome else ScoreState.WAITING
    change(app, update(Score).values(state=state, outcome=outcome, due_at=None))
    page = visit("admin").get("/connection/delivery")
    assert figures(page).get("需要处理", "0") == "0"
    assert figures(page.get("/connection"))["需要处理"] == "0"
    assert "写不进去" not in page.text
    assert ("老师已改分" in page.text) is (outcome is Outcome.OVERRIDDEN)
    assert "现在就重试：0 个成绩" in page.post("/connection/delivery/retry").text
    assert scores(app) == [(state, outcome, None)]


def test_what_a_teacher_paused_is_counted_apart_and_not_sent(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    start_as_reader(False)
    with app.app_context():
        column = db.session.scalars(select(LineItem)).one()
        set_policy(column, keeps=Keeps.LATEST, sends=Sends.AT_ONCE, paused=True)
        db.session.commit()
    admin = visit("admin")
    assert figures(admin.get("/connection/delivery"))["老师暂不发送"] == "1"
    admin.post("/connection/delivery/retry")
    assert scores(app) == [(ScoreState.WAITING, None, None)]


def test_another_registrations_scores_are_not_touched(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    change(app, update(Score).values(state=ScoreState.HELD, outcome=Outcome.LOCKED, due_at=None))
    other = FakePlatform(host="other.test")
    with app.app_context():
        app.test_cli_runner().invoke(args=["platforms", "add", *other.add_arguments])
    stranger = Visitor(app, other)
    if stranger.launch("admin").status_code == 303:
        stranger("admin").post("/connection/delivery/retry")
    assert scores(app) == [(ScoreState.HELD, Outcome.LOCKED, None)]


def test_the_last_failing_exchange_is_shown_as_text(app: Flask, visit: Visitor) -> None:
    """What a platform answered is anybody's HTML: it stands there as text."""
    finish(came(visit, "parent"))
    registration = 1
    add(
        app,
        FailedExchange(
            registration_id=registration,
            at=NOW,
            code="platform-busy",
            method="POST",
            url="https://lms.test/lineitems/1/scores",
            status=502,
            content_type="text/html",
            request='{"scoreGiven": 88}',
            answer="<script>alert(1)</script><h1>Bad Gateway</h1>",
        ),
    )
    page = page_of(visit)
    assert "平台正忙（HTTP 502）" in page.text
    assert "POST https://lms.test/lineitems/1/scores" in page.text
    assert "<script>alert(1)" not in page.html
    assert "&lt;script&gt;alert(1)" in page.html
    assert "这以后又写入成功过" not in page.text
    drain(app, [deliver])
    change(app, update(DeliverySlot).values(last_success_at=NOW + timedelta(seconds=1)))
    change(app, update(FailedExchange).values(code="column-gone", status=None, at=NOW))
    gone = page_of(visit)
    assert str(OUTCOMES[Outcome.COLUMN_GONE].sentence) in gone.text
    assert "没有回答" in gone.text
    assert "这以后又写入成功过" in gone.text


def test_the_last_day_is_drawn_by_the_hour(clock: Traveller, app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    ten = timedelta(minutes=10)
    full = NOW.replace(minute=0)
    tallies = [
        (full, "sent", 8),
        (full - ten, "sent", 20),
        (full - 5 * ten, "sent", 100),
        (full - 6 * ten, "sent", 30),
        (full - 6 * ten, "retry", 3),
        (full - timedelta(hours=30), "sent", 999),
        (SINCE_EVER, "sent", 5000),
    ]
    add(app, *(DeliveryTally(registration_id=1, bucket=b, outcome=o, count=c) for b, o, c in tallies))
    page = page_of(visit)
    assert "已写入 158 次" in page.text
    assert "没有收下 3 次" in page.text
    assert "现在的速度 每分钟 2 个" in page.text, "28 within the last 14 minutes"
    assert "最近 1 小时的速度 每分钟 2.5 个" in page.text, "158 within the last 64 minutes"
    assert page.html.count('class="chart-done"') == 2
    assert page.html.count('class="chart-refused"') == 1
    rows = re.findall(r'rowheader" scope="row">([\d:]+)</th>', page.html)
    assert rows == ["02:00", "03:00"], "on the clock of the school"


def test_a_clock_that_differs_and_columns_that_cannot_be_read_are_told(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    drain(app, [deliver])
    change(app, update(DeliverySlot).values(clock_ahead=-45_000))
    change(app, update(LineItem).values(reading=ReadingState.FAILED, reading_error="forbidden"))
    page = page_of(visit)
    assert "比本工具慢 45.0 秒" in page.text
    assert "读不到的成绩栏" in page.text
    assert "平台不允许" in page.text
    change(app, update(DeliverySlot).values(clock_ahead=1500))
    assert "时钟" not in page_of(visit).text


def test_a_pause_that_the_platform_asked_for_is_no_fault(
    clock: Traveller, app: Flask, visit: Visitor
) -> None:
    finish(came(visit, "parent"))
    drain(app, [deliver])
    change(app, update(DeliverySlot).values(blocked_until=NOW + timedelta(minutes=2), last_error=None))
    page = page_of(visit)
    assert "学校平台请我们慢一点" in page.text
    assert "暂时没有回应" not in page.get("/connection").text


def test_forty_columns_of_three_hundred_cost_no_more_queries(app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    admin = visit("admin")

    def queries() -> int:
        with QueryCount(app) as counted:
            page = admin.get("/connection/delivery")
        assert page.status == 200
        assert len(page.html) < 60_000
        return len(counted)

    before = queries()
    _fill(app, columns=40, people=300)
    assert queries() == before <= 12
    assert figures(admin.get("/connection/delivery"))["需要处理"] == "9000"
    with QueryCount(app) as counted:
        assert "现在就重试：12000 个成绩" in admin.post("/connection/delivery/retry").text
    assert len(counted) < 60
    assert MOST > 12_000


def _fill(app: Flask, *, columns: int, people: int) -> None:
    """Every kind of trouble in turn, of many people in many columns."""
    start_as_reader(False)
    with app.app_context():
        context = db.session.scalars(select(Context)).one()
        owner = {"registration_id": context.registration_id}
        users = [LtiUser(**owner, sub=f"many-{number}") for number in range(people)]
        links = [ResourceLink(context_pk=context.id, resource_link_id=f"many-{n}") for n in range(columns)]
        db.session.add_all([*users, *links])
        db.session.flush()
        items = [
            LineItem(
                **owner,
                context_pk=context.id,
                kind=ColumnKind.LINK,
                resource_link_pk=link.id,
                label="微课",
                reading=ReadingState.FAILED,
                reading_error="timeout",
            )
            for link in links
        ]
        db.session.add_all(items)
        db.session.flush()
        troubles = [Outcome.LOCKED, Outcome.NOT_GRADABLE, Outcome.COLUMN_GONE, Outcome.RETRY]
        db.session.execute(
            insert(Score),
            [
                {
                    **owner,
                    "line_item_id": item.id,
                    "lti_user_pk": user.id,
                    "given": 100_00,
                    "maximum": 100_00,
                    "activity_progress": ActivityProgress.COMPLETED,
                    "grading_progress": GradingProgress.FULLY_GRADED,
                    "submitted_at": NOW,
                    "outcome": (outcome := troubles[number % 4]),
                    "state": ScoreState.WAITING if outcome is Outcome.RETRY else ScoreState.HELD,
                    "due_at": NOW + timedelta(hours=1),
                }
                for item in items
                for number, user in enumerate(users)
            ],
        )
        db.session.commit()
        cache.clear()
