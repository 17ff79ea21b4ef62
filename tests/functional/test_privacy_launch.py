"""What is kept about somebody: told to themself, and about others to their institution's administrators only."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from lti_app.extensions import db
from lti_app.registrations.models import Deployment
from lti_app.roster.models import Context, LtiUser
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import LTI, FakePlatform

SYSTEM_ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"


def privacy_claims(about: str | None, **changes: Any) -> dict[str, Any]:
    """Data Privacy Launch 1.0: no context, no link, and whom it is about."""
    claims: dict[str, Any] = {
        LTI + "message_type": "DataPrivacyLaunchRequest",
        LTI + "context": ...,
        LTI + "resource_link": ...,
        LTI + "for_user": {"user_id": about} if about else ...,
    }
    return {**claims, **changes}


def ask(visit: Visitor, user: str, about: str, **changes: Any) -> Page:
    return visit(user, **privacy_claims(about, **changes))


def learns(visit: Visitor, user: str = "father") -> None:
    """Somebody who says who they are and opens a course."""
    page = visit(user)
    page.post("/who", {"kind": "parent"})


def test_an_administrator_sees_what_is_kept_about_a_user(app: Flask, visit: Visitor) -> None:
    learns(visit)
    page = ask(visit, "admin", "u-father")
    assert page.status == 200
    assert "我们保存了这位用户的哪些信息" in page.text
    assert "u-father" in page.text
    assert "刘爸爸" in page.text
    assert "所在的班级 1" in page.text
    assert "学分记录 0" in page.text


@pytest.mark.parametrize("user", ["teacher", "assistant", "parent", "observer", "test-student"])
def test_nobody_else_sees_another_whatever_the_message_names(
    lite_app: Flask, platform: FakePlatform, user: str
) -> None:
    visit = Visitor(lite_app, platform)
    learns(visit)
    page = ask(visit, user, "u-father")
    assert page.status == 403
    assert "刘爸爸" not in page.text


def test_a_preview_with_an_administrator_s_role_sees_nobody(lite_app: Flask, platform: FakePlatform) -> None:
    visit = Visitor(lite_app, platform)
    learns(visit)
    roles = [SYSTEM_ADMINISTRATOR, "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"]
    assert ask(visit, "admin", "u-father", **{LTI + "roles": roles}).status == 403
    assert ask(visit, "admin", "u-father", **{LTI + "roles": [SYSTEM_ADMINISTRATOR]}).status == 200


def test_everybody_sees_themself(lite_app: Flask, platform: FakePlatform) -> None:
    visit = Visitor(lite_app, platform)
    for user, sub in (("father", "u-father"), ("teacher", "u-teacher"), ("admin", "u-admin")):
        page = ask(visit, user, sub)
        assert "我们保存了您的哪些信息" in page.text
        assert sub in page.text


def test_an_ordinary_launch_shows_oneself_also_when_it_names_another(
    lite_app: Flask, platform: FakePlatform
) -> None:
    """A review's `for_user` can be forged by a pupil in some LMSs."""
    visit = Visitor(lite_app, platform)
    learns(visit)
    page = visit("admin", **{LTI + "for_user": {"user_id": "u-father"}}).get("/privacy")
    assert "u-admin" in page.text
    assert "u-father" not in page.text


def test_who_was_never_here_has_nothing_kept(lite_app: Flask, platform: FakePlatform) -> None:
    visit = Visitor(lite_app, platform)
    assert "没有保存任何信息" in ask(visit, "admin", "u-nobody").text
    assert "没有保存任何信息" in visit("anonymous").get("/privacy").text


def test_a_user_of_another_institution_on_the_same_registration_stays_unknown(
    lite_app: Flask, platform: FakePlatform
) -> None:
    visit = Visitor(lite_app, platform)
    learns(visit)
    with lite_app.app_context():
        first = db.session.scalars(select(Deployment)).one()
        other = Deployment(registration_id=first.registration_id, deployment_id="other")
        db.session.add(other)
        db.session.flush()
        db.session.execute(update(Context).values(deployment_pk=other.id))
        db.session.commit()
    page = ask(visit, "admin", "u-father")
    assert "没有保存任何信息" in page.text
    assert "刘爸爸" not in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {LTI + "for_user": ...},
        {LTI + "for_user": {"name": "刘爸爸"}},
        {LTI + "for_user": "u-father"},
        {LTI + "for_user": {"user_id": ["u-father"]}},
        {LTI + "context": {"id": "class-1"}},
        {LTI + "resource_link": {"id": "link-1"}},
    ],
)
def test_a_message_that_breaks_the_standard_opens_nothing(
    lite_app: Flask, platform: FakePlatform, changes: dict[str, Any]
) -> None:
    answer = Visitor(lite_app, platform).launch("admin", **privacy_claims("u-father", **changes))
    assert answer.status_code == 401


def test_the_draft_s_name_of_the_user_is_understood(lite_app: Flask, platform: FakePlatform) -> None:
    visit = Visitor(lite_app, platform)
    learns(visit)
    assert "刘爸爸" in ask(visit, "admin", "-", **{LTI + "for_user": {"id": "u-father"}}).text


def test_the_page_asks_the_same_number_of_questions_whatever_is_kept(app: Flask, visit: Visitor) -> None:
    counts = []
    for _ in range(2):
        page = ask(visit, "admin", "u-father")
        with QueryCount(app) as queries:
            page.get("/privacy")
        counts.append(len(queries))
        learns(visit)
        visit("father", "demo/class-2")
        visit("father", "demo/class-3")
    page = ask(visit, "admin", "u-father")
    with QueryCount(app) as queries:
        page.get("/privacy")
    assert len(queries) == counts[1]  # of somebody unknown, less is asked


def test_it_is_in_english_too(lite_app: Flask, platform: FakePlatform) -> None:
    presentation = {LTI + "launch_presentation": {"locale": "en"}}
    page = ask(Visitor(lite_app, platform), "father", "u-father", **presentation)
    assert '<html lang="en">' in page.html
    assert "u-father" in page.text


# The id of LTI 1.1


def legacy_ids(app: Flask) -> dict[str, str | None]:
    with app.app_context():
        return {user.sub: user.legacy_id for user in db.session.scalars(select(LtiUser))}


def test_the_old_id_of_a_user_is_kept_and_not_forgotten(app: Flask, visit: Visitor) -> None:
    visit("father", **{LTI + "lti1p1": {"user_id": "old-7", "oauth_consumer_key": "k"}})
    assert legacy_ids(app) == {"u-father": "old-7"}
    visit("father")
    assert legacy_ids(app) == {"u-father": "old-7"}, "a launch that is silent takes nothing away"
    visit("parent", **{LTI + "lti11_legacy_user_id": "old-8"})
    assert legacy_ids(app)["u-parent"] == "old-8"


@pytest.mark.parametrize(
    "claim",
    [
        {"oauth_consumer_key": "k", "oauth_consumer_key_sign": "forged=="},
        {"user_id": 7},
        {"user_id": ""},
        {"user_id": "$User.legacyId"},
        "old-7",
        ["old-7"],
    ],
)
def test_an_odd_migration_claim_is_no_reason_to_refuse(
    lite_app: Flask, platform: FakePlatform, claim: Any
) -> None:
    Visitor(lite_app, platform)("father", **{LTI + "lti1p1": claim})
    assert legacy_ids(lite_app) == {"u-father": None}


def test_a_consumer_key_and_an_old_id_open_nobody_else_s_account(
    lite_app: Flask, platform: FakePlatform
) -> None:
    """The claim says who somebody was, whatever signature of LTI 1.1 comes with it: it is a hint for matching
    within this registration, never a login."""
    visit = Visitor(lite_app, platform)
    learns(visit)
    claim = {"user_id": "u-father", "oauth_consumer_key": "k", "oauth_consumer_key_sign": "whatever"}
    page = visit("nameless", **{LTI + "lti1p1": claim})
    page.post("/who", {"kind": "parent"})
    assert "u-nameless" in page.get("/privacy").text
    assert "刘爸爸" not in page.get("/privacy").text
    assert run(lite_app, "people", "find", "u-father").count("\n") == 1
    elsewhere = FakePlatform("other.test")
    run(lite_app, "platforms", "add", *elsewhere.add_arguments)
    Visitor(lite_app, elsewhere)("father", **{LTI + "lti1p1": claim})
    with lite_app.app_context():
        same = db.session.scalars(select(LtiUser).where(LtiUser.sub == "u-father")).all()
    assert len({user.registration_id for user in same}) == 2
