"""What must not happen on the pages of grades and of sending: races, hostile names, nonsense arguments."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, create_engine, delete, select, update
from sqlalchemy import text as sql

from lti_app.clock import utc_now
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook.columns.care import request_reading
from lti_app.gradebook.models import LineItem, ReadingState, Score, Sends
from lti_app.registrations.models import Registration
from lti_app.roster.models import LtiUser
from tests.browsing import BASE, Page, Visitor
from tests.conftest import running, settings_for
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came
from tests.functional.grades_steps import (
    CHANGED,
    KEPT_BACK,
    NOT_GRADABLE,
    SENT,
    Cell,
    Column,
    columns_now,
    fill,
    filled,
    scores,
)

WAITS = sql(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
POLICY = {"keeps": "best", "sends": "on-release", "paused": "1"}


@dataclass
class Somebody:
    """Another transaction, which has something that a request will wait for."""

    connection: Connection
    pool: ThreadPoolExecutor

    def asked_meanwhile(self, ask: Callable[[], Any]) -> Future[Any]:
        """Begin `ask` in a thread, and come back when it waits for us."""
        asked = self.pool.submit(ask)
        with self.connection.engine.connect() as other:
            other = other.execution_options(isolation_level="AUTOCOMMIT")
            while not asked.done():
                if other.scalar(WAITS):
                    return asked
                time.sleep(0.02)
        raise AssertionError(f"it waited for nothing: {asked.result()}")

    def lock(self, statement: Any, **how: bool) -> None:
        self.connection.execute(statement.with_for_update(**how)).all()


@pytest.fixture
def somebody(racing: Flask, postgres_url: str) -> Iterator[Somebody]:
    engine = create_engine(postgres_url)
    # Closed before the pool is: whoever still waits for us goes on.
    with ThreadPoolExecutor(2) as pool, engine.connect() as connection:
        yield Somebody(connection, pool)
    engine.dispose()


@pytest.fixture
def racing(postgres_url: str, tmp_path: Path, platform: FakePlatform) -> Iterator[Flask]:
    """Only PostgreSQL lets two write at once."""
    yield from running(postgres_url, tmp_path, platform)


@pytest.fixture
def racers(racing: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(racing, platform)


@contextmanager
def session(app: Flask) -> Iterator[None]:
    start_as_reader(False)
    with app.app_context():
        yield
        db.session.commit()


def credits_column(app: Flask, page: Page, values: dict[str, Any]) -> tuple[int, int]:
    """A column of credits with one cell; returns both numbers."""
    page.post("/grades/credits", {"target": "10"})
    with session(app):
        made = {"url": "https://lms.test/credits", "made_by_us": True, "sends": Sends.ON_RELEASE}
        db.session.execute(update(LineItem).values(made))
        column = db.session.scalars(select(LineItem)).one()
        login = db.session.scalars(select(LtiUser)).first()
        assert login is not None
        usual = {"line_item_id": column.id, "registration_id": column.registration_id}
        score = Score(
            lti_user_pk=login.id,
            given=1,
            maximum=100_00,
            activity_progress="Completed",
            grading_progress="FullyGraded",
            submitted_at=utc_now(),
            **usual,
            **values,
        )
        db.session.add(score)
        db.session.flush()
        return column.id, score.id


# -- a worker removes the column between the look and the lock -------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/grades/columns/{column}", POLICY, 404),
        ("/grades/columns/{column}/remove", {}, 404),
        ("/grades/columns/{column}/act", {"act": "send"}, 303),
        ("/grades/columns/{column}/act", {"act": "read"}, 303),
        ("/grades/columns/{column}/act", {"act": "release"}, 303),
        ("/grades/act", {"act": "release"}, 303),
        ("/grades/retry", {}, 303),
        ("/grades/credits", {"target": "12"}, 404),
        ("/scores/{score}/retry", {}, 404),
        ("/grades/scores/{score}/mine", {}, 404),
    ],
)
def test_a_column_that_goes_away_meanwhile_is_no_error_of_ours(
    racing: Flask, racers: Visitor, somebody: Somebody, path: str, data: dict[str, str], status: int
) -> None:
    page = racers("teacher")
    column, score = credits_column(racing, page, CHANGED if path.endswith("mine") else NOT_GRADABLE)
    somebody.lock(select(LineItem.id))
    address = path.format(column=column, score=score)
    asked = somebody.asked_meanwhile(lambda: page.post(address, data, follow_redirects=False).status)
    somebody.connection.execute(delete(Score))
    somebody.connection.execute(delete(LineItem))
    somebody.connection.commit()
    assert asked.result(30) == status
    assert columns_now(racing) == {}


@pytest.mark.postgres
def test_a_column_that_goes_away_costs_no_learner_their_lesson(
    racing: Flask, racers: Visitor, somebody: Somebody
) -> None:
    parent = came(racers, "parent", "second")
    credits_column(racing, racers("teacher", "second"), KEPT_BACK)
    kinds = select(LineItem.id).where(LineItem.term_id.is_not(None))
    somebody.lock(kinds)
    asked = somebody.asked_meanwhile(lambda: parent.post("/lessons/only/read").status)
    somebody.connection.execute(delete(Score).where(Score.line_item_id.in_(kinds)))
    somebody.connection.execute(delete(LineItem).where(LineItem.term_id.is_not(None)))
    somebody.connection.commit()
    assert asked.result(30) == 200
    assert "0.25" in parent.get("/credits").text


@pytest.mark.postgres
def test_a_column_that_is_made_at_this_moment_can_be_removed(
    racing: Flask, racers: Visitor, somebody: Somebody
) -> None:
    page = racers("teacher")
    column, _ = credits_column(racing, page, KEPT_BACK)
    with session(racing):
        db.session.execute(update(LineItem).values(url=None, made_by_us=False))
    somebody.lock(select(LineItem.id))
    asked = somebody.asked_meanwhile(
        lambda: page.post(f"/grades/columns/{column}/remove", follow_redirects=False).status
    )
    somebody.connection.execute(update(LineItem).values(url="https://lms.test/new", made_by_us=True))
    somebody.connection.commit()
    assert asked.result(30) == 303
    (row,) = columns_now(racing).values()
    assert row.wants_deletion


# -- several at once: everybody takes columns before cells, in one order ---------------------------------


@pytest.mark.postgres
def test_two_who_read_back_everything_do_not_wait_for_each_other(
    racing: Flask, racers: Visitor, somebody: Somebody
) -> None:
    filled(racing, racers, [Column(label, []) for label in ("甲", "乙")])
    first, second = sorted(column.id for column in columns_now(racing).values())
    with session(racing):
        # Behind the other one in its table, where a statement without an order comes upon it last.
        db.session.execute(update(LineItem).where(LineItem.id == first).values(label="丙"))

    def read_back() -> int:
        with session(racing):
            return request_reading([second, first], utc_now())

    somebody.lock(select(LineItem.id).where(LineItem.id == first))
    asked = somebody.asked_meanwhile(read_back)
    somebody.lock(select(LineItem.id).where(LineItem.id == second), nowait=True)
    somebody.connection.rollback()
    assert asked.result(30) == 2


@pytest.mark.postgres
def test_all_columns_are_released_in_the_common_order(
    racing: Flask, racers: Visitor, somebody: Somebody
) -> None:
    held = {"sends": Sends.ON_RELEASE}
    page = filled(
        racing,
        racers,
        [Column("乙", [Cell("陈", KEPT_BACK)], held), Column("甲", [Cell("陈", KEPT_BACK)], held)],
    )
    first, second = sorted(column.id for column in columns_now(racing).values())
    with session(racing):
        # The page has it last.
        db.session.execute(update(LineItem).where(LineItem.id == first).values(label="\uffff"))
    somebody.lock(select(LineItem.id).where(LineItem.id == first))
    asked = somebody.asked_meanwhile(lambda: page.post("/grades/act", {"act": "release"}).text)
    somebody.lock(select(LineItem.id).where(LineItem.id == second), nowait=True)
    somebody.connection.rollback()
    assert "已公布 2 个成绩" in asked.result(30)


@pytest.mark.postgres
def test_sending_all_again_waits_for_a_reading_without_its_cells(
    racing: Flask, racers: Visitor, somebody: Somebody
) -> None:
    failed = {"reading": ReadingState.FAILED, "reading_error": "timeout"}
    column = Column("微课", [Cell("陈", NOT_GRADABLE)], failed)
    filled(racing, racers, [column])
    admin = racers("admin")
    somebody.lock(select(LineItem.id), key_share=True)
    asked = somebody.asked_meanwhile(lambda: admin.post("/connection/delivery/retry").text)
    somebody.lock(select(Score.id), nowait=True)
    somebody.connection.rollback()
    assert "1 个成绩" in asked.result(30)
    assert columns_now(racing)["微课"].reading is ReadingState.QUEUED


# -- names that a spreadsheet program would run ----------------------------------------------------------

EVIL = [
    '=HYPERLINK("https://evil.test","点这里")',
    "+1",
    "-1",
    "@SUM(1)",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "陈;=1+1",
    "陈\t@x",
    "\t=1",
]


def test_no_name_becomes_a_formula(lite_app: Flask, platform: FakePlatform) -> None:
    page = filled(
        lite_app,
        Visitor(lite_app, platform),
        [Column("=cmd|' /C calc'!A0", [Cell(name, SENT) for name in EVIL])],
    )
    table = page.get("/grades.csv").response.get_data().decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(table, newline="")))[1:]
    assert {row[0].replace("'", "") for row in rows} == set(EVIL)
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(table, newline=""), delimiter=separator):
            assert [cell for cell in row if cell.startswith(tuple("=+-@\t\r＝＋－＠"))] == []
    book = zipfile.ZipFile(io.BytesIO(page.get("/grades.xlsx").response.get_data()))
    assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")
    assert b"HYPERLINK" in book.read("xl/sharedStrings.xml")


# -- whose it is, and what cannot be ---------------------------------------------------------------------


@pytest.mark.parametrize("user", ["parent", "pupil"])
def test_only_staff_see_or_change_grades(lite_app: Flask, platform: FakePlatform, user: str) -> None:
    visit = Visitor(lite_app, platform)
    visit("teacher")
    column = Column("微课", [Cell("陈", NOT_GRADABLE)])
    fill(lite_app, [column])
    page = came(visit, user)
    score = scores(lite_app)["微课", "陈"].id
    for path in ("/grades", "/grades/progress", "/grades.csv", "/grades.xlsx", "/grades/credits"):
        assert page.get(path).status == 403, path
    for path in (f"/grades/columns/{column.id}", "/grades/act", "/grades/retry", f"/scores/{score}/retry"):
        assert page.post(path, POLICY | {"act": "send"}, follow_redirects=False).status == 403, path
    assert scores(lite_app)["微课", "陈"].outcome is NOT_GRADABLE["outcome"]


@pytest.mark.parametrize("number", ["9" * 5000, "٣", "9" * 19, "1%00"])
def test_a_number_that_is_none_is_not_found(lite_app: Flask, platform: FakePlatform, number: str) -> None:
    page = Visitor(lite_app, platform)("teacher")
    assert page.get(f"/grades/columns/{number}").status == 404
    assert page.post(f"/scores/{number}/retry").status == 404
    assert page.get(f"/grades?column={number}&page={number}&q=%00{number}").status in (200, 404)


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "9" * 30),
        ("explain", "-1"),
        ("explain", "0"),
        ("explain", "x\ud800"),
        ("explain", "--login", "9" * 30),
        ("reconcile", "--column", "9" * 30),
        ("reconcile", "--registration", "9" * 5000),
        ("reconcile", "--registration", "9" * 30),
        ("requeue", "--registration", "'; DROP TABLE score; --"),
        ("requeue", "--column", "9" * 30),
        ("requeue", "--outcome", "overridden"),
    ],
)
def test_nonsense_on_the_command_line_gets_a_sentence(app: Flask, arguments: tuple[str, ...]) -> None:
    result = app.test_cli_runner().invoke(args=["gradebook", *arguments])
    if arguments[0] == "explain" and "--login" in arguments and result.exit_code == 0:
        assert result.output == ""
    else:
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.output.strip()


def test_a_label_writes_no_lines_of_its_own_for_the_operator(lite_app: Flask, platform: FakePlatform) -> None:
    filled(
        lite_app,
        Visitor(lite_app, platform),
        [Column("微课\nstate         sent: all is well\x1b[2J\x9b", [Cell("陈", SENT)])],
    )
    (score,) = scores(lite_app).values()
    said = lite_app.test_cli_runner().invoke(args=["gradebook", "explain", str(score.id)]).output
    assert "微课 state sent: all is well" in " ".join(said.split())
    assert len([line for line in said.splitlines() if line.startswith("state ")]) == 1
    assert "\x1b" not in said
    assert "\x9b" not in said


def test_a_platforms_name_writes_no_figures(sqlite_url: str, tmp_path: Path, platform: FakePlatform) -> None:
    token = "metrics-token-of-the-tests"
    evil = 'x",status="active"} 1\ngongyu_scores_held{registration="1"} 999\n# \\'
    for app in running(sqlite_url, tmp_path, platform):
        app.config["SETTINGS"] = settings_for(tmp_path, sqlite_url, metrics_token=token)
        with session(app):
            db.session.execute(update(Registration).values(name=evil))
        headers = {"Authorization": f"Bearer {token}"}
        figures = app.test_client().get("/metrics", base_url=BASE, headers=headers).get_data(as_text=True)
        families = {family.name: family for family in text_string_to_metric_families(figures)}
        assert [sample.labels["name"] for sample in families["gongyu_registration_info"].samples] == [evil]
        assert all(sample.value == 0 for sample in families["gongyu_scores_held"].samples)
