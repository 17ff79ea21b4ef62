"""The valid launches of 1EdTech's certification guide (LTI Advantage Conformance, "valid teacher launches" and
"valid student launches"): each opens the right page, as the right role, with what little it says.

Its known bad payloads stand in test_bad_launches. One differs on purpose: the guide has a launch without a user
refused, the core specification (5.3.6) allows it; here such a visitor reads and leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from integrations.terms import CourseRole
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession
from lti_app.roster.models import LtiUser, Membership
from tests.browsing import Visitor
from tests.conformance.messages import TYPES, WHO, message
from tests.fake_platform import LTI, MEMBERSHIP, FakePlatform

INSTITUTION = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
SYSTEM = "http://purl.imsglobal.org/vocab/lis/v2/system/person#"
UNKNOWN = "https://lms.test/vocab/role#Headmaster"

ROLES = {
    "teacher": (CourseRole.INSTRUCTOR, [MEMBERSHIP + "Instructor"]),
    "teacher with several roles": (
        CourseRole.INSTRUCTOR,
        [MEMBERSHIP + "Instructor", INSTITUTION + "Instructor", SYSTEM + "User"],
    ),
    "teacher with a short role": (CourseRole.INSTRUCTOR, ["Instructor"]),
    "teacher with an unknown role beside": (CourseRole.INSTRUCTOR, [UNKNOWN, MEMBERSHIP + "Instructor"]),
    "assistant": (
        CourseRole.ASSISTANT,
        ["http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"],
    ),
    "unknown role": (CourseRole.NONE, [UNKNOWN]),
    "no role": (CourseRole.NONE, []),
    "student": (CourseRole.LEARNER, [MEMBERSHIP + "Learner"]),
    "student with several roles": (
        CourseRole.LEARNER,
        [MEMBERSHIP + "Learner", INSTITUTION + "Student", SYSTEM + "User"],
    ),
    "student with a short role": (CourseRole.LEARNER, ["Learner"]),
    "student with an unknown role beside": (CourseRole.LEARNER, [UNKNOWN, MEMBERSHIP + "Learner"]),
    "student here, teacher elsewhere": (
        CourseRole.LEARNER,
        [MEMBERSHIP + "Learner", INSTITUTION + "Instructor", INSTITUTION + "Administrator"],
    ),
    "mentor": (CourseRole.MENTOR, [MEMBERSHIP + "Mentor"]),
}
PERSONAL = {
    "everything": {"name": "陈妈妈", "given_name": "妈妈", "family_name": "陈", "email": "chen@lms.test"},
    "e-mail only": {"name": ..., "email": "chen@lms.test"},
    "names only": {"name": "陈妈妈", "given_name": "妈妈", "family_name": "陈"},
    "no personal data": {"name": ...},
}


@pytest.mark.parametrize("name", ROLES)
def test_a_valid_role_opens_its_page(lite_app: Flask, platform: FakePlatform, name: str) -> None:
    role, roles = ROLES[name]
    page = Visitor(lite_app, platform)("parent", "demo", **{LTI + "roles": roles})
    assert page.status == 200
    with lite_app.app_context():
        assert db.session.scalars(select(LaunchSession.role)).all() == [role]


@pytest.mark.parametrize("who", ["teacher", "parent"])
@pytest.mark.parametrize("name", PERSONAL)
@pytest.mark.parametrize("context", ["with context", "without context"])
def test_a_launch_may_say_little_about_its_person(
    lite_app: Flask, platform: FakePlatform, who: str, name: str, context: str
) -> None:
    changes: dict[str, Any] = dict(PERSONAL[name])
    if context == "without context":
        changes[LTI + "context"] = ...
    page = Visitor(lite_app, platform)(who, "demo", **changes)
    assert page.status in (200, 403), "a page for them, or one that says from where to open it"
    assert "GY-LAUNCH" not in page.html
    with lite_app.app_context():
        user = db.session.scalars(select(LtiUser)).one()
        said = (changes.get("name"), changes.get("email"))
        assert (user.name, user.email) == tuple(None if one is ... else one for one in said)
        members = db.session.scalar(select(func.count()).select_from(Membership))
        assert members == (1 if context == "with context" else 0)


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("resource link", "/"),
        ("deep linking", "/pick"),
        ("submission review", "/review"),
        ("data privacy", "/privacy"),
    ],
)
def test_each_message_opens_its_first_page(
    lite_app: Flask, platform: FakePlatform, kind: str, first: str
) -> None:
    visitor, client = Visitor(lite_app, platform), lite_app.test_client()
    state, nonce = visitor.begin(client, WHO[kind])
    answer = visitor.finish(client, state, platform.sign(message(platform, kind, nonce)))
    assert answer.status_code == 303, answer.get_data(as_text=True)
    assert answer.location.endswith(first)


@pytest.mark.parametrize("kind", TYPES)
def test_unknown_claims_are_no_trouble(lite_app: Flask, platform: FakePlatform, kind: str) -> None:
    extensions = {
        "https://lms.test/claim/extension": {"deep": [{"er": None}]},
        LTI + "lis": {"outcome_service_url": 7, "person_sourcedid": ["x"]},
        "picture": {"not": "a url"},
    }
    visitor, client = Visitor(lite_app, platform), lite_app.test_client()
    state, nonce = visitor.begin(client, WHO[kind])
    answer = visitor.finish(client, state, platform.sign(message(platform, kind, nonce, **extensions)))
    assert answer.status_code == 303


def test_a_visitor_without_identity_reads_and_leaves_nothing(lite_app: Flask, platform: FakePlatform) -> None:
    assert Visitor(lite_app, platform)("anonymous", "demo").status == 200
    with lite_app.app_context():
        assert db.session.scalar(select(func.count()).select_from(LtiUser)) == 0
