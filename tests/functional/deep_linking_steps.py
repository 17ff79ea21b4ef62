"""What a teacher does in the picker, step by step, through the front door."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import jwt
from flask import Flask
from sqlalchemy import select

from lti_app.deep_linking.models import PickedCourse
from lti_app.extensions import db
from lti_app.registrations.models import ToolKey
from tests.browsing import Page, Visitor
from tests.fake_platform import LTI

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
RETURN = "https://lms.test/return?course=2&sesskey=x<y"


def asking(**settings: Any) -> dict[str, Any]:
    """The changes that make a launch of the fake platform a deep linking request; `...` removes a setting."""
    said = {
        "deep_link_return_url": RETURN,
        "accept_types": ["ltiResourceLink"],
        "accept_presentation_document_targets": ["iframe", "window"],
        "accept_multiple": True,
        **settings,
    }
    return {
        LTI + "message_type": "LtiDeepLinkingRequest",
        LTI + "resource_link": ...,
        LTI + "custom": {},
        f"{DL}deep_linking_settings": {name: value for name, value in said.items() if value is not ...},
    }


def opened(visit: Visitor, user: str = "teacher", link: str = "/class-1", **settings: Any) -> Page:
    """Open the picker."""
    return visit(user, link, **asking(**settings))


def add(page: Page, *slugs: str) -> Page:
    for slug in slugs:
        page = page.post("/pick/courses", {"course": slug, "action": "add"})
        assert page.status == 200, page.text
    return page


def basket_form(app: Flask, **changes: Any) -> dict[str, str]:
    """What the basket's form sends for all picks; `counts`, `maximum` … are for each of them."""
    values = {"counts": "result", "maximum": "100", "opens_at": "", "closes_at": "", "due_at": "", **changes}
    return {f"{name}-{pick}": str(value) for pick in pick_ids(app) for name, value in values.items()}


def pick_ids(app: Flask) -> list[int]:
    with app.app_context():
        query = select(PickedCourse.id).order_by(PickedCourse.position, PickedCourse.id)
        return list(db.session.scalars(query))


def send(app: Flask, page: Page, **changes: Any) -> Page:
    return page.post("/pick/basket", {**basket_form(app, **changes), "action": "send"})


def answered(app: Flask, page: Page) -> dict[str, Any]:
    """The claims of the answer that a page posts to the platform, verified as the platform does it."""
    action = re.search(r'<form method="post" action="([^"]+)" data-post-now>', page.html)
    token = re.search(r'name="JWT" value="([^"]+)"', page.html)
    assert action, page.text
    assert token, page.text
    assert unescape(action[1]) == RETURN
    header = jwt.get_unverified_header(token[1])
    with app.app_context():
        keys = db.session.scalars(select(ToolKey.public_jwk).where(ToolKey.kid == header["kid"])).all()
    return jwt.decode(token[1], jwt.PyJWK(keys[0]).key, ["RS256"], audience="https://lms.test")


def items(app: Flask, page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answered(app, page)[f"{DL}content_items"]
    return found


def launch_of(item: dict[str, Any], **more: str) -> dict[str, Any]:
    """The changes by which a launch carries what the platform keeps of an item."""
    return {LTI + "custom": {**item.get("custom", {}), **more}}
