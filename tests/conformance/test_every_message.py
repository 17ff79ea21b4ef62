"""What makes a launch bad makes every message bad: the attacks of test_bad_launches on each message type."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.browsing import Visitor
from tests.conformance import test_bad_launches
from tests.conformance.messages import DEEP_LINKING, TYPES, WHO, message
from tests.conformance.test_bad_launches import BAD, refused
from tests.fake_platform import LTI, FakePlatform

setting = test_bad_launches.setting

# These speak of the link launch itself.
OF_LINKS = {
    "no resource link",
    "resource link as a list",
    "resource link without id",
    "deep linking without settings",
    "unknown message type",
}
SETTINGS = {
    "deep_link_return_url": "https://lms.test/content-return",
    "accept_types": ["ltiResourceLink"],
    "accept_presentation_document_targets": ["iframe"],
}


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "resource link"])
@pytest.mark.parametrize("name", [name for name in BAD if name not in OF_LINKS])
def test_a_bad_message_is_refused(setting: tuple[Flask, FakePlatform], kind: str, name: str) -> None:
    app, platform = setting
    make, code = BAD[name]
    visitor, client = Visitor(app, platform), app.test_client()
    state, nonce = visitor.begin(client, WHO[kind])
    refused(app, visitor.finish(client, state, make(platform, message(platform, kind, nonce))), code)


@pytest.mark.parametrize("kind", TYPES)
def test_a_message_works_once(setting: tuple[Flask, FakePlatform], kind: str) -> None:
    """Played back to its own state, it is used; with a new login of the same browser, its nonce is another's."""
    app, platform = setting
    visitor, client = Visitor(app, platform), app.test_client()
    state, nonce = visitor.begin(client, WHO[kind])
    spent = platform.sign(message(platform, kind, nonce, **{LTI + "deployment_id": "unknown"}))
    refused(app, visitor.finish(client, state, spent))
    token = platform.sign(message(platform, kind, nonce))
    refused(app, visitor.finish(client, state, token), "USED")
    again, _ = visitor.begin(client, WHO[kind])
    refused(app, visitor.finish(client, again, token), "WRONG-NONCE")


@pytest.mark.parametrize("kind", TYPES)
def test_a_message_belongs_to_the_browser_that_began(setting: tuple[Flask, FakePlatform], kind: str) -> None:
    app, platform = setting
    visitor, attacker, victim = Visitor(app, platform), app.test_client(), app.test_client()
    state, nonce = visitor.begin(attacker, WHO[kind])
    token = platform.sign(message(platform, kind, nonce))
    refused(app, visitor.finish(victim, state, token), "OTHER-BROWSER")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("deep linking", {DEEP_LINKING: []}),
        ("deep linking", {DEEP_LINKING: {**SETTINGS, "deep_link_return_url": ""}}),
        ("deep linking", {DEEP_LINKING: {**SETTINGS, "deep_link_return_url": "javascript:alert(1)"}}),
        ("deep linking", {DEEP_LINKING: {**SETTINGS, "accept_types": "ltiResourceLink"}}),
        ("deep linking", {DEEP_LINKING: {**SETTINGS, "data": "x" * 40_000}}),
        ("deep linking", {DEEP_LINKING: {**SETTINGS, "data": {"as": "an object"}}}),
        ("submission review", {LTI + "for_user": ...}),
        ("submission review", {LTI + "for_user": {}}),
        ("submission review", {LTI + "for_user": ["u-parent"]}),
    ],
)
def test_a_message_needs_what_its_type_is_about(
    setting: tuple[Flask, FakePlatform], kind: str, changes: dict[str, Any]
) -> None:
    app, platform = setting
    visitor, client = Visitor(app, platform), app.test_client()
    state, nonce = visitor.begin(client, WHO[kind])
    refused(app, visitor.finish(client, state, platform.sign(message(platform, kind, nonce, **changes))))
