"""What parents and teachers do about children, step by step, through the front door."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from flask import Flask
from sqlalchemy import select

from lti_app.extensions import db
from lti_app.roster.models import Guardianship, LtiUser
from tests.browsing import Page, Visitor
from tests.fake_platform import MEMBERSHIP, FakePlatform, User
from tests.functional.courses_steps import came

PUPILS = "demo/pupils-1"
"""A class of pupils; `demo` alone is a class whose Learners say that they are parents."""
SLIP = re.compile(r'slip-name">(.+?)</p>\s*<p class="slip-code">([0-9A-Z-]{14})<', re.DOTALL)


def learner(sub: str, name: str | None) -> User:
    return User(sub, name, [MEMBERSHIP + "Learner"])


def pupils_come(visit: Visitor, *users: str, link: str = PUPILS) -> Page:
    """A class of pupils, each of whom has opened the link; returns the teacher's page."""
    teacher = visit("teacher", link)
    teacher.post("/class/audience", {"audience": "pupils"})
    for user in users:
        assert visit(user, link).status == 200
    return teacher


def slips(teacher: Page, child: int | None = None) -> dict[str, str]:
    """Make codes; by the pupil's name."""
    page = teacher.post("/families/codes", {"child": str(child)} if child else {})
    assert page.status == 200, page.text
    return {unescape(name).removesuffix(" 的家长"): code for name, code in SLIP.findall(page.html)}


def typed(page: Page, code: str) -> Page:
    return page.post("/children/claim", {"code": code})


def parent(visit: Visitor, user: str = "parent", link: str = "demo", **changes: Any) -> Page:
    return came(visit, user, link, **changes)


def children(app: Flask) -> set[str]:
    """The subs of all linked children."""
    with app.app_context():
        query = select(LtiUser.sub).join(Guardianship, Guardianship.child_pk == LtiUser.id)
        return set(db.session.scalars(query.where(Guardianship.removed_at.is_(None))))


def pk_of(app: Flask, sub: str) -> int:
    with app.app_context():
        return db.session.scalars(select(LtiUser.id).where(LtiUser.sub == sub)).one()


def other_platform(app: Flask, host: str = "other.test", *, school: str = "育才中学", **more: Any) -> Visitor:
    """A second school with an LMS of its own."""
    from tests.conftest import run

    platform = FakePlatform(host, **more)
    run(app, "platforms", "add", *platform.add_arguments, "--school", school, "--district", "渝中区")
    return Visitor(app, platform)
