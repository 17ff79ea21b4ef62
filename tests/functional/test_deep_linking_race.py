"""Several presses of the same button at once, on both databases: one answer, one row for each course."""

from __future__ import annotations

import pytest
from flask import Flask

from lti_app.courses.models import ContentItem, Placement
from lti_app.deep_linking.models import ContentAnswer, PickedCourse
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession
from tests.browsing import Visitor
from tests.functional.courses_steps import count
from tests.functional.deep_linking_steps import add, answered, basket_form, items, launch_of, opened, send
from tests.functional.test_courses_race import at_once, browsers


def test_many_presses_of_send_are_one_answer(app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo", "second")
    form = {**basket_form(app), "action": "send"}
    pages = at_once([lambda p=p: p.post("/pick/basket", form) for p in browsers(app, page)[:12]])  # type: ignore[misc]
    assert {p.status for p in pages} == {200}
    ids = {tuple(item["custom"]["gongyu_item"] for item in items(app, p)) for p in pages}
    assert len(ids) == 1, "a double click carries the same items"
    assert count(app, ContentItem) == 2
    assert count(app, ContentAnswer) == 1


def test_send_and_cancel_at_once_are_one_answer(app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo")
    form = {**basket_form(app), "action": "send"}
    tabs = browsers(app, page)[:8]
    work = [
        lambda p=p, n=n: p.post(("/pick/basket", "/pick/cancel")[n % 2], form) for n, p in enumerate(tabs)
    ]  # type: ignore[misc]
    told = {len(items(app, p)) for p in at_once(work)}
    assert len(told) == 1, "all tabs carry what was decided first"
    assert count(app, ContentAnswer) == 1


@pytest.mark.parametrize(("multiple", "left"), [(True, 2), (False, 1)])
def test_choosing_in_many_tabs_leaves_each_course_once(
    app: Flask, visit: Visitor, multiple: bool, left: int
) -> None:
    page = opened(visit, accept_multiple=multiple)
    tabs = browsers(app, page)[:10]
    choices = [{"course": ("demo", "second")[n % 2], "action": "add"} for n in range(len(tabs))]
    work = [lambda p=p, c=c: p.post("/pick/courses", c) for p, c in zip(tabs, choices, strict=True)]  # type: ignore[misc]
    assert {p.status for p in at_once(work)} == {200}
    assert count(app, PickedCourse) == left


def test_many_first_visitors_place_an_item_once(app: Flask, visit: Visitor) -> None:
    (item,) = items(app, send(app, add(opened(visit), "second")))
    changes = launch_of(item)
    work = [lambda u=u: visit(u, "/class-1", **changes) for u in ("teacher", "assistant") * 4]  # type: ignore[misc]
    assert {p.status for p in at_once(work)} == {200}
    assert count(app, Placement) == 1


def test_a_swept_launch_leaves_its_items(app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo", "second")
    add(opened(visit), "demo")
    assert answered(app, send(app, page))
    with app.app_context():
        db.session.execute(db.delete(LaunchSession))
        db.session.commit()
    assert count(app, PickedCourse) == count(app, ContentAnswer) == 0
    assert count(app, ContentItem) == 2
