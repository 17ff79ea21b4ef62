"""Classes whose gradebook cells are in every state, as workers and readings leave them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import insert, select

from integrations.terms import ActivityProgress, GradingProgress, Outcome
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook.models import Difference, LineItem, ReadingState, Score, ScoreState, Sends
from lti_app.roster.models import Context, LtiUser, ResourceLink
from tests.browsing import Page, Visitor

NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
SENT = {"state": ScoreState.SENT, "outcome": Outcome.SENT, "due_at": None, "sent_revision": 1}
HELD: dict[str, Any] = {"state": ScoreState.HELD, "due_at": None}
WAITING: dict[str, Any] = {"state": ScoreState.WAITING}
CHANGED = HELD | {"outcome": Outcome.OVERRIDDEN, "difference": Difference.CHANGED}
NOT_GRADABLE = HELD | {"outcome": Outcome.NOT_GRADABLE, "detail": "user is not gradable"}
KEPT_BACK = WAITING | {"due_at": None}


@dataclass
class Cell:
    """Whose grade in a column, and what became of it."""

    name: str | None
    values: dict[str, Any]
    given: int = 88_00
    seen: tuple[int | None, int | None] | None = None


@dataclass
class Column:
    """A column of the class with its cells; `values` besides the usual ones."""

    label: str
    cells: list[Cell]
    values: dict[str, Any] = field(default_factory=dict)
    id: int = 0


def fill(app: Flask, columns: list[Column], *, class_id: str = "class-1") -> None:
    """Put columns with their cells into a class that somebody has launched from."""
    start_as_reader(False)
    with app.app_context():
        context = db.session.scalars(select(Context).where(Context.context_id == class_id)).one()
        people: dict[str, int] = {}
        for number, column in enumerate(columns):
            column.id = _column(context, number, column)
            rows = [_cell(context, column.id, _person(context, people, cell), cell) for cell in column.cells]
            if rows:
                db.session.execute(insert(Score).execution_options(render_nulls=True), rows)
        db.session.commit()


def many(people: int, columns: int, values: dict[str, Any] = SENT) -> list[Column]:
    """Columns in which everybody has a cell in the same state."""
    names = [f"家长{number:03}" for number in range(people)]
    return [
        Column(f"微课 {number:02}", [Cell(name, values, seen=(17_60, 20_00)) for name in names])
        for number in range(columns)
    ]


def every_state(now: datetime | None = None) -> list[Column]:
    """A class as it may look: what needs somebody, what goes by itself, what is done, what is kept back."""
    now = now or utc_now()
    later = WAITING | {"outcome": Outcome.RETRY, "due_at": now + timedelta(minutes=20), "attempts": 3}
    read = {"reading": ReadingState.DONE, "read_at": now - timedelta(minutes=5)}
    named = [
        Cell(f"家长{number}", HELD | {"outcome": outcome, "detail": "platform says no"})
        for number, outcome in enumerate(Outcome)
        if outcome not in (Outcome.SENT, Outcome.OVERRIDDEN, Outcome.RETRY)
    ]
    return [
        Column(
            "无屏幕的晚餐",
            [
                Cell("陈妈妈", SENT, seen=(17_60, 20_00)),
                Cell("刘爸爸", CHANGED, seen=(12_00, 20_00)),
                Cell("孙奶奶", CHANGED | {"difference": Difference.CLEARED}, seen=(None, 20_00)),
                Cell("赵奶奶", SENT | {"difference": Difference.LATE}, seen=(15_00, 20_00)),
                Cell("周爷爷", SENT | {"difference": Difference.ROUNDED}, seen=(18_00, 20_00)),
                Cell("吴妈妈", NOT_GRADABLE),
                Cell("郑爸爸", later),
                Cell("王外婆", WAITING | {"due_at": now - timedelta(seconds=1)}, given=100_00),
                Cell(None, SENT),
                *named,
            ],
            read,
        ),
        Column(
            "亲子共读十五分钟",
            [Cell("陈妈妈", KEPT_BACK), Cell("刘爸爸", KEPT_BACK), Cell("赵奶奶", SENT)],
            {"sends": Sends.ON_RELEASE, "reading": ReadingState.FAILED, "reading_error": "scope-not-granted"},
        ),
        Column("情绪急救", [Cell("陈妈妈", KEPT_BACK)], {"paused": True}),
        Column("睡眠", [], {"url": None}),
        Column("家庭会议", [Cell("陈妈妈", SENT, seen=(17_60, 20_00))], {"reading": ReadingState.RUNNING}),
    ]


def scores(app: Flask) -> dict[tuple[str, str | None], Score]:
    """All cells as they are now, by column and name."""
    start_as_reader(False)
    with app.app_context():
        query = select(LineItem.label, LtiUser.name, Score)
        query = query.join(LineItem, LineItem.id == Score.line_item_id).join(
            LtiUser, LtiUser.id == Score.lti_user_pk
        )
        found = {(label, name): score for label, name, score in db.session.execute(query)}
        db.session.expunge_all()
        db.session.rollback()
    return found


def columns_now(app: Flask) -> dict[str, LineItem]:
    """All columns as they are now, by label."""
    start_as_reader(False)
    with app.app_context():
        found = {column.label: column for column in db.session.scalars(select(LineItem))}
        db.session.expunge_all()
        db.session.rollback()
    return found


def filled(app: Flask, visit: Visitor, columns: list[Column]) -> Page:
    """A teacher's launch of a class that has these columns."""
    page = visit("teacher")
    fill(app, columns)
    return page


def score_id(app: Flask, name: str, column: str = "微课") -> int:
    """The number of somebody's cell."""
    return scores(app)[column, name].id


def state_of(app: Flask, name: str, column: str = "微课") -> ScoreState:
    """How somebody's cell is now."""
    return scores(app)[column, name].state


def rest(app: Flask) -> None:
    """The platform asked to be left alone for three minutes."""
    owner = columns_now(app)["微课"].registration_id
    with app.app_context():
        db.session.add(DeliverySlot(registration_id=owner, blocked_until=NOON + timedelta(minutes=3)))
        db.session.commit()


def _column(context: Context, number: int, column: Column) -> int:
    link = ResourceLink(context_pk=context.id, resource_link_id=f"seeded-{number}", title=column.label)
    db.session.add(link)
    db.session.flush()
    values = {"url": f"https://lms.test/columns/{context.id}-{number}"} | column.values
    row = LineItem(
        registration_id=context.registration_id,
        context_pk=context.id,
        resource_link_pk=link.id,
        label=column.label,
        **values,
    )
    db.session.add(row)
    db.session.flush()
    return row.id


def _person(context: Context, people: dict[str, int], cell: Cell) -> int:
    key = cell.name or ""
    if key not in people:
        user = LtiUser(
            registration_id=context.registration_id, sub=f"seeded-{context.id}-{len(people)}", name=cell.name
        )
        db.session.add(user)
        db.session.flush()
        people[key] = user.id
    return people[key]


def _cell(context: Context, column: int, person: int, cell: Cell) -> dict[str, Any]:
    now = utc_now()
    # Every row has the same keys, so that they go in together.
    values: dict[str, Any] = {
        "registration_id": context.registration_id,
        "line_item_id": column,
        "lti_user_pk": person,
        "given": cell.given,
        "maximum": 100_00,
        "activity_progress": ActivityProgress.COMPLETED,
        "grading_progress": GradingProgress.FULLY_GRADED,
        "submitted_at": now - timedelta(hours=1),
        "due_at": None,
        "attempts": 0,
        "outcome": None,
        "detail": "",
        "sent_revision": 0,
        "sent_at": None,
        "sent_given": None,
        "seen_at": None,
        "seen_given": None,
        "seen_maximum": None,
        "difference": None,
    } | cell.values
    if values["sent_revision"]:
        values |= {"sent_at": now - timedelta(minutes=50), "sent_given": cell.given}
    if cell.seen is not None:
        given, maximum = cell.seen
        values |= {"seen_at": now - timedelta(minutes=5), "seen_given": given, "seen_maximum": maximum}
    return values
