"""Recorded columns, results and tokens, answered to our own client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests

from integrations.errors import PlatformRejected, PlatformUnavailable
from integrations.http import PlatformHttp
from integrations.lti.ags import SCOPE_LINE_ITEM, SCOPE_SCORE, AgsClient
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import platform_for
from integrations.terms import LineItem, Result
from tests.contract.captures import exchange, exchanges
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to, rsa_key

SITE = "http://127.0.0.1:8100"
TOKEN_URL = f"{SITE}/mod/lti/token.php"
COLUMNS = f"{SITE}/mod/lti/services.php/2/lineitems?type_id=1"
ACCESS = access_to(SITE, token_url=TOKEN_URL, token_audience=TOKEN_URL)
MOODLE = platform_for("moodle")
CREDIT_BANK = LineItem(
    "家长学分银行",
    Decimal(100),
    f"{SITE}/mod/lti/services.php/2/lineitems/3/lineitem?type_id=1",
    "2",
    "credit-bank",
    "credit",
)


def reply(one: Mapping[str, Any]) -> Reply:
    return Reply(one["status"], one["response_body"], one["response_headers"])


def column(number: int) -> str:
    return f"{SITE}/mod/lti/services.php/2/lineitems/{number}/lineitem?type_id=1"


class Moodle:
    """Answers what the lab answered, to the request that the lab was sent."""

    def __init__(self, *recorded: Mapping[str, Any]) -> None:
        self.recorded = {(one["method"], one["url"]): one for one in recorded}
        self.network = Network(self.answer)
        http = PlatformHttp(adapter=self.network)
        self.client = AgsClient(http, TokenSource(http, MemoryCache(), Clock()))

    def answer(self, request: requests.PreparedRequest) -> Reply:
        if request.url == TOKEN_URL:
            return reply(exchange("20-token-endpoint", "ok all scopes"))
        one = self.recorded[str(request.method), str(request.url)]
        for name in ("Accept", "Content-Type"):
            if one["request_headers"].get(name, "*/*") != "*/*":
                assert request.headers[name] == one["request_headers"][name]
        return reply(one)


def test_the_columns_of_a_course() -> None:
    moodle = Moodle(exchange("21-ags-lineitems", "GET lineitems"))
    items = moodle.client.line_items(ACCESS, COLUMNS)
    assert [item.url for item in items] == [column(2), column(3)]
    assert items[1] == CREDIT_BANK
    assert items[0].maximum == 20


@pytest.mark.parametrize(
    ("case", "filters", "columns"),
    [
        ("GET lineitems tag=credit", {"tag": "credit"}, [3]),
        ("GET lineitems resource_id", {"resource_id": "pc-001"}, [2]),
        ("GET lineitems resource_link_id=1", {"resource_link_id": "1"}, [2]),
    ],
)
def test_columns_are_found_by_filter(case: str, filters: dict[str, str], columns: list[int]) -> None:
    moodle = Moodle(exchange("21-ags-lineitems", case))
    items = moodle.client.line_items(ACCESS, COLUMNS, **filters)
    assert [item.url for item in items] == [column(number) for number in columns]


def test_pages_are_followed_through_curly_quotes_and_escaped_ampersands() -> None:
    first = exchange("21-ags-lineitems", "GET lineitems limit=2")
    second = exchange("21-ags-lineitems", "GET lineitems limit=2&from=2")
    last = {
        **second,
        "url": second["url"].replace("from=2", "from=4"),
        "response_body": [],
        "response_headers": {},
    }
    moodle = Moodle({**first, "url": COLUMNS}, second, last)
    items = moodle.client.line_items(ACCESS, COLUMNS)
    assert [item.url for item in items] == [column(number) for number in (2, 3, 4, 5)]
    assert moodle.network.urls[1:] == [COLUMNS, second["url"], last["url"]]


@pytest.mark.parametrize(
    ("case", "wanted", "number"),
    [
        (
            "POST create lineitem duplicate tag/resourceId",
            LineItem("家校陪伴学分", Decimal(50), resource_id="companion", tag="credit"),
            6,
        ),
        (
            "POST create lineitem bound to resourceLinkId 1",
            LineItem(
                "附加分",
                Decimal("10.5"),
                resource_link_id="1",
                resource_id="pc-001-bonus",
                tag="bonus",
            ),
            5,
        ),
    ],
)
def test_a_column_is_made_as_that_moodle_wants_it(case: str, wanted: LineItem, number: int) -> None:
    recorded = exchange("21-ags-lineitems", case)
    moodle = Moodle(recorded)
    made = moodle.client.create_line_item(ACCESS, COLUMNS, wanted)
    assert made.url == column(number)
    assert (made.label, made.maximum) == (wanted.label, wanted.maximum)
    assert json.loads(moodle.network.requests[-1].body or b"") == recorded["request_body"]


def test_a_column_for_somebody_elses_link_is_refused() -> None:
    moodle = Moodle(exchange("21-ags-lineitems", "POST create with resourceLinkId of nobody"))
    with pytest.raises(PlatformRejected) as refusal:
        moodle.client.create_line_item(ACCESS, COLUMNS, LineItem("x", Decimal(5), resource_link_id="999"))
    assert (refusal.value.code, refusal.value.status) == ("forbidden", 403)


def test_results_of_a_column() -> None:
    moodle = Moodle(exchange("24-ags-results", "GET results L1"))
    assert moodle.client.results(ACCESS, column(2)) == [
        Result("11", Decimal(10), Decimal(20)),
        Result("6", Decimal(12), Decimal(20)),
        Result("5", Decimal(14), Decimal(20)),
    ]


def test_the_result_of_one_person_with_its_comment() -> None:
    moodle = Moodle(
        exchange("24-ags-results", "GET results user_id"),
        exchange("24-ags-results", "GET results unknown user"),
        exchange("24-ags-results", "GET results standalone"),
    )
    assert moodle.client.results(ACCESS, column(2), "6") == [Result("6", Decimal(12), Decimal(20))]
    assert moodle.client.results(ACCESS, column(2), "99999") == []
    assert moodle.client.results(ACCESS, column(4)) == [Result("5", Decimal(33), Decimal(60), "陪伴")]


def test_a_teachers_grade_shows_in_the_results_although_ours_was_taken() -> None:
    ours = exchange("23-ags-scores-values", "after teacher override (19): tool posts 12/20")
    assert (ours["status"], ours["request_body"]["scoreGiven"]) == (200, 12)
    moodle = Moodle(exchange("23-ags-scores-values", "GET results after override"))
    (shown,) = moodle.client.results(ACCESS, column(2), "5")
    assert (shown.score, shown.comment) == (Decimal(19), "老师手工")


def test_zero_is_a_grade_and_a_cleared_one_is_none() -> None:
    moodle = Moodle(exchange("23-ags-scores-values", "GET results while score is 0"))
    assert moodle.client.results(ACCESS, column(2), "5") == [Result("5", Decimal(0), Decimal(20))]
    moodle = Moodle(exchange("23-ags-scores-values", "GET results after clear"))
    assert moodle.client.results(ACCESS, column(2), "5") == []


def test_a_refused_token_is_replaced_once() -> None:
    refused = exchange("20-token-endpoint", "AGS with bogus bearer")
    tokens = iter(
        [
            exchange("20-token-endpoint", "ok all scopes"),
            exchange("20-token-endpoint", "reuse same assertion (same jti)"),
        ]
    )
    calls: list[str] = []

    def answer(request: requests.PreparedRequest) -> Reply:
        if request.url == TOKEN_URL:
            return reply(next(tokens))
        calls.append(request.headers["Authorization"])
        first = len(calls) == 1
        return reply(refused if first else exchange("21-ags-lineitems", "GET lineitems"))

    http = PlatformHttp(adapter=Network(answer))
    client = AgsClient(http, TokenSource(http, MemoryCache(), Clock()))
    assert len(client.line_items(ACCESS, COLUMNS)) == 2
    assert calls == ["Bearer ec65e5748607f998ae3c64aa4b424766", "Bearer a4875cf4d18a8f40835437bbfbbdbd79"]


TOKEN_REFUSALS = {
    "unknown scope only": "scope-not-granted",
    "scope not granted to the tool (toolsetting)": "scope-not-granted",
    "empty scope": "invalid-request",
    "bad signature (other key, same kid)": "signature-refused",
    "right key, unknown kid": "key-unknown-to-platform",
    "right key, no kid header": "key-unknown-to-platform",
    "expired assertion": "clock-differs",
    "expired by 1 s (leeway?)": "clock-differs",
    "iat 120 s in the future": "clock-differs",
    "iat 3 s in the future": "clock-differs",
    "unknown client (sub)": "invalid-client",
    "wrong grant_type": "unsupported-grant",
    "wrong assertion type": "unsupported-grant",
    "garbage assertion": "invalid-request",
    "JSON body instead of form": "invalid-request",
    "GET": "invalid-request",
}


def token_source(one: Mapping[str, Any], cache: MemoryCache | None = None) -> tuple[TokenSource, Network]:
    network = Network(lambda request: reply(one))
    return TokenSource(PlatformHttp(adapter=network), cache or MemoryCache(), Clock()), network


def test_every_recorded_refusal_has_a_code() -> None:
    refused = {
        one["case"]
        for one in exchanges("20-token-endpoint")
        if one["status"] >= 400 and one["url"] == TOKEN_URL
    }
    assert refused == set(TOKEN_REFUSALS)


@pytest.mark.parametrize("case", TOKEN_REFUSALS)
def test_a_refused_token_request_is_named(case: str) -> None:
    source, _ = token_source(exchange("20-token-endpoint", case))
    with pytest.raises(PlatformRejected) as refusal:
        source.token(ACCESS, [SCOPE_SCORE])
    assert refusal.value.code == TOKEN_REFUSALS[case]
    assert refusal.value.status == 400


def test_a_moodle_that_may_not_fetch_our_keys_says_so_in_html() -> None:
    (blocked,) = exchanges("20b-token-jwks-blocked")
    source, _ = token_source(blocked)
    with pytest.raises(PlatformRejected) as refusal:
        source.token(ACCESS, [SCOPE_SCORE])
    assert (refusal.value.code, refusal.value.status) == ("token-endpoint-cannot-reach-us", 404)


def test_a_partial_grant_serves_only_what_it_holds() -> None:
    partial = exchange("20-token-endpoint", "one good + one unknown scope")
    source, _ = token_source(partial)
    assert source.token(ACCESS, [SCOPE_SCORE]) == "617d518e539dc769500acb7d1c875872"
    with pytest.raises(PlatformRejected) as refusal:
        source.token(ACCESS, [SCOPE_SCORE, SCOPE_LINE_ITEM])
    assert refusal.value.code == "scope-not-granted"


def test_the_token_request_has_the_form_that_moodle_took() -> None:
    taken = exchange("20-token-endpoint", "ok all scopes")
    source, network = token_source(taken)
    source.token(ACCESS, [SCOPE_SCORE])
    (sent,) = network.requests
    ours, theirs = (
        parse_qs(str(text), strict_parsing=True) for text in (sent.body.decode(), taken["request_body"])
    )  # type: ignore[union-attr]
    assert sent.headers["Content-Type"] == taken["request_headers"]["Content-Type"]
    assert set(ours) == set(theirs)
    assert {name: ours[name] for name in ("grant_type", "client_assertion_type")} == {
        name: theirs[name] for name in ("grant_type", "client_assertion_type")
    }
    (assertion,) = ours["client_assertion"]
    assert jwt.get_unverified_header(assertion)["kid"] == "tool-key"
    claims = jwt.decode(
        assertion,
        rsa_key("tool").public_key(),
        ["RS256"],
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
    )
    recorded = taken["assertion_claims"]
    assert {name: claims[name] for name in ("iss", "sub", "aud")} == {
        name: recorded[name] for name in ("iss", "sub", "aud")
    }
    # "iat 3 s in the future" was refused and a token late by a second as well, so ours starts in the past.
    assert claims["iat"] < Clock()() < claims["exp"]
    assert claims["jti"]


def test_a_change_of_a_column_sends_the_whole_object_as_that_moodle_took_it() -> None:
    recorded = exchange("21-ags-lineitems", "PUT standalone lineitem")
    before = {**recorded["request_body"], "label": "家校陪伴学分", "scoreMaximum": 50}
    there = {**exchange("21-ags-lineitems", "GET after PUT"), "response_body": before}
    moodle = Moodle(there, recorded)
    item = moodle.client.update_line_item(
        ACCESS, column(4), {"label": "家校陪伴学分(改)", "scoreMaximum": 60}, MOODLE
    )
    assert (item.label, item.maximum, item.tag) == ("家校陪伴学分(改)", 60, "credit")
    sent = moodle.network.requests[-1]
    assert json.loads(sent.body or b"") == recorded["request_body"]
    assert sent.headers["Content-Type"] == recorded["request_headers"]["Content-Type"]


def test_a_column_is_deleted_and_then_it_is_gone() -> None:
    moodle = Moodle(
        exchange("21-ags-lineitems", "DELETE bonus lineitem"), exchange("21-ags-lineitems", "GET deleted")
    )
    moodle.client.delete_line_item(ACCESS, column(5), MOODLE)
    with pytest.raises(PlatformRejected) as refusal:
        moodle.client.line_item(ACCESS, column(5), MOODLE)
    assert refusal.value.code == "not-found"


def test_results_are_streamed_from_the_address_that_has_no_limit() -> None:
    moodle = Moodle(exchange("24-ags-results", "GET results L1"))
    (results,) = moodle.client.stream_results(ACCESS, column(2), MOODLE)
    assert [(one.user_id, one.score, one.maximum) for one in results] == [
        ("11", 10, 20),
        ("6", 12, 20),
        ("5", 14, 20),
    ]


def test_a_limit_would_have_been_answered_by_an_error_page() -> None:
    refused = exchange("24-ags-results", "GET results limit=1 with type_id")
    moodle = Moodle({**refused, "url": exchange("24-ags-results", "GET results L1")["url"]})
    with pytest.raises(PlatformUnavailable) as failure:
        list(moodle.client.stream_results(ACCESS, column(2), MOODLE))
    assert failure.value.code == "platform-busy"
