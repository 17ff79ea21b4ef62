"""The sandbox LMS is strict enough to prove something: launches, tokens, memory and pages."""

from __future__ import annotations

import base64
import html
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.platforms import sandbox_fixtures
from tests.platforms.process import free_port
from tests.platforms.sandbox_fixtures import (
    AGS,
    CLAIM,
    ENDPOINT,
    SCOPES,
    SECONDS,
    Tool,
    a_score,
    form_of,
    line_item,
    new_key,
    running_sandbox,
)

pytest.importorskip("lti1p3platform")

tool_key = sandbox_fixtures.tool_key
key_set_url = sandbox_fixtures.key_set_url
sandbox_url = sandbox_fixtures.sandbox_url
tool = sandbox_fixtures.tool


# Launches


@pytest.mark.parametrize(
    ("person", "roles"),
    [
        ("wang-laoshi", ["membership#Instructor"]),
        ("li-zhujiao", ["membership/Instructor#TeachingAssistant", "membership#Instructor"]),
        ("chen-mama", ["membership#Learner"]),
        ("zhao-nainai", ["membership#Mentor"]),
        ("guanliyuan", ["institution/person#Administrator"]),
        ("ceshi", ["membership#Learner", "person#TestUser"]),
    ],
)
def test_launch_says_who_the_visitor_is(tool: Tool, person: str, roles: list[str]) -> None:
    claims = tool.launch(person, "g1-reading")
    assert claims["sub"] == person
    assert claims["nonce"] == "nonce-1"
    sent = claims[CLAIM + "roles"]
    assert len(sent) == len(roles)
    assert all(uri.endswith(role) for uri, role in zip(sent, roles, strict=True))
    assert claims.get(CLAIM + "role_scope_mentor") == (["chen-xiaoyu"] if person == "zhao-nainai" else None)


def test_launch_says_which_link_it_is(tool: Tool) -> None:
    claims = tool.launch("chen-mama", "g1-reading", lang="en")
    assert claims[CLAIM + "message_type"] == "LtiResourceLinkRequest"
    assert claims[CLAIM + "resource_link"]["id"] == "g1-reading"
    assert claims[CLAIM + "custom"] == {"gongyu_course": "shared-reading-15-minutes"}
    assert claims[CLAIM + "launch_presentation"]["locale"] == "en"
    assert claims[ENDPOINT]["lineitem"] == line_item(tool)
    assert "lineitem" not in tool.launch("chen-mama", "g1-ungraded")[ENDPOINT]
    assert tool.launch("chen-mama", "g1-new")[CLAIM + "custom"] == {}


def test_launch_without_name_and_without_sub(tool: Tool) -> None:
    nameless = tool.launch("wuming", "g1-reading")
    assert nameless["sub"] == "wuming"
    assert not {"name", "given_name", "family_name", "email"} & nameless.keys()
    visitor = tool.launch("fangke", "g1-reading")
    assert not {"sub", "name", "email"} & visitor.keys()


def test_review_launch_names_the_reviewed_person(tool: Tool) -> None:
    claims = tool.launch("wang-laoshi", "g1-reading", review="chen-mama")
    assert claims[CLAIM + "message_type"] == "LtiSubmissionReviewRequest"
    assert claims[CLAIM + "for_user"] == {"user_id": "chen-mama"}
    assert claims[ENDPOINT]["lineitem"] == line_item(tool)


def test_message_hint_works_once(tool: Tool) -> None:
    asked = tool.login("chen-mama", "g1-reading")
    assert "id_token" in form_of(tool.authenticate(asked)).fields
    again = tool.authenticate(asked)
    assert again.status_code == 400
    assert "id_token" not in again.text
    assert "重新打开" in again.text


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "http://127.0.0.1:1/lti/launch"},
        {"client_id": "somebody-else"},
        {"lti_message_hint": "made-up"},
        {"nonce": ""},
        {"state": ""},
    ],
)
def test_bad_authentication_request_gets_a_page(tool: Tool, changed: dict[str, str]) -> None:
    answer = tool.authenticate(tool.login("chen-mama", "g1-reading") | changed)
    assert answer.status_code == 400
    assert "<form" not in answer.text


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"login_hint": "wang-laoshi"}, "access_denied"), ({"prompt": "login"}, "invalid_request")],
)
def test_refused_login_is_told_to_the_tool(tool: Tool, changed: dict[str, str], code: str) -> None:
    form = form_of(tool.authenticate(tool.login("chen-mama", "g1-reading") | changed))
    assert form.action == f"{tool.url}/lti/launch"
    assert (form.fields["error"], form.fields["state"]) == (code, "state-1")
    assert "id_token" not in form.fields


# Tokens


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "http://localhost/elsewhere"},
        {"iss": "somebody-else"},
        {"sub": "somebody-else"},
        {"jti": None},
        {"exp": None},
        {"iat": 1_000_000_000},
        {"exp": 1_000_000_000},
    ],
)
def test_token_refuses_a_wrong_assertion(tool: Tool, changed: dict[str, Any]) -> None:
    answer = tool.ask_token(tool.sign(tool.claims(**changed)))
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client"


def test_token_refuses_forged_assertions(tool: Tool) -> None:
    unsigned = jwt.encode(tool.claims(), None, "none", {"kid": "tool-1"})
    foreign = tool.sign(tool.claims(), new_key())
    unknown = tool.sign(tool.claims(), kid="tool-2")
    not_objects = ".".join(base64.urlsafe_b64encode(part).decode() for part in (b"[]", b"[]", b"x"))
    for assertion in (unsigned, foreign, unknown, not_objects, "garbage"):
        assert tool.ask_token(assertion).status_code == 400, assertion


def test_assertion_works_once(tool: Tool) -> None:
    assertion = tool.sign(tool.claims())
    assert tool.ask_token(assertion).status_code == 200
    assert tool.ask_token(assertion).status_code == 400


def test_token_grants_known_scopes_only(tool: Tool) -> None:
    granted = tool.ask_token(tool.sign(tool.claims()), f"{AGS}score https://example.org/everything").json()
    assert granted["scope"] == f"{AGS}score"
    nothing = tool.ask_token(tool.sign(tool.claims()), "https://example.org/everything")
    assert nothing.json()["error"] == "invalid_scope"


def test_services_refuse_forged_and_wrong_tokens(tool: Tool) -> None:
    item = line_item(tool)
    now = int(time.time())
    pretended = {"sub": "gongyu-sandbox", "iss": tool.lms, "scopes": SCOPES, "iat": now, "exp": now + 60}
    id_token = form_of(tool.authenticate(tool.login("chen-mama", "g1-reading"))).fields["id_token"]
    tokens = [
        "garbage",
        tool.sign(pretended),
        jwt.encode(pretended, None, "none"),
        id_token,
        tool.token(f"{AGS}result.readonly"),
    ]
    for token in tokens:
        assert tool.score(item, token).status_code == 401, token
    bare = tool.session.post(f"{item}/scores", json=a_score(), timeout=SECONDS)
    assert bare.status_code == 415
    state = tool.state()
    assert state["gradebook"] == []
    assert [post["status"] for post in state["posts"]] == [401] * len(tokens) + [415]


# Memory and pages


def test_a_restart_remembers_key_grades_and_ledger(
    tmp_path: Path, key_set_url: str, tool_key: rsa.RSAPrivateKey
) -> None:
    port = free_port()
    with requests.Session() as session:
        tool = Tool(key_set_url, f"http://localhost:{port}", tool_key, session)
        with running_sandbox(tmp_path, port, key_set_url):
            tool.score(line_item(tool), tool.token())
            id_token = form_of(tool.authenticate(tool.login("chen-mama", "g1-reading"))).fields["id_token"]
            before = tool.state()
        with running_sandbox(tmp_path, port, key_set_url):
            assert tool.state() == before
            assert tool.read(id_token)["sub"] == "chen-mama"
    assert before["gradebook"][0]["score_given"] == 85


PAGES = [
    "/",
    "/courses/grade-1",
    "/courses/grade-7/gradebook",
    "/courses/grade-1/roster",
    "/courses/grade-1/review/g1-reading/chen-mama",
    "/log",
    "/switches",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_speak_both_languages_and_keep_the_person(tool: Tool, path: str) -> None:
    for language, word in (("zh", "仅供开发使用"), ("en", "For development only")):
        page = tool.get(path, **{"as": "wang-laoshi", "lang": language})
        assert page.status_code == 200
        assert word in page.text
        inner = [html.unescape(link) for link in re.findall(r'href="(/[^"]*)"', page.text)]
        ours = [link for link in inner if not link.startswith("/static/")]
        assert len(ours) > 4
        assert all("as=" in urlsplit(link).query for link in ours)
        logs = [link for link in ours if urlsplit(link).path == "/log"]
        assert logs
        assert all("as=wang-laoshi" in urlsplit(link).query for link in logs)


def test_chosen_person_stays_in_the_browser(tool: Tool) -> None:
    tool.session.post(f"{tool.lms}/who", data={"person": "liu-baba"}, timeout=SECONDS).raise_for_status()
    assert form_of(tool.get("/launch/g1-reading")).fields["login_hint"] == "liu-baba"
    assert form_of(tool.get("/launch/g1-reading", **{"as": "chen-mama"})).fields["login_hint"] == "chen-mama"


def test_log_shows_exchanges_without_tokens_and_hints(tool: Tool) -> None:
    asked = tool.login("chen-mama", "g1-reading")
    tool.authenticate(asked)
    token = tool.token()
    tool.score(line_item(tool), token)
    page = tool.get("/log").text
    for path in ("/launch/g1-reading", "/lti/auth", "/lti/token", "/g1-reading/scores"):
        assert path in page
    assert token not in page
    assert asked["lti_message_hint"] not in page
