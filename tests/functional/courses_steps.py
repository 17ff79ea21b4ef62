"""What people do with courses, step by step, through the front door."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from lti_app.courses.models import CourseProgress, LessonProgress, QuizAttempt, Visit
from lti_app.credits.models import CreditEntry, CreditEvent
from lti_app.extensions import db
from lti_app.gradebook.models import Score
from tests.browsing import Page, Visitor
from tests.conftest import run
from tests.unit.courses.pack_writer import COURSE, write_pack

RIGHT = (["0"], ["0", "1"])
"""The right choices of the two questions of the test course `demo`."""
WRONG = (["1"], ["2"])
HALF = (["0"], ["2"])
TRACES = (Visit, CourseProgress, LessonProgress, QuizAttempt, CreditEvent, CreditEntry, Score)


def came(visit: Visitor, user: str, link: str = "demo", kind: str = "parent", **changes: Any) -> Page:
    """A Learner launches and says who is here if asked; ends on the course page."""
    page = visit(user, link, **changes)
    if 'name="kind"' in page.html:
        page = page.post("/who", {"kind": kind})
    assert page.status == 200, page.text
    return page


def hand_in(page: Page, choices: Any = RIGHT, slug: str = "quiz", number: str | None = None) -> Page:
    """Open the quiz and hand in these choices for its questions."""
    form = page.get(f"/lessons/{slug}").html
    names = list(dict.fromkeys(re.findall(r'name="(q\d+)"', form)))
    if number is None:
        found = re.search(r'name="number" value="(\d+)"', form)
        number = found[1] if found else "1"
    answers = dict(zip(names, choices, strict=False))
    return page.post(f"/lessons/{slug}/answers", {"number": number, **answers})


def finish(page: Page) -> Page:
    """Do everything that the test course `demo` asks for; ends on the course page."""
    page.post("/lessons/read/read")
    assert "通过了" in hand_in(page).text
    return page.get("/")


def only(app: Flask, model: Any) -> Any:
    """The one row there is."""
    with app.app_context():
        return db.session.scalars(select(model)).one()


def count(app: Flask, model: Any) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def traces(app: Flask) -> dict[str, int]:
    """How much is kept of what people did."""
    return {model.__name__: count(app, model) for model in TRACES if count(app, model)}


def import_pack(app: Flask, folder: Path, version: int = 1, **files: Any) -> str:
    """Import the pack `listening` of the unit tests in this version."""
    course = files.pop("course", COURSE).replace("version: 1", f"version: {version}")
    return run(app, "courses", "import", str(write_pack(folder, course=course, **files)))
