"""The sandbox LMS is strict about tools that register themselves and about what their pickers answer."""

from __future__ import annotations

import re
import time
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests

from tests.platforms import sandbox_fixtures
from tests.platforms.sandbox_fixtures import CLAIM, SECONDS, Tool, form_of, new_key

pytest.importorskip("lti1p3platform")

tool_key = sandbox_fixtures.tool_key
key_set_url = sandbox_fixtures.key_set_url
sandbox_url = sandbox_fixtures.sandbox_url
tool = sandbox_fixtures.tool

DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/"
CONFIGURATION = "https://purl.imsglobal.org/spec/lti-tool-configuration"
ITEM = {
    "type": "ltiResourceLink",
    "title": "共读十五分钟",
    "text": "睡前的一刻钟。",
    "custom": {"gongyu_item": "i-1"},
    "lineItem": {"scoreMaximum": 50, "resourceId": "i-1", "tag": "result"},
}


def asked(tool: Tool, course: str = "grade-1") -> dict[str, Any]:
    """The claims of a deep linking request to the teacher of the course."""
    form = form_of(tool.get(f"/launch/content/{course}", **{"as": "wang-laoshi"}))
    query = {**tool.login("wang-laoshi", "g1-reading"), "lti_message_hint": form.fields["lti_message_hint"]}
    return tool.read(form_of(tool.authenticate(query)).fields["id_token"])


def answer(
    tool: Tool, claims: dict[str, Any], items: list[Any], key: Any = None, **changed: Any
) -> requests.Response:
    settings = claims[DEEP_LINKING + "deep_linking_settings"]
    now = int(time.time())
    said = {
        "iss": "gongyu-sandbox",
        "aud": tool.lms,
        "iat": now,
        "exp": now + 300,
        "nonce": "n-1",
        CLAIM + "message_type": "LtiDeepLinkingResponse",
        CLAIM + "version": "1.3.0",
        CLAIM + "deployment_id": "1",
        DEEP_LINKING + "data": settings["data"],
        DEEP_LINKING + "content_items": items,
    }
    said = {name: value for name, value in (said | changed).items() if value is not None}
    token = jwt.encode(said, key or tool.key, "RS256", {"kid": "tool-1"})
    return tool.session.post(settings["deep_link_return_url"], data={"JWT": token}, timeout=SECONDS)


def test_picked_items_become_links_with_columns(tool: Tool) -> None:
    claims = asked(tool)
    assert claims[CLAIM + "message_type"] == "LtiDeepLinkingRequest"
    assert CLAIM + "resource_link" not in claims
    done = answer(tool, claims, [ITEM, {**ITEM, "title": "不计成绩", "lineItem": None}])
    assert done.status_code == 200, done.text
    first, second = tool.state()["links"][-2:]
    assert (first["title"], first["maximum"], first["custom"]) == ("共读十五分钟", 50, {"gongyu_item": "i-1"})
    assert first["line_item"] is not None
    assert second["line_item"] is None
    launched = tool.launch("chen-mama", first["id"])
    assert launched[CLAIM + "custom"] == {"gongyu_item": "i-1"}
    assert answer(tool, claims, [ITEM]).status_code == 400, "an answer works once"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "somebody-else"},
        {"aud": "https://elsewhere.test"},
        {"nonce": None},
        {"iat": 1, "exp": 2},
        {CLAIM + "deployment_id": "2"},
        {CLAIM + "message_type": "LtiResourceLinkRequest"},
        {DEEP_LINKING + "data": "made-up"},
        {DEEP_LINKING + "content_items": [ITEM, {**ITEM, "lineItem": {"scoreMaximum": 0}}]},
        {DEEP_LINKING + "content_items": [{**ITEM, "custom": {"nested": {}}}]},
        {DEEP_LINKING + "content_items": [{**ITEM, "url": "https://elsewhere.test/launch"}]},
    ],
)
def test_a_bad_answer_adds_nothing(tool: Tool, changed: dict[str, Any]) -> None:
    before = len(tool.state()["links"])
    assert answer(tool, asked(tool), [ITEM], **changed).status_code == 400
    assert len(tool.state()["links"]) == before


def test_an_answer_that_somebody_else_signed_adds_nothing(tool: Tool) -> None:
    assert answer(tool, asked(tool), [ITEM], new_key()).status_code == 400


def test_only_staff_may_pick(tool: Tool) -> None:
    assert (
        tool.session.get(f"{tool.lms}/launch/content/grade-1?as=chen-mama", timeout=SECONDS).status_code
        == 404
    )


def registration(tool: Tool, **changed: Any) -> dict[str, Any]:
    said = {
        "application_type": "web",
        "response_types": ["id_token"],
        "grant_types": ["implicit", "client_credentials"],
        "initiate_login_uri": f"{tool.url}/lti/login",
        "redirect_uris": [f"{tool.url}/lti/launch"],
        "client_name": "共育",
        "jwks_uri": f"{tool.url}/lti/jwks.json",
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "https://purl.imsglobal.org/spec/lti-ags/scope/score",
        CONFIGURATION: {
            "domain": urlsplit(tool.url).netloc,
            "target_link_uri": f"{tool.url}/lti/launch",
            "claims": ["iss", "sub"],
            "messages": [{"type": "LtiResourceLinkRequest"}],
        },
    }
    return said | changed


def registration_token(tool: Tool) -> str:
    page = tool.get("/tools", **{"as": "guanliyuan", "add": f"{tool.url}/lti/register"}).text
    found = re.search(r'data-launch="([^"]+)"', page)
    assert found
    query = parse_qs(urlsplit(unescape(found[1])).query)
    assert query["openid_configuration"] == [f"{tool.lms}/.well-known/openid-configuration"]
    return query["registration_token"][0]


def register(tool: Tool, body: Any, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return tool.session.post(f"{tool.lms}/lti/register", json=body, headers=headers, timeout=SECONDS)


def test_a_tool_registers_itself_and_is_switched_on(tool: Tool) -> None:
    token = registration_token(tool)
    answered = register(tool, registration(tool), token).json()
    client_id = answered["client_id"]
    assert answered[CONFIGURATION]["deployment_id"] == "1"
    assert tool.state()["client_id"] == "gongyu-sandbox", "not before the administrator says so"
    assert register(tool, registration(tool), token).status_code == 401, "a token works once"
    switch = f"{tool.lms}/tools/{client_id}"
    assert (
        tool.session.post(f"{switch}?as=chen-mama", data={"active": "1"}, timeout=SECONDS).status_code == 403
    )
    tool.session.post(f"{switch}?as=guanliyuan", data={"active": "1"}, timeout=SECONDS).raise_for_status()
    assert tool.state()["client_id"] == client_id
    launch = form_of(tool.authenticate(tool.login("chen-mama", "g1-reading")))
    claims = jwt.decode(launch.fields["id_token"], options={"verify_signature": False})
    assert claims["aud"] == client_id
    assert "name" not in claims, "the tool did not ask for names"


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uris": []},
        {"jwks_uri": "javascript:alert(1)"},
        {"response_types": ["code"]},
        {"client_name": ""},
        {CONFIGURATION: {"domain": "elsewhere.test", "target_link_uri": "https://tool.test/lti/launch"}},
    ],
)
def test_a_bad_registration_is_refused(tool: Tool, changed: dict[str, Any]) -> None:
    answered = register(tool, registration(tool, **changed), registration_token(tool))
    assert answered.status_code == 400
    assert len(tool.state()["tools"]) == 1


def test_no_registration_without_a_token(tool: Tool) -> None:
    assert register(tool, registration(tool), "made-up").status_code == 401
