"""Deployments that appear after the registration: accepted, or kept waiting for the operator."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_app.extensions import db
from lti_app.registrations.models import Deployment
from tests.browsing import QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import LTI, FakePlatform


@pytest.fixture
def welcoming(app: Flask, platform: FakePlatform) -> Visitor:
    """People of a platform whose registration accepts every deployment."""
    platform.client_id = "welcoming"
    named = [argument if argument != "lms.test" else "welcoming" for argument in platform.add_arguments]
    run(app, "platforms", "add", *named, "--deployments", "accept", "--school", "晨光实验学校")
    return Visitor(app, platform)


def deployments(app: Flask) -> dict[str, str]:
    with app.app_context():
        rows = db.session.execute(select(Deployment.deployment_id, Deployment.status)).all()
        return {deployment: str(status) for deployment, status in rows if deployment != "1"}


def page(visit: Visitor, deployment: str, **changes: Any) -> str:
    answer = visit.launch("teacher", **{LTI + "deployment_id": deployment}, **changes)
    return answer.get_data(as_text=True) if answer.status_code != 303 else "in"


def test_a_new_deployment_waits_and_is_let_in(app: Flask, visit: Visitor) -> None:
    app.config["SETTINGS"] = type(app.config["SETTINGS"])(
        **{
            **{name: getattr(app.config["SETTINGS"], name) for name in app.config["SETTINGS"].__slots__},
            "contact": "区教委信息中心 023-1234",
        }
    )
    refusal = page(visit, "branch-2")
    assert "GY-LAUNCH-PENDING-DEPLOYMENT" in refusal
    assert "023-1234" in refusal
    assert "branch-2\tpending" in run(app, "platforms", "deployments", "lms.test")
    assert "PENDING-DEPLOYMENT" in page(visit, "branch-2")
    assert deployments(app) == {"branch-2": "pending"}
    run(app, "platforms", "deployments", "lms.test", "--accept", "branch-2")
    assert page(visit, "branch-2") == "in"


def test_a_rejected_deployment_stays_out_and_does_not_come_back(app: Flask, visit: Visitor) -> None:
    page(visit, "branch-2")
    assert "branch-2: rejected" in run(app, "platforms", "deployments", "lms.test", "--reject", "branch-2")
    assert "GY-LAUNCH-REJECTED-DEPLOYMENT" in page(visit, "branch-2")
    assert deployments(app) == {"branch-2": "rejected"}
    unchanged = run(app, "platforms", "deployments", "lms.test", "--reject", "branch-2")
    assert "unchanged" in unchanged
    assert "no launch" in run(app, "platforms", "deployments", "lms.test", "--accept", "x", exit_code=1)


def test_a_welcoming_registration_lets_a_new_deployment_in(app: Flask, welcoming: Visitor) -> None:
    assert page(welcoming, "branch-2") == "in"
    assert page(welcoming, "branch-2") == "in"
    assert deployments(app) == {"branch-2": "active"}


@pytest.mark.parametrize("policy", ["pending", "accept"])
def test_a_forged_launch_makes_no_deployment(
    app: Flask, platform: FakePlatform, welcoming: Visitor, policy: str
) -> None:
    if policy == "pending":
        platform.client_id = "client-of-lms.test"
    client = app.test_client()
    state, nonce = welcoming.begin(client, "teacher")
    claims = platform.claims("teacher", "demo", nonce, **{LTI + "deployment_id": "forged"})
    platform.key_index = 1
    forged = platform.sign(claims, kid="key-0")
    platform.key_index = 0
    answer = welcoming.finish(client, state, forged)
    assert "GY-LAUNCH-BAD-SIGNATURE" in answer.get_data(as_text=True)
    assert deployments(app) == {}


def test_a_launch_that_is_refused_for_another_reason_makes_no_deployment(
    app: Flask, welcoming: Visitor
) -> None:
    refusal = page(welcoming, "branch-2", **{LTI + "message_type": "LtiStartProctoring"})
    assert "UNSUPPORTED-MESSAGE" in refusal
    assert deployments(app) == {}


def test_waiting_deployments_are_limited(app: Flask, visit: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lti_app.registrations.deployments.MOST_PENDING", 2)
    for number in range(3):
        page(visit, f"branch-{number}")
    assert "UNKNOWN-DEPLOYMENT" in page(visit, "branch-2")
    assert len(deployments(app)) == 2


def test_what_launches_say_of_the_platform_is_kept_and_a_wrong_kind_is_told(
    app: Flask, visit: Visitor
) -> None:
    said = {"product_family_code": "moodle", "version": "2024100705", "guid": "g1", "name": "晨光网校"}
    visit("teacher", **{LTI + "tool_platform": said})
    shown = run(app, "platforms", "deployments", "lms.test")
    assert "moodle 2024100705 晨光网校 g1" in shown
    assert "say it is a moodle, and it is registered as generic" in shown
    visit("teacher", **{LTI + "tool_platform": {**said, "version": "2025"}})
    assert "moodle 2025" in run(app, "platforms", "deployments", "lms.test")
    visit("teacher")  # one that says nothing takes nothing back
    assert "moodle 2025" in run(app, "platforms", "deployments", "lms.test")


def test_a_platform_that_says_the_same_writes_nothing_again(app: Flask, visit: Visitor) -> None:
    said = {LTI + "tool_platform": {"product_family_code": "moodle", "guid": "g1"}}
    visit("teacher", **said)
    with QueryCount(app) as queries:
        visit("teacher", **said)
    assert not [one for one in queries.statements if one.startswith("UPDATE deployment")]
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Deployment)) == 1
