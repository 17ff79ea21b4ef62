"""Dynamic registration against what a Moodle 4.5 sent, took and answered (capture 01)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from integrations.errors import PlatformRejected
from integrations.http import AddressPolicy, PlatformHttp
from integrations.lti.registration import (
    TOOL_MEMBER,
    fetch_configuration,
    platform_of,
    register_tool,
    registration_request,
)
from integrations.terms import RegistrationWishes, ToolDescription
from tests.contract.captures import exchanges
from tests.fake_platform import _response

CAPTURE = "01-dynamic-registration"
BEGUN, READ, SENT = exchanges(CAPTURE)[:3]
TOKEN = BEGUN["query"]["registration_token"]
CONFIGURATION_URL = BEGUN["query"]["openid_configuration"]
INTRANET = AddressPolicy(allow_http=True, allow_private_network=True)
TOOL = ToolDescription(
    name="共育 Gongyu",
    label="共育家长课程",
    picker_label="选择共育课程",
    description="家校社协同育人",
    home_url="https://www.tool.test:8443",
    login_url="https://www.tool.test:8443/lti/login",
    launch_url="https://www.tool.test:8443/lti/launch",
    jwks_url="https://www.tool.test:8443/lti/jwks.json",
    logo_url="https://www.tool.test:8443/lti/icon.svg",
)


class Recorded(BaseAdapter):
    """Answers as the Moodle of the capture did; it knows its token."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []

    def send(self, request: PreparedRequest, **_: Any) -> Response:  # type: ignore[override]
        exchange = next(one for one in (READ, SENT) if one["url"] == request.url)
        assert request.method == exchange["method"]
        if request.method == "POST":
            if request.headers["Authorization"] != f"Bearer {TOKEN}":
                return _response(request, 401, b"token_already_used")
            self.bodies.append(json.loads(request.body or b""))
        return _response(request, exchange["status"], exchange["response_body"])

    def close(self) -> None:
        return None


@pytest.fixture
def moodle() -> Recorded:
    return Recorded()


def registered(moodle: Recorded, wishes: RegistrationWishes, token: str = TOKEN) -> Any:
    http = PlatformHttp(adapter=moodle)
    configuration = fetch_configuration(http, CONFIGURATION_URL, token, INTRANET)
    request = registration_request(TOOL, configuration, wishes)
    return register_tool(http, configuration, token, request, INTRANET)


def test_its_configuration_is_understood(moodle: Recorded) -> None:
    found = fetch_configuration(PlatformHttp(adapter=moodle), CONFIGURATION_URL, TOKEN, INTRANET)
    assert found.issuer == "http://127.0.0.1:8100"
    assert found.auth_url.endswith("/mod/lti/auth.php")
    assert found.token_url.endswith("/mod/lti/token.php")
    assert found.jwks_url.endswith("/mod/lti/certs.php")
    assert platform_of(found).kind == "moodle"
    assert found.version == "4.5.5+ (Build: 20250613)"
    assert found.messages["LtiDeepLinkingRequest"] == {"ContentArea"}


def test_its_answer_gives_the_client_id_and_the_deployment(moodle: Recorded) -> None:
    made = registered(moodle, RegistrationWishes(with_names=True))
    assert (made.client_id, made.deployment_id) == ("TeDKigL2RtgDhoE", "1")


def test_our_request_has_what_it_demands(moodle: Recorded) -> None:
    """registration_helper.php: what is required, and with which values."""
    registered(moodle, RegistrationWishes(with_names=True))
    (body,) = moodle.bodies
    for name in ("initiate_login_uri", "redirect_uris", "client_name", "jwks_uri"):
        assert body[name]
    assert "id_token" in body["response_types"]
    assert body["token_endpoint_auth_method"] == "private_key_jwt"
    assert body["application_type"] == "web"
    tool = body[TOOL_MEMBER]
    # lti_get_domain_from_url: the port counts, "www." does not.
    assert tool["domain"] == "tool.test:8443"
    assert tool["target_link_uri"] in body["redirect_uris"]
    picker = next(one for one in tool["messages"] if one["type"] == "LtiDeepLinkingRequest")
    assert picker["target_link_uri"] == TOOL.launch_url
    assert picker["placements"] == ["ContentArea"]
    # It has neither of these messages, and no notices.
    assert [one["type"] for one in tool["messages"]] == ["LtiResourceLinkRequest", "LtiDeepLinkingRequest"]
    assert set(body["scope"].split()) <= set(READ["response_body"]["scopes_supported"])
    assert len(body["scope"].split()) == 5
    # A custom parameter is a line "key=value"; other characters in a key make it arrive twice.
    for key, value in tool["custom_parameters"].items():
        assert key.replace("_", "").isalnum()
        assert key == key.lower()
        assert not set(value) & set("=\n")


def test_without_names_it_is_asked_for_no_claim_that_switches_them_on(moodle: Recorded) -> None:
    registered(moodle, RegistrationWishes(with_names=False))
    claims = moodle.bodies[0][TOOL_MEMBER]["claims"]
    assert not {"name", "given_name", "family_name", "email", "middle_name"} & set(claims)
    assert "sub" in claims


def test_a_used_token_is_told_in_its_words(moodle: Recorded) -> None:
    with pytest.raises(PlatformRejected) as refusal:
        registered(moodle, RegistrationWishes(with_names=True), token="used")
    assert refusal.value.code == "registration-token-refused"
    assert str(refusal.value) == "token_already_used"
