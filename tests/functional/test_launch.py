"""Coming in from an LMS: what a launch opens, for whom, and what it never does."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession, LoginState
from lti_app.roster.models import Context, Guardianship, LtiUser, Membership, Person, ResourceLink
from tests.browsing import BASE, CROSS_SITE, SAME_ORIGIN, Visitor
from tests.conftest import run
from tests.fake_platform import LTI, MEMBERSHIP, FakePlatform


def rows(app: Flask, model: type) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_login_sends_what_the_standard_asks_for(app: Flask, platform: FakePlatform, method: str) -> None:
    client = app.test_client()
    parameters = platform.login_parameters("parent", "demo")
    values = {"query_string" if method == "GET" else "data": parameters}
    answer = client.open("/lti/login", method=method, headers=CROSS_SITE, base_url=BASE, **values)  # type: ignore[arg-type]
    answer = client.get(answer.location, headers=CROSS_SITE, base_url=BASE)
    address = urlsplit(answer.location)
    query = {name: value[0] for name, value in parse_qs(address.query).items()}
    assert f"{address.scheme}://{address.netloc}{address.path}" == "https://lms.test/auth"
    assert query.pop("state")
    assert query.pop("nonce")
    assert query == {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": platform.client_id,
        "redirect_uri": "https://tool.test/lti/launch",
        "login_hint": "parent",
        "lti_message_hint": "demo",
    }


def test_an_authorization_address_with_a_query_keeps_it(lite_app: Flask, platform: FakePlatform) -> None:
    other = FakePlatform("other.test")
    arguments = [
        f"{other.issuer}/auth?tenant=7" if a == f"{other.issuer}/auth" else a for a in other.add_arguments
    ]
    run(lite_app, "platforms", "add", *arguments)
    client = lite_app.test_client()
    answer = client.post("/lti/login", data=other.login_parameters("parent", "demo"), base_url=BASE)
    answer = client.get(answer.location, base_url=BASE)
    query = parse_qs(urlsplit(answer.location).query)
    assert query["tenant"] == ["7"]
    assert query["client_id"] == [other.client_id]


def test_without_cookies_the_hint_is_not_spent_and_a_new_tab_is_offered(
    lite_app: Flask, platform: FakePlatform
) -> None:
    client = lite_app.test_client(use_cookies=False)
    answer = client.post(
        "/lti/login", data=platform.login_parameters("parent", "demo"), headers=CROSS_SITE, base_url=BASE
    )
    page = client.get(answer.location, headers=CROSS_SITE, base_url=BASE)
    html = page.get_data(as_text=True)
    assert page.status_code == 200
    assert "新标签页" in html
    assert 'target="_blank"' in html
    assert "https://lms.test/auth" not in html


def test_every_cookie_works_inside_a_foreign_frame(visit: Visitor) -> None:
    answer = visit.launch("teacher")
    cookies = answer.headers.getlist("Set-Cookie")
    assert cookies
    for cookie in cookies:
        for attribute in ("Secure", "HttpOnly", "SameSite=None", "Partitioned"):
            assert attribute in cookie, cookie


def test_one_browser_that_keeps_cookies_is_asked_once(lite_app: Flask, platform: FakePlatform) -> None:
    client, visitor = lite_app.test_client(), Visitor(lite_app, platform)
    visitor.launch("teacher", client=client)
    answer = client.post("/lti/login", data=platform.login_parameters("teacher", "demo"), base_url=BASE)
    assert answer.location.startswith("https://lms.test/auth?")


def test_a_launch_records_who_came_and_from_where(app: Flask, visit: Visitor) -> None:
    visit("teacher")
    with app.app_context():
        user = db.session.scalars(select(LtiUser)).one()
        context = db.session.scalars(select(Context)).one()
        link = db.session.scalars(select(ResourceLink)).one()
    assert (user.sub, user.name) == ("u-teacher", "王老师")
    assert (context.context_id, context.title) == ("class-1", "class-1 家长班")
    assert link.line_item_url == "https://lms.test/ags/class-1/lineitems/demo"
    visit("teacher")
    assert [rows(app, model) for model in (LtiUser, Context, ResourceLink, Membership)] == [1, 1, 1, 1]


def test_names_that_are_no_longer_sent_are_forgotten(app: Flask, visit: Visitor) -> None:
    visit("teacher")
    visit("teacher", name=...)
    with app.app_context():
        assert db.session.scalars(select(LtiUser)).one().name is None


def test_same_ids_of_two_platforms_are_two_people_and_two_classes(
    app: Flask, platform: FakePlatform, visit: Visitor
) -> None:
    visit("teacher")
    other = FakePlatform("other.test")
    with pytest.raises(AssertionError, match="GY-LAUNCH-UNKNOWN-PLATFORM"):
        Visitor(app, other)("teacher")
    # The adapter of the network is the first platform's: let it speak for both hosts' keys.
    run(app, "platforms", "add", *other.add_arguments)
    Visitor(app, other)("teacher")
    assert (rows(app, LtiUser), rows(app, Context)) == (2, 2)


def test_a_used_launch_and_a_reload_get_an_open_again_page(app: Flask, visit: Visitor) -> None:
    client = app.test_client()
    state, nonce = visit.begin(client, "teacher")
    token = visit.platform.sign(visit.platform.claims("teacher", "demo", nonce))
    assert visit.finish(client, state, token).status_code == 303
    again = visit.finish(client, state, token)
    assert again.status_code == 401
    assert "GY-LAUNCH-USED" in again.get_data(as_text=True)
    by_hand = client.get("/lti/launch", base_url=BASE)
    assert by_hand.status_code == 401
    assert rows(app, LaunchSession) == 1


def test_a_login_waits_ten_minutes_and_no_longer(lite_app: Flask, platform: FakePlatform) -> None:
    visitor, client = Visitor(lite_app, platform), lite_app.test_client()
    with time_machine.travel(utc_now(), tick=False) as clock:
        state, nonce = visitor.begin(client, "teacher")
        clock.shift(timedelta(minutes=10, seconds=1))
        token = platform.sign(platform.claims("teacher", "demo", nonce))
        assert "GY-LAUNCH-USED" in visitor.finish(client, state, token).get_data(as_text=True)


def test_each_launch_has_its_own_key_and_keeps_it(app: Flask, visit: Visitor) -> None:
    client = app.test_client()
    first = visit("teacher", "demo", client=client)
    second = visit("teacher", "second", client=client)
    assert first.root != second.root
    assert first.get("/course").response.request.path.startswith(first.root)
    assert "好好说话" in first.get("/course").text
    assert "第二门测试课程" in second.get("/course").text
    assert "好好说话" in first.get("/course").text


def test_the_address_alone_opens_nothing_in_another_browser(app: Flask, visit: Visitor) -> None:
    page = visit("teacher")
    stranger = app.test_client().get(page.root + "/course", base_url=BASE)
    assert stranger.status_code == 401
    assert "GY-SESSION-ELSEWHERE" in stranger.get_data(as_text=True)


def test_a_session_ends_after_three_idle_hours_and_after_twelve_in_any_case(
    lite_app: Flask, platform: FakePlatform
) -> None:
    visitor = Visitor(lite_app, platform)
    with time_machine.travel(utc_now(), tick=False) as clock:
        page = visitor("teacher")
        for _ in range(5):
            clock.shift(timedelta(hours=2))
            assert page.get("/course").status == 200
        clock.shift(timedelta(hours=2, seconds=1))
        assert "GY-SESSION-EXPIRED" in page.get("/course").text
        idle = visitor("teacher")
        clock.shift(timedelta(hours=3, seconds=1))
        assert idle.get("/course").status == 401


def test_an_invented_key_gets_a_page_that_says_what_to_do(lite_app: Flask) -> None:
    answer = lite_app.test_client().get("/l/invented/course", base_url=BASE)
    assert answer.status_code == 401
    assert "从课程里重新打开" in answer.get_data(as_text=True)


def test_the_page_may_be_framed_by_its_own_lms_only(visit: Visitor) -> None:
    policy = visit("teacher").response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://lms.test" in policy
    assert "script-src 'self'" in policy


def test_the_frame_of_a_verified_return_address_is_allowed_and_no_trick_with_it(visit: Visitor) -> None:
    def policy(return_url: str) -> str:
        claim = {LTI + "launch_presentation": {"return_url": return_url}}
        return visit("teacher", **claim).response.headers["Content-Security-Policy"]

    assert "https://school.lms.test" in policy("https://school.lms.test/back")
    assert "evil" not in policy("https://lms.test;script-src evil/back")
    assert "evil" not in policy("javascript:evil")


def test_a_foreign_page_cannot_post_into_a_launch(visit: Visitor) -> None:
    page = visit("teacher")
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"},
    ):
        answer = page.post("/language", {"locale": "en"}, headers=headers)
        assert answer.status == 403
        assert "GY-FOREIGN-REQUEST" in answer.text
    client = page.client
    without = client.post(page.root + "/language", data={"locale": "en"}, base_url=BASE)
    assert without.status_code == 403
    old_browser = client.post(
        page.root + "/language", data={"locale": "en"}, headers={"Origin": BASE}, base_url=BASE
    )
    assert old_browser.status_code == 303


def test_language_follows_the_lms_and_the_visitor(visit: Visitor) -> None:
    presentation = {LTI + "launch_presentation": {"locale": "en_us"}}
    page = visit("admin", **presentation)
    assert 'lang="en"' in page.html
    assert "Connection" in page.text
    page = page.post("/language", {"locale": "zh", "next": page.root + "/connection"})
    assert 'lang="zh-Hans-CN"' in page.html
    assert "接入情况" in page.text
    away = page.post("/language", {"locale": "en", "next": "https://evil.test/"}, follow_redirects=False)
    assert urlsplit(away.response.location).netloc in ("", "tool.test")


def test_an_anonymous_visitor_reads_and_leaves_nothing(app: Flask, visit: Visitor) -> None:
    visit("teacher")
    before = [rows(app, model) for model in (LtiUser, Person, Membership, Context, ResourceLink)]
    page = visit("anonymous")
    assert page.status == 200
    assert "好好说话" in page.text
    elsewhere = visit("anonymous", "second/class-9")
    assert elsewhere.status == 200
    assert [rows(app, model) for model in (LtiUser, Person, Membership, Context, ResourceLink)] == before


def test_somebody_without_name_and_mail_is_served_like_everybody(visit: Visitor) -> None:
    page = visit("nameless")
    page = page.post("/who", {"kind": "parent"})
    assert page.status == 200
    assert "好好说话" in page.text


def test_a_launch_without_grades_and_roster_works(visit: Visitor) -> None:
    page = visit("teacher", **{"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": ...})
    assert page.status == 200


def test_a_learner_is_asked_once_who_is_here(app: Flask, visit: Visitor) -> None:
    page = visit("parent")
    assert "我是家长" in page.text
    assert "我是学生" in page.text
    empty = page.post("/who", {})
    assert empty.status == 422
    assert "请先选择一项" in empty.text
    page = page.post("/who", {"kind": "parent"})
    assert "好好说话" in page.text
    again = visit("parent")
    assert "我是家长" not in again.text
    assert rows(app, Person) == 1


def test_who_was_being_asked_when_the_teacher_said_it_goes_on(app: Flask, visit: Visitor) -> None:
    asked, reading = visit("parent"), visit("father")
    assert "我是家长" in asked.text
    visit("teacher").post("/class/audience", {"audience": "parents"})
    assert "好好说话" in asked.post("/who", {"kind": "pupil"}).text
    assert "好好说话" in reading.get("/course").text
    with app.app_context():
        assert set(db.session.scalars(select(Person.kind))) == {"parent"}


def test_a_family_that_shares_a_login_chooses_and_may_change(app: Flask, visit: Visitor) -> None:
    visit("teacher").post("/class/audience", {"audience": "families"})
    page = visit("pupil")
    assert "称呼" in page.text
    half = page.post("/who", {"label": "妈妈"})
    assert half.status == 422
    page = page.post("/who", {"label": "妈妈", "kind": "parent"})
    assert "好好说话" in page.text
    again = visit("pupil")
    assert "妈妈" in again.text  # remembered
    again = again.get("/who")
    again = again.post("/who", {"label": "小雨", "kind": "pupil"})
    assert "小雨" in again.text
    assert rows(app, Person) == 2
    with app.app_context():
        stranger = db.session.scalar(select(func.max(Person.id))) or 0
    assert again.post("/who", {"person": str(stranger + 1)}).status == 422


def test_an_observer_is_a_parent_and_a_guardian(app: Flask, visit: Visitor) -> None:
    page = visit("observer")
    assert page.status == 200
    with app.app_context():
        guardianship = db.session.scalars(select(Guardianship)).one()
        child = db.session.get(LtiUser, guardianship.child_pk)
        assert child is not None
        assert child.sub == "u-pupil"
    visit("observer")
    assert rows(app, Guardianship) == 1


def test_a_canvas_observer_gets_only_children_of_the_class(lite_app: Flask, platform: FakePlatform) -> None:
    canvas = FakePlatform("canvas.test", kind="canvas")
    run(lite_app, "platforms", "add", *canvas.add_arguments)
    visitor = Visitor(lite_app, canvas)
    custom = {LTI + "custom": {"gongyu_course": "demo", "observees": "u-pupil,u-stranger"}}
    visitor("observer", **custom)
    assert rows(lite_app, Guardianship) == 0
    visitor("pupil")
    visitor("observer", **custom)
    assert rows(lite_app, Guardianship) == 1


def test_institution_roles_open_nothing_of_a_class(visit: Visitor) -> None:
    page = visit("admin")
    assert "接入情况" in page.text
    assert page.get("/class").status == 403
    teacher_elsewhere = [
        MEMBERSHIP + "Mentor",
        "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor",
    ]
    observer = visit("observer", **{LTI + "roles": teacher_elsewhere})
    assert observer.get("/class").status == 403
    assert observer.get("/connection").status == 403


def test_two_launches_of_a_new_login_at_once_agree_on_one_person(
    lite_app: Flask, platform: FakePlatform
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    visitor = Visitor(lite_app, platform)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: visitor.launch("observer"), range(16)))
    assert {answer.status_code for answer in answers} == {303}
    assert [rows(lite_app, model) for model in (LtiUser, Person, Membership, Context)] == [2, 1, 1, 1]


def test_old_logins_and_sessions_are_swept(lite_app: Flask, platform: FakePlatform) -> None:
    from lti_app.launches.services import sweep

    visitor = Visitor(lite_app, platform)
    with time_machine.travel(utc_now(), tick=False) as clock:
        visitor("teacher")
        visitor.begin(lite_app.test_client(), "parent")
        clock.shift(timedelta(hours=13))
        visitor("teacher")
        with lite_app.app_context():
            sweep()
            db.session.commit()
    assert (rows(lite_app, LaunchSession), rows(lite_app, LoginState)) == (1, 0)


def test_public_pages_answer_and_tell_the_addresses(lite_app: Flask) -> None:
    client = lite_app.test_client()
    assert client.get("/healthz", base_url=BASE).json == {"status": "ok"}
    assert client.get("/readyz", base_url=BASE).status_code == 200
    assert "https://tool.test/lti/jwks.json" in client.get("/", base_url=BASE).get_data(as_text=True)
    keys = client.get("/lti/jwks.json", base_url=BASE).json
    assert keys is not None
    assert {"kty", "kid", "n", "e", "alg", "use"} == set(keys["keys"][0])
    assert client.get("/nowhere", base_url=BASE).status_code == 404
    assert client.post("/lti/jwks.json", headers=SAME_ORIGIN, base_url=BASE).status_code == 405
