"""What each LMS takes as an answer to its request for content, and the signed answer itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.lti.deep_linking import Answerer, item_json, response_jwt
from integrations.platforms.registry import KINDS, platform_for
from integrations.terms import ContentColumn, ContentHint, ContentItem, DeepLinkingSettings, Period

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANSWERER = Answerer("https://lms.example", "client-7", "dep-1", "k1", KEY)
MODULE_NAME = "https://canvas.instructure.com/lti/module_name"


def said(**changes: Any) -> DeepLinkingSettings:
    whole: dict[str, Any] = {
        "return_url": "https://lms.example/return",
        "accept_types": frozenset({"ltiResourceLink"}),
        "accept_multiple": True,
    }
    return DeepLinkingSettings(**{**whole, **changes})


def claims_of(kind: str = "generic", *items: ContentItem, **more: Any) -> dict[str, Any]:
    request = more.pop("request", said())
    token = response_jwt(ANSWERER, request, items, platform=platform_for(kind), **more)
    assert jwt.get_unverified_header(token)["kid"] == "k1"
    return jwt.decode(token, KEY.public_key(), ["RS256"], audience="https://lms.example")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_platform_does_not_take_is_not_offered(kind: str) -> None:
    rules = platform_for(kind).content_rules
    assert not rules(said(accept_types=frozenset({"file", "html"}))).links
    assert not rules(said(accept_multiple=False)).multiple
    assert not rules(said(accept_multiple=None)).multiple, "silence means one"
    assert not rules(said(accept_line_item=False)).columns
    assert rules(said(accept_line_item=None)).columns, "silence says nothing about columns"


CANVAS_PLACEMENTS = [
    # placement, several items, columns, hints
    ("assignment_selection", False, True, {"confirm-there", "renames"}),
    ("course_assignments_menu", True, True, {"publish-there"}),
    ("module_index_menu_modal", True, True, {"publish-there", "new-module"}),
    ("module_menu_modal", True, True, {"publish-there"}),
    ("link_selection", True, False, {"publish-there", "no-column-here", "dates-stay-here"}),
    ("editor_button", True, False, {"publish-there", "no-column-here", "dates-stay-here"}),
    ("submission_type_selection", False, False, {"publish-there", "no-column-here", "dates-stay-here"}),
    (None, True, True, {"publish-there"}),
]


@pytest.mark.parametrize(("placement", "multiple", "columns", "hints"), CANVAS_PLACEMENTS)
def test_canvas_decides_by_placement(
    placement: str | None, multiple: bool, columns: bool, hints: set[str]
) -> None:
    rules = platform_for("canvas").content_rules(said(placement=placement))
    assert (rules.multiple, rules.columns) == (multiple, columns)
    assert rules.hints == {ContentHint(hint) for hint in hints}
    assert not platform_for("canvas").content_rules(said(placement=placement, accept_multiple=False)).multiple


def test_canvas_gets_one_answer_and_a_name_for_the_module() -> None:
    canvas = platform_for("canvas")
    assert not canvas.answer_is_repeatable
    item = ContentItem("https://tool.example/lti/launch", "共读")
    assert claims_of("canvas", item, collection="家长微课")[MODULE_NAME] == "家长微课"
    assert MODULE_NAME not in claims_of("canvas", collection="家长微课"), "nothing chosen: no module"
    assert MODULE_NAME not in claims_of("generic", item, collection="家长微课")


def test_open_edx_takes_one_item_and_forgets_it_at_an_empty_answer() -> None:
    edx = platform_for("open-edx")
    rules = edx.content_rules(said())
    assert not rules.multiple
    assert rules.hints >= {ContentHint.REPLACES, ContentHint.POINTS_SET_THERE}
    assert not edx.takes_empty_answer
    assert all(platform_for(kind).takes_empty_answer for kind in KINDS if kind != "open-edx")


def test_an_item_says_only_what_there_is_to_say() -> None:
    plain = ContentItem("https://tool.example/lti/launch", "共读")
    assert item_json(plain) == {
        "type": "ltiResourceLink",
        "url": "https://tool.example/lti/launch",
        "title": "共读",
    }
    noon = datetime(2026, 12, 1, 20, tzinfo=timezone(timedelta(hours=8)))
    whole = ContentItem(
        "https://tool.example/lti/launch",
        "共读",
        text="十五分钟",
        custom={"a": "1"},
        column=ContentColumn(Decimal("20.00"), "共读", "c", "t", grades_released=False),
        available=Period(noon, None),
        submission=Period(None, noon),
        new_window=True,
    )
    assert item_json(whole) == {
        **item_json(plain),
        "text": "十五分钟",
        "custom": {"a": "1"},
        "lineItem": {
            "scoreMaximum": 20,
            "label": "共读",
            "resourceId": "c",
            "tag": "t",
            "gradesReleased": False,
        },
        "available": {"startDateTime": "2026-12-01T12:00:00.000+00:00"},
        "submission": {"endDateTime": "2026-12-01T12:00:00.000+00:00"},
        "window": {"targetName": "_blank"},
    }


def test_an_answer_is_short_lived_unique_and_not_from_the_future() -> None:
    one, two = claims_of(), claims_of()
    assert one["nonce"] != two["nonce"]
    assert one["iat"] < time.time()
    assert timedelta(0) < timedelta(seconds=one["exp"] - time.time()) <= timedelta(minutes=5)
    assert datetime.fromtimestamp(one["iat"], UTC) < datetime.now(UTC)


@pytest.mark.parametrize("data", ["", " keep\n<this> ", "数据"])
def test_data_comes_back_as_it_came(data: str) -> None:
    assert claims_of(request=said(data=data))[f"{DL}data"] == data


def test_messages_are_sent_where_there_are_any() -> None:
    silent = claims_of()
    assert not [name for name in silent if name.startswith(DL) and name != f"{DL}content_items"]
    told = claims_of(message="好", log="l", error_message="坏")
    assert (told[f"{DL}msg"], told[f"{DL}log"], told[f"{DL}errormsg"]) == ("好", "l", "坏")
