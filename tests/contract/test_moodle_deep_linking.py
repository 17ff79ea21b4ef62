"""Our answer to Moodle's recorded request for content, held against what it did with the recorded answers.

The probe sent Moodle good and bad items (02, 27-*); what became of each is in the captures. Whatever it
refused or mangled there must not be in an answer of ours, even where we are asked for it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.lti.claims import parse_launch
from integrations.lti.deep_linking import Answerer, response_jwt
from integrations.platforms.registry import platform_for
from integrations.terms import ContentColumn, ContentHint, ContentItem, DeepLinkingSettings, Period
from tests.contract.captures import FOLDER, capture, exchanges, launch_claims

MOODLE = platform_for("moodle")
DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANSWERER = Answerer("http://127.0.0.1:8100", "TeDKigL2RtgDhoE", "1", "k1", KEY)
CAPTURES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem.startswith(("02-", "27-")))
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def asked(name: str = "02-deep-linking-two-items") -> DeepLinkingSettings:
    said = parse_launch(launch_claims(name), platform=MOODLE).deep_linking
    assert said is not None
    return said


def sent(name: str) -> dict[str, Any]:
    """What the probe answered in a capture."""
    (claims,) = [one["jwt_payload"] for one in exchanges(name) if "jwt_payload" in one]
    return dict(claims)


def our_answer(*items: ContentItem) -> dict[str, Any]:
    token = response_jwt(ANSWERER, asked(), items, platform=MOODLE, collection="家长微课", message="好")
    return jwt.decode(token, KEY.public_key(), ["RS256"], audience=ANSWERER.issuer)


def link(**changes: Any) -> ContentItem:
    whole: dict[str, Any] = {
        "url": "http://127.0.0.1:8200/launch",
        "title": "亲子沟通微课",
        "text": "第一课",
        "custom": {"gongyu_item": "0" * 32, "gongyu_course": "talk"},
        "column": ContentColumn(Decimal(20), "亲子沟通微课", resource_id="talk", tag="result"),
    }
    return ContentItem(**{**whole, **changes})


@pytest.mark.parametrize("name", CAPTURES)
def test_every_recorded_request_is_understood(name: str) -> None:
    said = asked(name)
    assert said.return_url.startswith(
        "http://127.0.0.1:8100/mod/lti/contentitem_return.php?course=2&id=1&sesskey="
    )
    assert said.data is None
    rules = MOODLE.content_rules(said)
    assert (rules.links, rules.multiple, rules.columns) == (True, True, True)
    assert ContentHint.CONFIRM_THERE in rules.hints, "an answer only fills in a form"


def test_the_highest_maximum_is_the_one_that_moodle_names_when_it_refuses() -> None:
    (error,) = capture("27-dl-single-200")["moodle_ui"]["errors"]
    limits = [int(number) for number in re.findall(r"\d+", error)]
    assert [1, MOODLE.content_rules(asked()).most_points] == limits


def test_an_answer_has_all_that_the_accepted_one_had() -> None:
    accepted = sent("02-deep-linking-two-items")
    ours = our_answer(link(), link())
    # `data` goes back only when it came: this request had none, and the probe's null is no value.
    assert accepted.keys() - {f"{DL}data"} <= ours.keys()
    for name in ("iss", f"{DL.replace('-dl', '')}deployment_id"):
        assert ours[name] == accepted[name]
    assert ours["aud"] in accepted["aud"]
    item = ours[f"{DL}content_items"][0]
    assert item.keys() <= accepted[f"{DL}content_items"][0].keys()
    assert item["lineItem"].keys() <= accepted[f"{DL}content_items"][0]["lineItem"].keys()


def test_what_moodle_ignores_or_stumbles_over_is_left_out() -> None:
    """02: dates and windows are dropped; 27-dl-single-custom-odd: a line break begins a stray line, a key with
    capitals arrives twice; 27-dl-long-title: more than 255 characters are refused; 27-dl-single-no-lineitem:
    no column without a `lineItem`."""
    odd = link(
        title="长" * 300,
        custom={"Key-With.Caps": "l1\nl2\r\n l3"},
        column=None,
        available=Period(NOON, NOON),
        submission=Period(end=NOON),
        new_window=True,
    )
    (item,) = our_answer(odd)[f"{DL}content_items"]
    assert item == {
        "type": "ltiResourceLink",
        "url": "http://127.0.0.1:8200/launch",
        "title": "长" * 255,
        "text": "第一课",
        "custom": {"key_with_caps": "l1 l2 l3"},
    }


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.text(min_size=1), st.text(), max_size=4),
    st.text(max_size=400),
    st.decimals(min_value="0.01", max_value=5000, places=2),
)
def test_no_item_can_break_moodles_form(custom: dict[str, str], title: str, maximum: Decimal) -> None:
    item = MOODLE.content_item(link(custom=custom, title=title, column=ContentColumn(maximum, title)))
    assert item.column is not None
    assert item.column.maximum == int(item.column.maximum)
    assert 1 <= item.column.maximum <= 100
    assert len(item.title) <= 255
    assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in item.custom)
    assert all(len(value.splitlines()) <= 1 for value in item.custom.values())
