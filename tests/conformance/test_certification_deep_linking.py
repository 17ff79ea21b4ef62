"""The Deep Linking part of 1EdTech's certification guide (1.3, 6.2), for every kind of platform that we know,
and what Deep Linking 2.0 asks of an answer beyond it: the settings honoured, `data` verbatim, one answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from integrations.platforms.registry import KINDS
from lti_app.courses.models import ContentItem
from tests.browsing import BASE, SAME_ORIGIN, Page, Visitor
from tests.conformance.answers import ResourceLink, Response, is_url, response
from tests.conftest import run, running
from tests.fake_platform import LTI, MEMBERSHIP, TEST_USER, FakePlatform, User
from tests.functional.courses_steps import count
from tests.functional.deep_linking_steps import DL, RETURN, add, asking, basket_form, opened, send

REQUIRED = {
    *("iss", "aud", "iat", "exp", "nonce"),
    *(LTI + name for name in ("deployment_id", "message_type", "version")),
}
OPTIONAL = {DL + name for name in ("content_items", "data", "msg", "log", "errormsg", "errorlog")}
DATED = {"opens_at": "2026-12-01T08:00", "closes_at": "2026-12-31T20:00", "due_at": "2026-12-20T20:00"}
LONGEST_DATA = 32_768
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def setting(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flask, dict[str, FakePlatform]]]:
    """One application, connected to a platform of each kind."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "gongyu.sqlite3").write_bytes(sqlite_template.read_bytes())
    platforms = {kind: FakePlatform(f"{kind}.test", kind=kind) for kind in KINDS}
    for app in running(f"sqlite:///{folder / 'gongyu.sqlite3'}", folder, platforms[KINDS[0]]):
        for platform in platforms.values():
            run(app, "platforms", "add", *platform.add_arguments, "--school", "晨光实验学校")
        yield app, platforms


@pytest.fixture
def visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def answer(
    visit: Visitor, *, slugs: tuple[str, ...] = ("demo",), form: Any = None, **settings: Any
) -> Response:
    """Open the picker, choose, and send."""
    page = send(visit.app, add(opened(visit, **settings), *slugs), **(form or {}))
    return response(visit.app, visit.platform, page)


def response_format(got: Response) -> None:
    assert got.claims[LTI + "message_type"] == "LtiDeepLinkingResponse"
    assert got.claims[LTI + "version"] == "1.3.0"


def response_timestamps(got: Response) -> None:
    now = time.time()
    assert now - 30 <= got.claims["iat"] <= now, "platforms without any leeway refuse a later one"
    assert now < got.claims["exp"] <= now + 300


def signature(got: Response) -> None:
    """That the published key verifies it, `response` has seen."""
    assert set(got.header) == {"alg", "typ", "kid"}
    assert got.header["alg"] == "RS256"


def required_claims(got: Response) -> None:
    assert set(got.claims) >= REQUIRED
    assert all(is_url(name) for name in set(got.claims) - REQUIRED - OPTIONAL), "or a vendor's own"
    assert got.claims[LTI + "deployment_id"] == "1"
    assert len(got.claims["nonce"]) >= 22


def response_values(got: Response) -> None:
    assert got.action == RETURN
    assert got.claims[f"{DL}data"] == "csrf-token:7f3a"
    items = got.claims[f"{DL}content_items"]
    assert ResourceLink(many=True).validate(items) == {}
    assert len({item["custom"]["gongyu_item"] for item in items}) == len(items)


VERIFIED: dict[str, Callable[[Response], None]] = {
    "Response Format Valid": response_format,
    "Response Timestamps Valid": response_timestamps,
    "Signature Valid": signature,
    "Required Claims Verified": required_claims,
    "Affirm Response": response_values,
}


@pytest.fixture(scope="module")
def received(setting: tuple[Flask, dict[str, FakePlatform]]) -> dict[str, Response]:
    """Send the Request Payload, Receive the Response Payload: one of each kind."""
    app, platforms = setting
    return {
        kind: answer(Visitor(app, one), slugs=("demo", "second"), form=DATED, data="csrf-token:7f3a")
        for kind, one in platforms.items()
    }


@EVERY_KIND
@pytest.mark.parametrize("name", VERIFIED)
def test_the_response_is_good(received: dict[str, Response], name: str, kind: str) -> None:
    VERIFIED[name](received[kind])


@EVERY_KIND
def test_the_links_of_an_answer_launch(setting: tuple[Flask, dict[str, FakePlatform]], kind: str) -> None:
    """What the guide has a person look at: the item that was stored opens what was chosen."""
    app, platforms = setting
    visit = Visitor(app, platforms[kind])
    (item,) = answer(visit, slugs=("second",)).claims[f"{DL}content_items"]
    page = visit("teacher", f"/{kind}", **{LTI + "custom": item["custom"]})
    assert "第二门测试课程" in page.get("/course").text


# -- the settings of the request ---------------------------------------------------------------------------


@EVERY_KIND
@pytest.mark.parametrize("several", [False, ..., "perhaps"])
def test_no_more_than_one_item_unless_several_are_taken(
    setting: tuple[Flask, dict[str, FakePlatform]], kind: str, several: Any
) -> None:
    app, platforms = setting
    got = answer(Visitor(app, platforms[kind]), slugs=("demo", "second"), accept_multiple=several)
    assert [one["title"] for one in got.claims[f"{DL}content_items"]] == ["第二门测试课程"]


@EVERY_KIND
def test_no_column_where_none_is_taken(setting: tuple[Flask, dict[str, FakePlatform]], kind: str) -> None:
    app, platforms = setting
    got = answer(Visitor(app, platforms[kind]), form={"counts": "result"}, accept_lineitem=False)
    (item,) = got.claims[f"{DL}content_items"]
    assert "lineItem" not in item


@EVERY_KIND
def test_nothing_is_sent_where_no_links_are_taken(
    setting: tuple[Flask, dict[str, FakePlatform]], kind: str
) -> None:
    app, platforms = setting
    page = opened(Visitor(app, platforms[kind]), accept_types=["file", "html", "image", "link"])
    for path, form in (*DEEDS[:2], ("/pick/basket", {**basket_form(app), "action": "send"})):
        assert "data-post-now" not in page.post(path, form).html, path


DATA = {
    "nothing": ...,
    "empty": "",
    "markup": "</form><script>alert(1)</script>\"'&amp;",
    "a JWT": "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln",
    "JSON": '{"course": 2, "section": null, "文": "\\u4e2d"}',
    "white space at its ends": "  a\tb\r\n ",
    "Chinese": "课程二·第三节😀",
    "32 kB": "d" * LONGEST_DATA,
}


@pytest.mark.parametrize("name", DATA)
def test_data_goes_back_as_it_came(lite_app: Flask, visit: Visitor, name: str) -> None:
    said = answer(visit, data=DATA[name]).claims
    assert said.get(f"{DL}data", ...) == DATA[name]
    page = opened(visit, data=DATA[name])
    cancelled = response(lite_app, visit.platform, page.post("/pick/cancel")).claims
    assert cancelled.get(f"{DL}data", ...) == DATA[name]


def test_a_request_with_no_more_than_it_must_have_is_answered(visit: Visitor) -> None:
    got = answer(visit, accept_multiple=..., accept_lineitem=...)
    assert len(got.claims[f"{DL}content_items"]) == 1
    assert f"{DL}data" not in got.claims


def test_what_a_request_says_beyond_the_standard_is_no_trouble(visit: Visitor) -> None:
    got = answer(
        visit,
        accept_media_types="image/*,text/html",
        auto_create=True,
        title="标题",
        text="说明",
        accept_types=["ltiResourceLink", "vendorThing", 7],
        accept_presentation_document_targets=["iframe", "popup", None],
        **{"https://lms.test/extension": {"deep": []}},
    )
    assert ResourceLink(many=True).validate(got.claims[f"{DL}content_items"]) == {}


# -- cancelling --------------------------------------------------------------------------------------------


@EVERY_KIND
def test_nothing_chosen_is_an_answer_too(setting: tuple[Flask, dict[str, FakePlatform]], kind: str) -> None:
    """Unless the platform would take it as "delete what is there"."""
    app, platforms = setting
    page = opened(Visitor(app, platforms[kind]), data="csrf-token:7f3a").post("/pick/cancel")
    if "data-post-now" not in page.html:
        assert kind == "open-edx"
        return
    got = response(app, platforms[kind], page)
    assert got.claims[f"{DL}content_items"] == []
    for name, check in VERIFIED.items():
        if name != "Affirm Response":
            check(got)


# -- one answer --------------------------------------------------------------------------------------------


def test_no_two_answers_share_a_nonce(lite_app: Flask, visit: Visitor) -> None:
    """Neither those of two requests nor the same one, posted again: platforms remember nonces."""
    page = add(opened(visit), "demo")
    first = response(lite_app, visit.platform, send(lite_app, page))
    again = response(lite_app, visit.platform, page.get("/pick/sent?again=1"))
    other = answer(visit)
    assert first.claims[f"{DL}content_items"] == again.claims[f"{DL}content_items"]
    assert len({one.claims["nonce"] for one in (first, again, other)}) == 3


@pytest.mark.parametrize("first", ["send", "cancel"])
def test_an_answered_request_gives_no_other_answer(lite_app: Flask, visit: Visitor, first: str) -> None:
    page = add(opened(visit), "demo")
    given = send(lite_app, page) if first == "send" else page.post("/pick/cancel")
    items = response(lite_app, visit.platform, given).claims[f"{DL}content_items"]
    form = {**basket_form(lite_app, counts="nothing", maximum=7), "action": "send"}
    for path, values in [
        ("/pick/courses", {"course": "second", "action": "add"}),
        ("/pick/courses", {"course": "demo", "action": "remove"}),
        ("/pick/basket", form),
        ("/pick/cancel", {}),
        ("/pick/basket", {**form, "action": "save"}),
        ("/pick/basket", form),
        ("/pick/sent?again=1", None),
    ]:
        after = page.get(path) if values is None else page.post(path, values)
        if "data-post-now" in after.html:
            got = response(lite_app, visit.platform, after)
            assert got.claims[f"{DL}content_items"] == items, path
    assert count(lite_app, ContentItem) == len(items)


def test_of_many_presses_at_once_with_other_settings_one_decides(app: Flask, platform: FakePlatform) -> None:
    visit = Visitor(app, platform)
    page = add(opened(visit), "demo")
    forms = [{**basket_form(app, maximum=10 + number), "action": "send"} for number in range(8)]
    secret = page.client.get_cookie("gongyu", domain="tool.test", path=page.root)
    assert secret is not None

    def press(form: dict[str, str]) -> str:
        client = app.test_client(use_cookies=False)
        headers = {**SAME_ORIGIN, "Cookie": f"gongyu={secret.value}"}
        client.post(page.root + "/pick/basket", data=form, headers=headers, base_url=BASE)
        sent = client.get(page.root + "/pick/sent", headers=headers, base_url=BASE)
        assert sent.status_code == 200
        got = response(app, platform, Page(client, sent, page.root))
        return str(got.claims[f"{DL}content_items"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(press, forms))) == 1
    assert count(app, ContentItem) == 1


# -- who may answer, and where to --------------------------------------------------------------------------

INSTITUTION = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
NOBODY: dict[str, list[Any]] = {
    "no role": [],
    "learner": [MEMBERSHIP + "Learner"],
    "mentor": [MEMBERSHIP + "Mentor"],
    "learner here, teacher elsewhere": [MEMBERSHIP + "Learner", INSTITUTION + "Instructor"],
    "teacher of the institution only": [INSTITUTION + "Instructor"],
    "administrator of the institution only": [INSTITUTION + "Administrator"],
    "test user": [MEMBERSHIP + "Instructor", TEST_USER],
    "like a role": [MEMBERSHIP + "instructorX", "xInstructor", MEMBERSHIP + "Learner#Instructor"],
    "another vocabulary": ["https://evil.test/membership#Instructor", "urn:evil:Instructor"],
    "no text": [["Instructor"], {"role": MEMBERSHIP + "Instructor"}, None, 7],
}
DEEDS = [
    ("/pick/courses", {"course": "demo", "action": "add"}),
    ("/pick/basket", {"action": "send"}),
    ("/pick/cancel", {}),
]
SIGNED = ("/pick/sent", "/pick/sent?again=1")


@pytest.mark.parametrize("name", NOBODY)
def test_no_forged_or_borrowed_role_gets_a_signed_answer(
    lite_app: Flask, platform: FakePlatform, name: str
) -> None:
    platform.users["somebody"] = User("u-somebody", "某人", NOBODY[name])
    visit = Visitor(lite_app, platform)
    started = visit.launch("somebody", "/class-1", **asking())
    if name == "no text":
        assert started.status_code == 401
        return
    page = visit("somebody", "/class-1", **asking())
    if 'name="kind"' in page.html:
        page = page.post("/who", {"kind": "parent"})
    for path, form in DEEDS:
        answered = page.post(path, form)
        assert answered.status == 403, path
        assert "data-post-now" not in answered.html
    assert {page.get(path).status for path in SIGNED} == {403}
    assert count(lite_app, ContentItem) == 0


def test_a_teacher_without_an_identity_and_an_ordinary_launch_get_none(visit: Visitor) -> None:
    nameless = visit("teacher", "/class-1", **{**asking(), "sub": ...})
    ordinary = visit("teacher", "/class-1")
    for page in (nameless, ordinary):
        for path, form in DEEDS:
            assert page.post(path, form).status == 403
        assert {page.get(path).status for path in SIGNED} == {403}


def test_the_address_of_a_picker_is_of_no_use_in_another_browser(lite_app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo")
    stranger = Page(lite_app.test_client(), page.response, page.root)
    send(lite_app, page)
    assert {stranger.get(path).status for path in ("/pick", *SIGNED)} == {401}
    for path, form in DEEDS:
        assert stranger.post(path, form).status == 401
    assert (
        page.post("/pick/basket", {"action": "send"}, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    )


RETURNS = {
    "with an apostrophe": "https://lms.test/return?a='onfocus=alert(1)//",
    "with a tag": "https://lms.test/return?<script>alert(1)</script>",
    "with entities": "https://lms.test/return?a=&quot;&amp;b='c'",
    "with a fragment": "https://lms.test/return?a=1#there",
    "with a port": "https://lms.test:8443/return",
    "another host": "https://elsewhere.test/return",
    "Chinese": "https://学校.中国/return?课=1",
}


@pytest.mark.parametrize("name", RETURNS)
def test_the_answer_goes_where_the_signed_request_says_and_nowhere_else(visit: Visitor, name: str) -> None:
    page = send(visit.app, add(opened(visit, deep_link_return_url=RETURNS[name]), "demo"))
    got = response(visit.app, visit.platform, page)
    assert got.action == RETURNS[name]
    assert "<script>alert" not in page.html
    assert "'onfocus" not in page.html
    policy = page.response.headers["Content-Security-Policy"]
    (target,) = [part for part in policy.split("; ") if part.startswith("form-action")]
    assert len(target.split()) == 3, "ourselves, and one origin"
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript://lms.test/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://lms.test/x",
        "//lms.test/return",
        "/return",
        "https:///return",
        'https://lms.test/return?a="onfocus=alert(1) autofocus="',
        "https://lms.test\r\nX: y",
        "https://lms.test:99999/return",
        "https://[::1/return",
        "",
        None,
        7,
        ["https://lms.test/return"],
    ],
    ids=repr,
)
def test_an_address_that_is_none_gets_no_answer(visit: Visitor, url: Any) -> None:
    started = visit.launch("teacher", "/class-1", **asking(deep_link_return_url=url))
    assert started.status_code == 401, "refused before there is anything to send"
