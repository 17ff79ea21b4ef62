"""An LMS connects itself by one address: what is shown, asked for, kept, and refused."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from integrations.lti.registration import TOOL_MEMBER
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.registrations.models import Deployment, Invitation, Registration
from tests.browsing import BASE, SAME_ORIGIN, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import FakePlatform

CANVAS = "https://canvas.instructure.com/lti/"
CONFIGURATION = "https://purl.imsglobal.org/spec/lti-platform-configuration"
FRAMED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe", "Referer": "https://admin.new.test/"}


@pytest.fixture
def newcomer(platform: FakePlatform) -> FakePlatform:
    """The network of the application, as an LMS that is not registered yet."""
    platform.host, platform.kind = "new.test", "moodle"
    platform.issuer, platform.client_id = "https://new.test", "client-of-new.test"
    platform.registration_answer = {TOOL_MEMBER: {"deployment_id": "7"}}
    return platform


def invite(app: Flask, *more: str) -> str:
    """The code of a new invitation."""
    address = run(app, "platforms", "invite", "--school", "新学校", "--district", "渝中区", *more).split()[0]
    assert address.startswith(f"{BASE}/lti/register/")
    return address.rpartition("/")[2]


def begin(app: Flask, platform: FakePlatform, code: str = "", **changes: str | None) -> TestResponse:
    """The page that an administrator sees first."""
    query: dict[str, Any] = {
        "openid_configuration": f"{platform.issuer}/openid-configuration",
        "registration_token": platform.registration_token,
        **changes,
    }
    path = f"/lti/register/{code}" if code else "/lti/register"
    known = {name: value for name, value in query.items() if value is not None}
    return app.test_client().get(path, query_string=known, headers=FRAMED, base_url=BASE)


def form_of(page: TestResponse) -> dict[str, Any]:
    """The fields of the page as a browser sends them when nothing is changed."""
    html = page.get_data(as_text=True)
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", html):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        kind = re.search(r'type="([^"]*)"', tag)
        assert name is not None
        assert value is not None
        assert kind is not None
        if kind[1] == "hidden" or " checked" in tag:
            fields.setdefault(name[1], []).append(unescape(value[1]))
    return fields


def confirm(app: Flask, form: dict[str, Any]) -> TestResponse:
    return app.test_client().post("/lti/register", data=form, headers=SAME_ORIGIN, base_url=BASE)


def connect(app: Flask, platform: FakePlatform, code: str = "", **choices: Any) -> TestResponse:
    """Both steps."""
    page = begin(app, platform, code)
    assert page.status_code == 200, text(page)
    return confirm(app, {**form_of(page), **choices})


def text(page: TestResponse) -> str:
    html = page.get_data(as_text=True)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def registration(app: Flask, issuer: str = "https://new.test") -> Registration | None:
    with app.app_context():
        return db.session.scalar(select(Registration).where(Registration.issuer == issuer))


def count(app: Flask, model: Any) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_an_invited_platform_connects_and_people_launch(app: Flask, newcomer: FakePlatform) -> None:
    code = invite(app)
    page = begin(app, newcomer, code)
    seen = text(page)
    for words in ("Moodle · 5.0", "https://new.test", "渝中区 · 新学校", "写入成绩", "读取课程名单", "匿名"):
        assert words in seen
    assert newcomer.registered == []  # nothing is asked before the button
    result = confirm(app, form_of(page))
    assert result.status_code == 200
    assert "登记成功" in text(result)
    assert "激活" in text(result)
    assert "在活动选择器中显示" in text(result)
    (sent,) = newcomer.registered
    assert sent["redirect_uris"] == [f"{BASE}/lti/launch"]
    assert sent[TOOL_MEMBER]["domain"] == "tool.test"
    newcomer.deployment_id = "7"
    assert Visitor(app, newcomer)("teacher").status == 200


def test_names_or_none_is_the_administrator_s_choice(lite_app: Flask, newcomer: FakePlatform) -> None:
    connect(lite_app, newcomer, invite(lite_app), names="anonymous")
    claims = newcomer.registered[0][TOOL_MEMBER]["claims"]
    assert "sub" in claims
    assert not {"name", "given_name", "family_name", "email"} & set(claims)


def test_the_code_may_stand_in_the_query_too(lite_app: Flask, newcomer: FakePlatform) -> None:
    page = begin(lite_app, newcomer, invitation=invite(lite_app))
    assert "新学校" in text(page)


def test_opened_in_a_browser_the_address_says_where_to_paste_it(
    lite_app: Flask, newcomer: FakePlatform
) -> None:
    code = invite(lite_app)
    page = lite_app.test_client().get(f"/lti/register/{code}", base_url=BASE)
    assert page.status_code == 200
    assert f"{BASE}/lti/register/{code}" in text(page)
    assert "Moodle" in text(page)
    by_query = lite_app.test_client().get(f"/lti/register?invitation={code}", base_url=BASE)
    assert f"{BASE}/lti/register/{code}" in text(by_query)
    assert newcomer.requests == []


def test_a_platform_without_a_token_is_sent_none(lite_app: Flask, newcomer: FakePlatform) -> None:
    newcomer.kind, newcomer.registration_token = "brightspace", None
    newcomer.configuration = {"authorization_server": "https://api.brightspace.com/auth/token"}
    newcomer.registration_answer = {}
    result = connect(lite_app, newcomer, invite(lite_app))
    assert "启用（Enabled）" in text(result)
    assert "第一次打开时" in text(result)
    row = registration(lite_app)
    assert row is not None
    assert row.token_audience == "https://api.brightspace.com/auth/token"
    # Its deployments come later, and the invitation said that they are welcome.
    newcomer.deployment_id = "made-later"
    assert Visitor(lite_app, newcomer)("teacher").status == 200


def canvas(platform: FakePlatform) -> None:
    platform.kind = "canvas"
    platform.issuer = "https://canvas.instructure.com"
    platform.registration_answer = {"client_id": 10000000000068, "deployment_id": "106:8865"}
    platform.configuration = {
        "token_endpoint": "https://canvas.instructure.com/login/oauth2/token",
        "authorization_server": "canvas.instructure.com",
        "scopes_supported": [
            "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",
            "https://purl.imsglobal.org/spec/lti-ags/scope/score",
            "https://purl.imsglobal.org/spec/lti/scope/noticehandlers",
            "https://canvas.instructure.com/lti/public_jwk/scope/update",
        ],
        CONFIGURATION: {
            "product_family_code": "canvas",
            "version": "vCloud",
            f"{CANVAS}account_name": "晨曦国际学校",
            "messages_supported": [
                {
                    "type": "LtiResourceLinkRequest",
                    "placements": [f"{CANVAS}course_navigation", "account_navigation"],
                },
                {
                    "type": "LtiDeepLinkingRequest",
                    "placements": ["assignment_selection", "ContentArea", "course_assignments_menu"],
                },
            ],
        },
    }


def test_canvas_gets_placements_privacy_and_only_scopes_that_it_has(
    lite_app: Flask, newcomer: FakePlatform
) -> None:
    canvas(newcomer)
    page = begin(lite_app, newcomer, invite(lite_app))
    assert "晨曦国际学校" in text(page)
    assert "没有提供" in text(page)  # results and the roster
    form = form_of(page)
    assert form["placements"] == ["course_navigation", "assignment_selection", "link_selection"]
    result = confirm(lite_app, {**form, "placements": ["course_navigation", "assignment_selection"]})
    assert "可用性与例外" in text(result)
    (sent,) = newcomer.registered
    assert len(sent["scope"].split()) == 3
    assert "public_jwk" not in sent["scope"]
    tool = sent[TOOL_MEMBER]
    assert tool[f"{CANVAS}privacy_level"] == "public"
    assert tool[f"{CANVAS}vendor"]
    assert tool["custom_parameters"]["observees"] == "$com.instructure.User.observees"
    link, picker = tool["messages"]
    assert link["placements"] == ["course_navigation"]
    assert link[f"{CANVAS}course_navigation/default_enabled"] is False
    assert picker["placements"] == ["assignment_selection"]
    # doc/api/registration.md, "LTI Message schema": the members that a message may have.
    allowed = {"type", "target_link_uri", "label", "icon_uri", "custom_parameters", "placements"}
    for message in tool["messages"]:
        assert {name for name in message if not name.startswith(CANVAS)} <= allowed
    row = registration(lite_app, newcomer.issuer)
    assert row is not None
    assert (row.name, row.client_id) == ("晨曦国际学校", "10000000000068")
    assert row.token_audience == row.token_url
    assert "https://admin.new.test" in row.frame_origins


def test_canvas_without_any_place_is_asked_to_choose_one(lite_app: Flask, newcomer: FakePlatform) -> None:
    canvas(newcomer)
    code = invite(lite_app)
    refusal = connect(lite_app, newcomer, code, placements=["somewhere-else"])
    assert "GY-REGISTER-NO-PLACE" in text(refusal)
    assert newcomer.registered == []
    assert connect(lite_app, newcomer, code).status_code == 200  # the invitation was given back


def test_nobody_else_speaks_for_the_issuer_that_schools_share(
    lite_app: Flask, newcomer: FakePlatform
) -> None:
    canvas(newcomer)
    page = begin(
        lite_app, newcomer, invite(lite_app), openid_configuration="https://evil.test/openid-configuration"
    )
    assert "GY-REGISTER-FOREIGN-ISSUER" in text(page)


def test_the_files_for_setting_up_by_hand(lite_app: Flask) -> None:
    client = lite_app.test_client()
    made = client.get("/lti/canvas.json", base_url=BASE).get_json()
    assert made["public_jwk_url"] == f"{BASE}/lti/jwks.json"
    assert made["oidc_initiation_url"] == f"{BASE}/lti/login"
    assert made["target_link_uri"] == f"{BASE}/lti/launch"
    assert len(made["scopes"]) == 6
    (extension,) = made["extensions"]
    assert extension["domain"] == "tool.test"
    assert extension["privacy_level"] == "public"
    places = {one["placement"]: one for one in extension["settings"]["placements"]}
    assert places["course_navigation"]["default"] == "disabled"
    assert places["assignment_selection"]["message_type"] == "LtiDeepLinkingRequest"
    anonymous = client.get("/lti/canvas.json?privacy=anonymous", base_url=BASE).get_json()
    assert anonymous["extensions"][0]["privacy_level"] == "anonymous"
    assert client.get("/lti/moodle.json", base_url=BASE).status_code == 404
    assert client.get("/lti/unknown.json", base_url=BASE).status_code == 404
    assert client.get("/lti/canvas.json?privacy=x", base_url=BASE).status_code == 422
    with client.get("/lti/icon.svg", base_url=BASE, follow_redirects=True) as icon:
        assert icon.mimetype == "image/svg+xml"


# -- invitations ---------------------------------------------------------------------------------------


def test_an_invitation_is_good_for_one_platform(app: Flask, newcomer: FakePlatform) -> None:
    code = invite(app)
    page = begin(app, newcomer, code)
    connect(app, newcomer, code)
    for again in (begin(app, newcomer, code), confirm(app, form_of(page))):
        assert again.status_code == 410
        assert "new.test" in text(again)  # what came of it
    assert len(newcomer.registered) == 1


def test_of_many_that_use_one_invitation_at_once_one_gets_it(app: Flask, newcomer: FakePlatform) -> None:
    form = form_of(begin(app, newcomer, invite(app)))
    answers: list[int] = []
    start = threading.Barrier(10)

    def press() -> None:
        start.wait()
        answers.append(confirm(app, form).status_code)

    threads = [threading.Thread(target=press) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(200) == 1
    assert set(answers) <= {200, 409, 410}
    assert len(newcomer.registered) == 1
    assert count(app, Registration) == 2


def test_expired_and_invented_invitations_are_refused_before_anything_is_fetched(
    lite_app: Flask, newcomer: FakePlatform
) -> None:
    code = invite(lite_app, "--expires", "2h")
    form = form_of(begin(lite_app, newcomer, code))
    newcomer.requests.clear()
    with time_machine.travel(utc_now() + timedelta(hours=3)):
        assert "GY-REGISTER-EXPIRED-INVITATION" in text(begin(lite_app, newcomer, code))
        assert "GY-REGISTER-EXPIRED-INVITATION" in text(confirm(lite_app, form))
    assert "GY-REGISTER-UNKNOWN-INVITATION" in text(begin(lite_app, newcomer, "x" * 24))
    assert "GY-REGISTER-NO-INVITATION" in text(begin(lite_app, newcomer))
    assert newcomer.requests == []


def test_the_code_is_kept_hashed_and_never_shown_again(lite_app: Flask) -> None:
    code = invite(lite_app)
    assert len(code) >= 22  # 128 bits
    with lite_app.app_context():
        row = db.session.scalars(select(Invitation)).one()
        assert code not in f"{row.__dict__}"


def test_a_registration_that_failed_can_be_tried_again_with_the_same_invitation(
    app: Flask, newcomer: FakePlatform
) -> None:
    code = invite(app)
    form = form_of(begin(app, newcomer, code))
    failures = [
        lambda _: (200, {**newcomer._configuration(), "issuer": "https://other.test"}),
        lambda _: TimeoutError(),
        lambda _: (503, b"busy"),
        lambda _: (200, b"<html>"),
        lambda _: (200, b"{}"),
    ]
    for failure in failures:
        newcomer.faults = [failure]
        answer = confirm(app, form)
        assert answer.status_code in (422, 502)
        assert "GY-REGISTER-" in text(answer)
    assert newcomer.registered == []
    # The second request fails, too: the platform said no, in its own words.
    newcomer.faults = [
        lambda _: (200, newcomer._configuration()),
        lambda _: (422, {"errors": [{"field": "<b>scopes</b>", "message": "Invalid scopes"}]}),
    ]
    answer = confirm(app, form)
    assert "Invalid scopes" in text(answer)
    assert "<b>scopes" not in answer.get_data(as_text=True)
    assert count(app, Registration) == 1
    assert confirm(app, form).status_code == 200


# -- again ---------------------------------------------------------------------------------------------


def test_registering_again_brings_the_addresses_up_to_date(app: Flask, newcomer: FakePlatform) -> None:
    connect(app, newcomer, invite(app))
    newcomer.configuration = {"authorization_endpoint": "https://new.test/new-auth"}
    page = begin(app, newcomer, code := invite(app))
    assert "已经登记过：new.test" in text(page)
    assert "登记已更新" in text(connect(app, newcomer, code))
    row = registration(app)
    assert row is not None
    assert row.auth_url == "https://new.test/new-auth"
    assert count(app, Registration) == 2  # it and the fixture's


def test_another_client_id_of_the_same_platform_stands_beside(app: Flask, newcomer: FakePlatform) -> None:
    connect(app, newcomer, invite(app))
    newcomer.client_id = "second"
    assert "登记成功" in text(connect(app, newcomer, invite(app)))
    assert "new.test-2" in run(app, "platforms", "list")


def test_an_update_needs_the_same_school_and_the_same_hosts(app: Flask, newcomer: FakePlatform) -> None:
    connect(app, newcomer, invite(app))
    address = run(app, "platforms", "invite", "--school", "另一所学校", "--district", "渝中区").split()[0]
    stranger = connect(app, newcomer, address.rpartition("/")[2])
    assert "GY-REGISTER-OTHER-SCHOOL" in text(stranger)
    newcomer.configuration = {"jwks_uri": "https://evil.test/jwks"}
    moved = connect(app, newcomer, invite(app))
    assert "GY-REGISTER-HOSTS-CHANGED" in text(moved)
    row = registration(app)
    assert row is not None
    assert row.jwks_url == "https://new.test/jwks"


# -- without an invitation -----------------------------------------------------------------------------


@pytest.fixture
def open_app(app: Flask) -> Flask:
    app.config["SETTINGS"] = type(app.config["SETTINGS"])(
        **{
            **{name: getattr(app.config["SETTINGS"], name) for name in app.config["SETTINGS"].__slots__},
            "open_registration": "渝中区",
            "contact": "区教委信息中心 023-1234",
        }
    )
    return app


def launch_page(app: Flask, platform: FakePlatform) -> TestResponse:
    return app.test_client().post(
        "/lti/login", data=platform.login_parameters("teacher", "demo"), base_url=BASE, follow_redirects=True
    )


def test_an_uninvited_platform_waits_until_it_is_approved(open_app: Flask, newcomer: FakePlatform) -> None:
    result = connect(open_app, newcomer)
    assert "等待批准" in text(result)
    assert "023-1234" in text(result)
    waiting = launch_page(open_app, newcomer)
    assert "GY-LAUNCH-PENDING-PLATFORM" in text(waiting)
    assert "023-1234" in text(waiting)
    assert "https://new.test" in waiting.headers["Content-Security-Policy"]
    assert "waits" in run(open_app, "platforms", "enable", "new.test", exit_code=1)
    run(open_app, "platforms", "approve", "new.test", "--school", "晨光实验学校")
    newcomer.deployment_id = "7"
    assert Visitor(open_app, newcomer)("teacher").status == 200
    assert "渝中区/晨光实验学校" in run(open_app, "platforms", "list").split("new.test", 1)[1]
    assert count(open_app, School) == 1  # the one it was given at first is gone
    assert "does not wait" in run(open_app, "platforms", "approve", "new.test", exit_code=1)


def test_a_rejected_platform_leaves_nothing(open_app: Flask, newcomer: FakePlatform) -> None:
    before = [count(open_app, model) for model in (Registration, Deployment, School)]
    connect(open_app, newcomer)
    run(open_app, "platforms", "reject", "new.test")
    assert [count(open_app, model) for model in (Registration, Deployment, School)] == before
    assert "GY-LAUNCH-UNKNOWN-PLATFORM" in text(launch_page(open_app, newcomer))


def test_a_stranger_joins_no_school_by_its_name(open_app: Flask, newcomer: FakePlatform) -> None:
    canvas(newcomer)
    newcomer.configuration[CONFIGURATION][f"{CANVAS}account_name"] = "晨光实验学校"
    connect(open_app, newcomer)
    assert "晨光实验学校 (2)" in run(open_app, "platforms", "list")


def test_an_uninvited_platform_changes_no_registration(open_app: Flask, newcomer: FakePlatform) -> None:
    connect(open_app, newcomer, invite(open_app))
    newcomer.configuration = {"authorization_endpoint": "https://new.test/evil"}
    assert "GY-REGISTER-ALREADY-REGISTERED" in text(connect(open_app, newcomer))
    row = registration(open_app)
    assert row is not None
    assert row.auth_url == "https://new.test/auth"


def test_an_invited_platform_takes_the_place_of_one_that_waits(
    open_app: Flask, newcomer: FakePlatform
) -> None:
    newcomer.configuration = {"jwks_uri": "https://squatter.test/jwks"}
    connect(open_app, newcomer)
    newcomer.configuration = {}
    connect(open_app, newcomer, invite(open_app))
    row = registration(open_app)
    assert row is not None
    assert (row.status, row.jwks_url) == ("active", "https://new.test/jwks")


def test_waiting_registrations_are_limited(
    open_app: Flask, newcomer: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lti_app.registrations.invitations.MOST_WAITING", 1)
    connect(open_app, newcomer)
    newcomer.client_id = "second"
    assert "GY-REGISTER-TOO-MANY-WAITING" in text(begin(open_app, newcomer))


# -- hostile -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://new.test/openid-configuration",
        "https://10.0.0.1/c",
        "https://[::1]/c",
        "https://[::1/c",
        "https://user@new.test/c",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https://new.test:99999/c",
        "https://new.test/\x00",
        "https://new.test/" + "x" * 3000,
        "//new.test/c",
    ],
)
def test_no_odd_configuration_address_is_a_500_or_is_framed(lite_app: Flask, address: str) -> None:
    query = {"openid_configuration": address}
    answer = lite_app.test_client().get(
        f"/lti/register/{invite(lite_app)}", query_string=query, base_url=BASE
    )
    if address.startswith("https://10"):
        assert answer.status_code in (200, 422, 502)  # the network of the tests has no addresses
    else:
        assert 400 <= answer.status_code < 500 or answer.status_code == 502
    policy = answer.headers["Content-Security-Policy"]
    assert "javascript" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    "changes",
    [
        {"registration_token": "x\r\nX-Evil: 1"},
        {"registration_token": "é"},
        {"registration_token": "x" * 10_000},
        {"invitation": "../../x"},
        {"invitation": "\x00"},
        {"names": "both"},
        {"placements": ["x" * 100]},
        {"placements": ["x"] * 50},
        {"embedder": "javascript:alert(1)"},
        {"embedder": "https://a.test https://b.test"},
        {"openid_configuration": ""},
    ],
)
def test_no_odd_form_is_a_500(lite_app: Flask, newcomer: FakePlatform, changes: dict[str, Any]) -> None:
    form = form_of(begin(lite_app, newcomer, invite(lite_app)))
    answer = confirm(lite_app, {**form, **changes})
    assert 400 <= answer.status_code < 500
    assert newcomer.registered == []


ODD = [
    {"issuer": 5},
    {"issuer": "https://new.test/" + "x" * 300},
    {"issuer": "https://new.test\x00"},
    {"jwks_uri": "http://new.test/jwks"},
    {"jwks_uri": "javascript:alert(1)"},
    {"token_endpoint": "https://u:p@new.test/token"},
    {"registration_endpoint": None},
    {"registration_endpoint": "https://new.test:0/"},
]
STRANGE = [
    {"scopes_supported": "all"},
    {"scopes_supported": [None, 5, {}]},
    {CONFIGURATION: []},
    {CONFIGURATION: {"messages_supported": {"type": "x"}, "product_family_code": ["moodle"], "version": 5}},
    {
        CONFIGURATION: {
            "messages_supported": [None, {}, {"type": 5}, {"type": "LtiDeepLinkingRequest", "placements": 5}]
        }
    },
    {"authorization_server": {"x": 1}},
]


@pytest.mark.parametrize("changes", ODD)
def test_a_configuration_that_cannot_be_used_is_refused(
    lite_app: Flask, newcomer: FakePlatform, changes: dict[str, Any]
) -> None:
    newcomer.configuration = changes
    answer = begin(lite_app, newcomer, invite(lite_app))
    assert answer.status_code in (422, 502)
    assert "GY-REGISTER-" in text(answer)


@pytest.mark.parametrize("changes", STRANGE)
def test_oddities_that_do_not_matter_do_not_stop_anybody(
    lite_app: Flask, newcomer: FakePlatform, changes: dict[str, Any]
) -> None:
    newcomer.configuration = changes
    assert connect(lite_app, newcomer, invite(lite_app)).status_code == 200


@pytest.mark.parametrize("answered", [..., None, "", " ", [], {"x": 1}, True, 1.5, "x" * 256, "a\x00b"])
def test_an_answer_without_a_usable_client_id_makes_no_registration(
    lite_app: Flask, newcomer: FakePlatform, answered: Any
) -> None:
    newcomer.registration_answer = {"client_id": answered}
    answer = connect(lite_app, newcomer, invite(lite_app))
    assert "GY-REGISTER-BROKEN-ANSWER" in text(answer)
    assert registration(lite_app) is None


def test_http_and_private_addresses_need_an_invitation_that_says_so(
    lite_app: Flask, newcomer: FakePlatform
) -> None:
    newcomer.issuer = "http://new.test"
    assert "GY-REGISTER-NOT-HTTPS" in text(begin(lite_app, newcomer, invite(lite_app)))
    assert newcomer.requests == []
    allowed = invite(lite_app, "--allow-http", "--allow-private-network", "--deployments", "pending")
    assert connect(lite_app, newcomer, allowed).status_code == 200
    row = registration(lite_app, "http://new.test")
    assert row is not None
    assert (row.allow_http, row.allow_private_network) == (True, True)
    assert row.deployment_policy == "pending"


def test_another_site_cannot_press_the_button(lite_app: Flask, newcomer: FakePlatform) -> None:
    form = form_of(begin(lite_app, newcomer, invite(lite_app)))
    answer = lite_app.test_client().post(
        "/lti/register", data=form, headers={"Sec-Fetch-Site": "cross-site"}, base_url=BASE
    )
    assert answer.status_code == 403
    assert newcomer.registered == []


def test_the_page_is_framed_by_the_platform_and_by_who_shows_it(
    lite_app: Flask, newcomer: FakePlatform
) -> None:
    page = begin(lite_app, newcomer, invite(lite_app))
    framing = page.headers["Content-Security-Policy"].partition("frame-ancestors ")[2].split()
    assert framing == ["'self'", "https://admin.new.test", "https://new.test"]
    result = confirm(lite_app, form_of(page))
    assert result.headers["Content-Security-Policy"].endswith(" ".join(framing))
    assert newcomer.registration_token not in result.get_data(as_text=True)
    # What was framed once may frame our refusals at once, not only after a minute.
    refusal = lite_app.test_client().get("/lti/launch", base_url=BASE)
    assert "https://new.test" in refusal.headers["Content-Security-Policy"]


def test_the_pages_cost_the_same_whatever_else_is_registered(app: Flask, newcomer: FakePlatform) -> None:
    def costs() -> tuple[int, int]:
        code = invite(app)
        with QueryCount(app) as first:
            page = begin(app, newcomer, code)
        with QueryCount(app) as second:
            assert confirm(app, form_of(page)).status_code == 200
        return len(first), len(second)

    costs()
    few = costs()
    for number in range(5):
        newcomer.client_id = f"client-{number}"
        connect(app, newcomer, invite(app))
    newcomer.client_id = "client-of-new.test"
    assert costs() == few


def test_an_english_browser_reads_english(lite_app: Flask, newcomer: FakePlatform) -> None:
    code = invite(lite_app)
    page = lite_app.test_client().get(
        f"/lti/register/{code}",
        query_string={
            "openid_configuration": "https://new.test/openid-configuration",
            "registration_token": newcomer.registration_token,
        },
        headers={"Accept-Language": "en"},
        base_url=BASE,
    )
    assert 'lang="en"' in page.get_data(as_text=True)
    assert urlsplit(page.request.url).path.endswith(code)


def test_a_nul_in_an_address_finds_nothing(app: Flask) -> None:
    """PostgreSQL does not take one, so it must not get there."""
    client = app.test_client()
    login = {"iss": "https://lms.test\x00", "login_hint": "u", "client_id": "\x00"}
    assert client.get("/lti/login", query_string=login, base_url=BASE).status_code == 401
    assert client.get("/lti/register/%00", base_url=BASE).status_code == 400
    assert client.get("/lti/%00.json", base_url=BASE).status_code == 404
