"""Forty at once: one completion, one credit entry, one score."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from flask.testing import FlaskClient

from lti_app.courses.models import CourseProgress, QuizAttempt, Visit
from lti_app.credits.models import CreditEntry, CreditEvent
from lti_app.gradebook.models import LineItem, Score
from lti_app.launches.current import COOKIE
from tests.browsing import Page, Visitor
from tests.functional.courses_steps import HALF, RIGHT, came, count, hand_in, only

THREADS = 40


def browsers(app: Flask, page: Page) -> list[Page]:
    """The same launch in forty tabs: Flask's test client is not made for several threads."""
    cookie = page.client.get_cookie(COOKIE, domain="tool.test", path=page.root)
    assert cookie is not None
    pages = []
    for _ in range(THREADS):
        client: FlaskClient = app.test_client()
        client.set_cookie(COOKIE, cookie.value, domain="tool.test", path=page.root)
        pages.append(Page(client, page.response, page.root))
    return pages


def at_once(work: list[Callable[[], Page]]) -> list[Page]:
    ready = threading.Barrier(len(work))

    def one(job: Callable[[], Page]) -> Page:
        ready.wait(timeout=60)
        return job()

    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result(timeout=120) for future in [pool.submit(one, job) for job in work]]


def one_of_each(app: Flask) -> None:
    for model in (Visit, CourseProgress, CreditEvent, CreditEntry, LineItem, Score):
        assert count(app, model) == 1, model
    assert only(app, Score).revision == 1
    assert only(app, CreditEntry).amount == 50


def test_forty_times_the_last_lesson_is_one_completion(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    hand_in(page)
    pages = at_once([lambda p=p: p.post("/lessons/read/read") for p in browsers(app, page)])  # type: ignore[misc]
    assert {p.status for p in pages} == {200}
    one_of_each(app)


def test_forty_times_the_same_quiz_is_one_attempt(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    page.post("/lessons/read/read")
    pages = at_once([lambda p=p: hand_in(p, number="1") for p in browsers(app, page)])  # type: ignore[misc]
    assert {p.status for p in pages} == {200}
    assert count(app, QuizAttempt) == 1
    one_of_each(app)


def test_forty_first_steps_begin_one_course(app: Flask, visit: Visitor) -> None:
    page = came(visit, "parent")
    paths = ["/lessons/read", "/lessons/quiz", "/", "/course"]
    work = [lambda p=p, n=n: p.get(paths[n % 4]) for n, p in enumerate(browsers(app, page))]  # type: ignore[misc]
    assert {p.status for p in at_once(work)} == {200}
    assert count(app, CourseProgress) == count(app, Visit) == 1


def test_two_of_a_family_who_finish_together_leave_the_better_score(app: Flask, visit: Visitor) -> None:
    visit("teacher").post("/class/audience", {"audience": "families"})
    family = [visit("pupil").post("/who", {"kind": "parent", "label": label}) for label in ("妈妈", "爸爸")]
    visit("teacher").post("/choose", {"course": "demo", "counts": "progress"})
    for page in family:
        hand_in(page, HALF)
    work = [lambda p=p: p.post("/lessons/read/read") for page in family for p in browsers(app, page)[:10]]  # type: ignore[misc]
    work += [lambda p=p: hand_in(p, RIGHT) for page in family for p in browsers(app, page)[:10]]  # type: ignore[misc]
    assert {p.status for p in at_once(work)} <= {200, 409}
    assert count(app, CreditEntry) == 2
    assert only(app, Score).given == 10_000
