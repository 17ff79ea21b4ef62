"""What proves that a launch is the browser's own where there are no cookies, and links into a new tab."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession, LoginState, PageTicket
from lti_app.launches.services import sweep
from lti_app.registrations.models import Registration, RegistrationStatus
from tests.browsing import BASE, CROSS_SITE, SAME_ORIGIN, Page, QueryCount, Visitor
from tests.fake_platform import FakePlatform

IN_TAB = {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1"
)
WECHAT = IPHONE.replace("Version/18.5", "MicroMessenger/8.0.60")
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"


@dataclass
class Stored:
    """A login whose secret the platform's storage keeps, and the platform's answer to it."""

    client: FlaskClient
    state: str
    secret: str
    token: str
    page: TestResponse

    def launch(self, **more: str) -> TestResponse:
        """The platform's post, from its site and without our cookie."""
        data = {"state": self.state, "id_token": self.token, **more}
        return self.client.post("/lti/launch", data=data, headers=CROSS_SITE, base_url=BASE)

    def prove(self, headers: Any = SAME_ORIGIN, **changes: str) -> TestResponse:
        """The post of our own page, with the proof."""
        data = {"state": self.state, "id_token": self.token, "storage_proof": self.secret, **changes}
        return self.client.post("/lti/launch/stored", data=data, headers=headers, base_url=BASE)


def begin(
    app: Flask,
    platform: FakePlatform,
    user: str = "observer",
    *,
    target: str = "_parent",
    client: FlaskClient | None = None,
) -> Stored:
    client = client or app.test_client(use_cookies=False)
    login = {**platform.login_parameters(user, "demo"), "lti_storage_target": target}
    page = client.post("/lti/login", data=login, headers=CROSS_SITE, base_url=BASE)
    assert page.status_code == 200
    query = parse_qs(urlsplit(said(page, "address")).query)
    token = platform.sign(platform.claims(user, "demo", query["nonce"][0]))
    return Stored(client, query["state"][0], said(page, "secret"), token, page)


def said(page: TestResponse, name: str) -> str:
    """A `data-` attribute of the page."""
    found = re.search(f'data-{name}="([^"]*)"', page.get_data(as_text=True))
    assert found, page.get_data(as_text=True)
    return unescape(found[1])


def code(answer: TestResponse) -> str:
    found = re.search(r"GY-[A-Z-]+", answer.get_data(as_text=True))
    return found[0] if found else ""


def rows(app: Flask, model: type) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_the_secret_is_told_once_and_only_to_the_page_that_asked(app: Flask, platform: FakePlatform) -> None:
    stored = begin(app, platform, target="school_storage")
    assert said(stored.page, "target") == "school_storage"
    assert said(stored.page, "origin") == "https://lms.test"
    headers = stored.page.headers
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert "frame-ancestors 'self' https://lms.test" in headers["Content-Security-Policy"]
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    later = app.test_client().get(f"/lti/login/{stored.state}", headers=CROSS_SITE, base_url=BASE)
    for answer in (later, stored.launch()):
        assert stored.secret not in answer.get_data(as_text=True)
    with app.app_context():
        login = db.session.scalars(select(LoginState)).one()
        assert stored.secret not in repr(vars(login))


def test_the_platforms_storage_proves_a_launch_without_cookies(app: Flask, platform: FakePlatform) -> None:
    stored = begin(app, platform)
    page = stored.launch(lti_storage_target="other_frame")
    assert page.status_code == 200
    assert said(page, "target") == "other_frame"
    assert said(page, "key") == said(stored.page, "key")
    answer = stored.prove()
    assert answer.status_code == 303
    assert not [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("gongyu=")]
    course = stored.client.get(answer.location, base_url=BASE)
    assert "好好说话" in course.get_data(as_text=True)
    assert code(stored.prove()) == "GY-LAUNCH-USED"
    assert rows(app, LaunchSession) == 1


def test_a_cookie_that_comes_back_after_all_binds_the_session(
    lite_app: Flask, platform: FakePlatform
) -> None:
    stored = begin(lite_app, platform, client=lite_app.test_client())
    answer = stored.prove()
    assert [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("gongyu=")]
    stranger = lite_app.test_client().get(answer.location, base_url=BASE)
    assert code(stranger) == "GY-SESSION-ELSEWHERE"


def test_looking_spends_nothing_and_a_wrong_proof_everything(app: Flask, platform: FakePlatform) -> None:
    stored = begin(app, platform)
    for _ in range(3):
        assert stored.launch().status_code == 200
    assert stored.prove(storage_proof="").status_code == 400
    assert code(stored.prove(storage_proof="x")) == "GY-LAUNCH-OTHER-BROWSER"
    assert code(stored.prove()) == "GY-LAUNCH-USED"
    assert rows(app, LaunchSession) == 0


def test_the_proof_of_another_login_is_none(app: Flask, platform: FakePlatform) -> None:
    mine, theirs = begin(app, platform), begin(app, platform)
    assert code(mine.prove(state=theirs.state, id_token=theirs.token)) == "GY-LAUNCH-OTHER-BROWSER"
    # The right proof with somebody else's token: the nonce belongs to the other login.
    assert code(mine.prove(id_token=theirs.token)) == "GY-LAUNCH-WRONG-NONCE"
    assert rows(app, LaunchSession) == 0


def test_a_proof_counts_only_from_our_own_page(lite_app: Flask, platform: FakePlatform) -> None:
    stored = begin(lite_app, platform)
    for headers in (
        CROSS_SITE,
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://lms.test"},
        {"Origin": "null"},
        {},
    ):
        assert code(stored.prove(headers)) == "GY-FOREIGN-REQUEST"
    # At the address for platforms a proof is not even read.
    assert "data-recall" in stored.launch(storage_proof=stored.secret).get_data(as_text=True)
    assert stored.prove({"Origin": BASE}).status_code == 303


def test_where_the_platform_announced_no_storage_no_proof_is_taken(
    lite_app: Flask, platform: FakePlatform
) -> None:
    visitor, client = Visitor(lite_app, platform), lite_app.test_client()
    state, nonce = visitor.begin(client, "observer")
    cookie = next(c for c in client._cookies.values() if c.key.startswith("gongyu-login-"))  # type: ignore[union-attr]
    token = platform.sign(platform.claims("observer", "demo", nonce))
    stored = Stored(lite_app.test_client(use_cookies=False), state, cookie.value, token, TestResponse)  # type: ignore[arg-type]
    assert code(stored.prove()) == "GY-LAUNCH-OTHER-BROWSER"
    assert code(stored.launch()) == "GY-LAUNCH-USED"


def test_a_stored_login_waits_ten_minutes_too(lite_app: Flask, platform: FakePlatform) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        stored = begin(lite_app, platform)
        clock.shift(timedelta(minutes=10, seconds=1))
        assert code(stored.launch()) == "GY-LAUNCH-USED"
        assert code(stored.prove()) == "GY-LAUNCH-USED"


def test_of_many_with_the_same_proof_one_gets_in(app: Flask, platform: FakePlatform) -> None:
    stored = begin(app, platform)
    with ThreadPoolExecutor(6) as pool:
        clients = [app.test_client(use_cookies=False) for _ in range(6)]
        answers = list(
            pool.map(
                lambda c: Stored(c, stored.state, stored.secret, stored.token, stored.page).prove(), clients
            )
        )
    assert sorted(answer.status_code for answer in answers) == [303, *[401] * 5]
    assert rows(app, LaunchSession) == 1


def test_what_others_send_is_shown_as_text(lite_app: Flask, platform: FakePlatform) -> None:
    nasty = '"><script>alert(1)</script>'
    stored = begin(lite_app, platform, target=nasty)
    assert said(stored.page, "target") == nasty
    page = stored.launch(id_token=nasty, error=nasty, lti_storage_target=nasty)
    for answer in (stored.page, page):
        assert "<script>alert" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("target", ["x" * 256, "a\x00b", "a\nb", "\u202eparent"])
def test_impossible_frame_names_are_refused(lite_app: Flask, platform: FakePlatform, target: str) -> None:
    login = {**platform.login_parameters("observer", "demo"), "lti_storage_target": target}
    answer = lite_app.test_client().post("/lti/login", data=login, headers=CROSS_SITE, base_url=BASE)
    assert (answer.status_code, code(answer)) == (400, "GY-LAUNCH-LOGIN-INCOMPLETE")
    assert begin(lite_app, platform).launch(lti_storage_target=target).status_code == 400


def test_an_error_of_the_platform_is_told_after_the_proof(lite_app: Flask, platform: FakePlatform) -> None:
    stored = begin(lite_app, platform)
    page = stored.launch(id_token="", error="login_required")
    assert 'name="error" value="login_required"' in page.get_data(as_text=True)
    assert code(stored.prove(id_token="", error="login_required")) == "GY-LAUNCH-LOGIN-REQUIRED"


def test_where_cookies_work_the_storage_costs_nothing(lite_app: Flask, platform: FakePlatform) -> None:
    client, visitor = lite_app.test_client(), Visitor(lite_app, platform)
    visitor.launch("observer", client=client)

    def steps(more: dict[str, str]) -> tuple[int, int]:
        with QueryCount(lite_app) as queries:
            login = {**platform.login_parameters("observer", "demo"), **more}
            answer = client.post("/lti/login", data=login, headers=CROSS_SITE, base_url=BASE)
            query = parse_qs(urlsplit(answer.location).query)
            token = platform.sign(platform.claims("observer", "demo", query["nonce"][0]))
            done = visitor.finish(client, query["state"][0], token)
        return done.status_code, len(queries)

    assert steps({"lti_storage_target": "_parent"}) == steps({})


def test_our_script_asks_whether_the_cookie_was_kept(lite_app: Flask, platform: FakePlatform) -> None:
    asking = {"Accept": "application/json", **SAME_ORIGIN}
    for cookies in (True, False):
        stored = begin(lite_app, platform, client=lite_app.test_client(use_cookies=cookies))
        answer = stored.client.get(said(stored.page, "checked"), headers=asking, base_url=BASE)
        assert answer.json == {"kept": cookies}
        assert bool(answer.headers.getlist("Set-Cookie")) is cookies


def test_login_parameters_of_all_platforms_are_taken(lite_app: Flask, platform: FakePlatform) -> None:
    login = {**platform.login_parameters("observer", "demo"), "deployment_id": "9:x", "canvas_region": "cn"}
    login |= {"canvas_environment": "prod", "lti_storage_target": "post_message_forwarding"}
    answer = lite_app.test_client().get("/lti/login", query_string=login, headers=CROSS_SITE, base_url=BASE)
    assert answer.status_code == 200


def refused_cookies(app: Flask, platform: FakePlatform, agent: str, **headers: str) -> TestResponse:
    """The end of a login in a browser that keeps no cookies, in a frame unless the headers say otherwise."""
    client = app.test_client(use_cookies=False)
    said_by_browser = {**CROSS_SITE, **headers, "User-Agent": agent}
    answer = client.post(
        "/lti/login",
        data=platform.login_parameters("observer", "demo"),
        headers=said_by_browser,
        base_url=BASE,
    )
    return client.get(answer.location, headers=said_by_browser, base_url=BASE)


def test_the_new_tab_repeats_the_login_without_the_frames_storage(
    lite_app: Flask, platform: FakePlatform
) -> None:
    stored = begin(lite_app, platform)
    page = stored.client.get(f"/lti/login/{stored.state}", headers=CROSS_SITE, base_url=BASE)
    link = re.search(r'href="(/lti/login\?[^"]+)"', page.get_data(as_text=True))
    assert link
    again = parse_qs(urlsplit(unescape(link[1])).query)
    assert "lti_storage_target" not in again
    assert again["login_hint"] == ["observer"]
    tab = lite_app.test_client()
    answer = tab.get(unescape(link[1]), headers=IN_TAB, base_url=BASE)
    answer = tab.get(answer.location, headers=IN_TAB, base_url=BASE)
    assert answer.location.startswith("https://lms.test/auth?")


@pytest.mark.parametrize(
    ("agent", "words"),
    [(IPHONE, "阻止所有 Cookie"), (WECHAT, "在浏览器打开"), (EDGE, "允许站点保存"), ("", "其他浏览器")],
)
def test_in_a_tab_without_cookies_the_browsers_own_setting_comes_first(
    lite_app: Flask, platform: FakePlatform, agent: str, words: str
) -> None:
    page = refused_cookies(lite_app, platform, agent, **IN_TAB)
    assert (page.status_code, code(page)) == (401, "GY-LAUNCH-NO-COOKIES")
    html = page.get_data(as_text=True)
    assert words in html[: html.index("<details")]
    assert 'target="_blank"' not in html
    framed = refused_cookies(lite_app, platform, agent)
    assert "在新标签页打开" in framed.get_data(as_text=True)


def test_an_old_browser_is_known_to_be_in_a_tab_by_our_own_link(
    lite_app: Flask, platform: FakePlatform
) -> None:
    client = lite_app.test_client(use_cookies=False)
    login = {**platform.login_parameters("observer", "demo"), "gongyu_tab": "1"}
    answer = client.get("/lti/login", query_string=login, base_url=BASE)
    assert code(client.get(answer.location, base_url=BASE)) == "GY-LAUNCH-NO-COOKIES"


def test_every_page_between_says_what_to_do_without_script(lite_app: Flask, platform: FakePlatform) -> None:
    stored = begin(lite_app, platform)
    for answer in (stored.page, stored.launch()):
        assert "<noscript>" in answer.get_data(as_text=True)
    check = re.search(
        r'<meta http-equiv="refresh" content="0; url=([^"]+)"', stored.page.get_data(as_text=True)
    )
    assert check
    assert check[1] == said(stored.page, "checked")


# -- one-time links ---------------------------------------------------------------------------------------


def mint(page: Page, address: str, headers: dict[str, str] = SAME_ORIGIN) -> TestResponse:
    """Our script's question for a one-time link."""
    return page.client.post(
        page.root + "/open",
        data={"page": address},
        headers={"Accept": "application/json", **headers},
        base_url=BASE,
    )


def link(page: Page, path: str = "/course") -> str:
    answer = mint(page, page.root + path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return str(answer.get_json()["address"])


def open_tab(client: FlaskClient, address: str) -> TestResponse:
    """What a new tab ends with."""
    answer = client.get(address, headers=IN_TAB, base_url=BASE)
    while answer.status_code == 302:
        answer = client.get(answer.location, headers=IN_TAB, base_url=BASE)
    return answer


def test_a_link_opens_the_page_in_a_tab_that_has_no_cookie_of_the_frame(app: Flask, visit: Visitor) -> None:
    page = visit("observer")
    tab = app.test_client()
    answer = open_tab(tab, link(page, "/credits?page=1"))
    assert "学分" in answer.get_data(as_text=True)
    root = "/".join(answer.request.path.split("/")[:3])
    assert root != page.root
    assert answer.request.path == root + "/credits"
    assert answer.request.query_string == b"page=1"
    # It is a session of its own, bound to the tab; the frame's goes on.
    assert tab.get(root + "/course", base_url=BASE).status_code == 200
    assert code(app.test_client().get(root + "/course", base_url=BASE)) == "GY-SESSION-ELSEWHERE"
    assert page.get("/course").status == 200
    with app.app_context():
        frame, copy = db.session.scalars(select(LaunchSession).order_by(LaunchSession.id)).all()
        same = set(LaunchSession.__table__.columns.keys()) - {"id", "key_hash", "cookie_hash", "last_seen_at"}
        assert {name: getattr(frame, name) for name in same} == {name: getattr(copy, name) for name in same}


def test_a_link_works_once_and_for_a_minute(app: Flask, platform: FakePlatform, visit: Visitor) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        page = visit("teacher")
        address = link(page)
        assert open_tab(app.test_client(), address).status_code == 200
        replayed = open_tab(app.test_client(), address)
        assert (replayed.status_code, code(replayed)) == (401, "GY-LINK-USED")
        late = link(page)
        clock.shift(timedelta(seconds=61))
        assert code(open_tab(app.test_client(), late)) == "GY-LINK-USED"
        assert rows(app, LaunchSession) == 2


def test_of_many_tabs_with_one_link_one_opens(app: Flask, visit: Visitor) -> None:
    address = link(visit("teacher"))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: open_tab(app.test_client(), address), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 5]


def test_guessed_links_open_nothing(lite_app: Flask, platform: FakePlatform) -> None:
    link(Visitor(lite_app, platform)("teacher"))
    for guess in ("x", "a" * 32, "%00", "é", "1", "' OR 1=1", "x" * 4000):
        answer = open_tab(lite_app.test_client(), f"/lti/open/{guess}")
        assert (answer.status_code, code(answer)) == (401, "GY-LINK-USED")
    assert rows(lite_app, PageTicket) == 1


def test_a_tab_without_cookies_holds_its_key_alone(lite_app: Flask, platform: FakePlatform) -> None:
    page = Visitor(lite_app, platform)("teacher")
    tab = lite_app.test_client(use_cookies=False)
    answer = open_tab(tab, link(page))
    assert answer.status_code == 200
    assert lite_app.test_client().get(answer.request.path, base_url=BASE).status_code == 200


def test_a_link_is_made_only_by_who_holds_the_launch(lite_app: Flask, platform: FakePlatform) -> None:
    page = Visitor(lite_app, platform)("teacher")
    thief = Page(lite_app.test_client(), page.response, page.root)
    assert mint(thief, page.root + "/course").get_json()["error"]["code"] == "GY-SESSION-ELSEWHERE"
    foreign = mint(page, page.root + "/course", {"Sec-Fetch-Site": "cross-site"})
    assert foreign.get_json()["error"]["code"] == "GY-FOREIGN-REQUEST"
    assert rows(lite_app, PageTicket) == 0


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.test/",
        "//evil.test/",
        "/lti/jwks.json",
        "/l/another-key/course",
        "{root}",
        "{root}/nowhere",
        "{root}/language",
        "{root}/../../lti/jwks.json",
        "{root}\\@evil.test",
        "javascript:alert(1)",
    ],
)
def test_only_pages_of_the_launch_are_linked(lite_app: Flask, platform: FakePlatform, address: str) -> None:
    page = Visitor(lite_app, platform)("teacher")
    answer = mint(page, address.replace("{root}", page.root))
    assert answer.status_code == 404
    assert rows(lite_app, PageTicket) == 0


def test_whatever_page_is_asked_for_there_is_no_way_out(lite_app: Flask, platform: FakePlatform) -> None:
    page = Visitor(lite_app, platform)("teacher")

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text(max_size=60), st.booleans())
    def ask(text: str, inside: bool) -> None:
        answer = mint(page, (page.root + "/" + text) if inside else text)
        assert answer.status_code in (200, 404, 422)
        if answer.status_code == 200:
            end = lite_app.test_client().get(answer.get_json()["address"] + "?checked=1", base_url=BASE)
            assert urlsplit(end.location).netloc in ("", "tool.test")
            assert urlsplit(end.location).path.startswith("/l/")

    ask()


def test_a_link_ends_with_its_launch_and_its_platform(app: Flask, platform: FakePlatform) -> None:
    visitor = Visitor(app, platform)
    with time_machine.travel(utc_now(), tick=False) as clock:
        ended = link(visitor("teacher"))
        with app.app_context():
            db.session.execute(update(LaunchSession).values(expires_at=utc_now() + timedelta(seconds=5)))
            db.session.commit()
        clock.shift(timedelta(seconds=6))
        assert code(open_tab(app.test_client(), ended)) == "GY-LINK-USED"
        left = link(visitor("teacher"))
        with app.app_context():
            db.session.execute(update(Registration).values(status=RegistrationStatus.DISABLED))
            db.session.commit()
        assert code(open_tab(app.test_client(), left)) == "GY-LINK-USED"


def test_links_are_swept_with_their_launches(app: Flask, platform: FakePlatform) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        visitor = Visitor(app, platform)
        link(visitor("teacher"))
        clock.shift(timedelta(hours=13))
        with app.app_context():
            sweep()
            db.session.commit()
    assert (rows(app, PageTicket), rows(app, LaunchSession)) == (0, 0)


def test_without_script_there_is_a_page_with_the_link(lite_app: Flask, platform: FakePlatform) -> None:
    page = Visitor(lite_app, platform)("teacher")
    answer = page.post("/open", {"page": page.root + "/course"})
    found = re.search(r'href="(/lti/open/[^"]+)" [^>]*target="_blank" rel="noopener"', answer.html)
    assert found, answer.html
    assert open_tab(lite_app.test_client(), found[1]).status_code == 200
