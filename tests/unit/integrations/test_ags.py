"""The gradebook client against platforms that are not Moodle, or not well."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests

from integrations.errors import PlatformError, PlatformRejected, PlatformUnavailable
from integrations.http import PlatformHttp
from integrations.lti.ags import (
    SCOPE_LINE_ITEM,
    SCOPE_LINE_ITEM_READ,
    AgsClient,
    results_url,
    scores_url,
    with_query,
)
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import platform_for
from integrations.terms import LineItem, Outcome, ServiceAccess
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to

SITE = "https://lms.example"
ITEMS = f"{SITE}/Courses/_4_1/lineItems"
ACCESS = access_to(SITE)


class Lms:
    """A platform whose token endpoint grants what `granted` says (None: whatever is asked)."""

    def __init__(
        self, answer: Callable[[requests.PreparedRequest], Reply], granted: str | None = None
    ) -> None:
        self.tokens = 0
        self.granted = granted
        self.service = answer
        self.network = Network(self.answer)
        http = PlatformHttp(adapter=self.network)
        self.client = AgsClient(http, TokenSource(http, MemoryCache(), Clock()))

    def answer(self, request: requests.PreparedRequest) -> Reply:
        if request.url == ACCESS.token_url:
            self.tokens += 1
            return Reply(200, {"access_token": f"t{self.tokens}", "expires_in": 3600, "scope": self.granted})
        return self.service(request)

    @property
    def calls(self) -> list[str]:
        return [url for url in self.network.urls if url != ACCESS.token_url]


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"{ITEMS}/{number}", "label": f"Column {number}", "scoreMaximum": 10, **fields}


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(PlatformError) as failure:
        call()
    return failure.value.code


def test_pages_keep_their_letter_case() -> None:
    cursor = f"{ITEMS}?page=bookmark:WyJBYkNkRWYiXQ"
    pages = {
        ITEMS: Reply(200, [entry(1)], {"Link": f'<{cursor}>; rel="next", <{ITEMS}>; rel="first"'}),
        cursor: Reply(200, [entry(2)], {"link": "</Courses/_4_1/lineItems?p=3>; rel=next"}),
        f"{ITEMS}?p=3": Reply(200, [entry(3)], {"Link": f'<{ITEMS}>; rel="first"'}),
    }
    lms = Lms(lambda request: pages[str(request.url)])
    assert [item.label for item in lms.client.line_items(ACCESS, ITEMS)] == [
        "Column 1",
        "Column 2",
        "Column 3",
    ]
    assert lms.tokens == 1


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("https://evil.example/lineItems?p=2", "foreign-next-page"),
        ("http://lms.example/Courses/_4_1/lineItems?p=2", "foreign-next-page"),
        ("https://lms.example:8443/lineItems", "foreign-next-page"),
        ("//evil.example/", "foreign-next-page"),
        ("https://[", "broken-answer"),
        ("javascript:alert(1)", "broken-answer"),
        (ITEMS, "too-many-pages"),
    ],
)
def test_a_next_page_elsewhere_is_not_followed(target: str, code: str) -> None:
    lms = Lms(lambda request: Reply(200, [entry(1)], {"Link": f'<{target}>; rel="next"'}))
    assert code_of(lambda: lms.client.line_items(ACCESS, ITEMS)) == code
    assert lms.calls == [ITEMS]


def test_endless_pages_end() -> None:
    def page(request: requests.PreparedRequest) -> Reply:
        return Reply(200, [], {"Link": f"<{ITEMS}?p={len(lms.calls)}>; rel=next"})

    lms = Lms(page)
    assert code_of(lambda: lms.client.line_items(ACCESS, ITEMS)) == "too-many-pages"
    assert len(lms.calls) == 200


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, b"<html>"),
        Reply(200, {"lineItems": []}),
        Reply(200, [5]),
        Reply(200, [None]),
        Reply(200, [{"label": "no id", "scoreMaximum": 10}]),
        Reply(200, [entry(1, id="ftp://x.example/1")]),
        Reply(200, [entry(1, scoreMaximum=None)]),
        Reply(200, [entry(1, scoreMaximum=True)]),
        Reply(200, b'[{"id": "https://lms.example/1", "scoreMaximum": NaN}]'),
        Reply(200, b'[{"id": "https://lms.example/1", "scoreMaximum": 1e999}]'),
    ],
)
def test_a_list_that_is_none_breaks_the_read(answer: Reply) -> None:
    lms = Lms(lambda request: answer)
    with pytest.raises(PlatformUnavailable) as failure:
        lms.client.line_items(ACCESS, ITEMS)
    assert failure.value.code == "broken-answer"


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (Reply(401), "token-refused", False),
        (Reply(403, b"no"), "forbidden", False),
        (Reply(403, b"403 Forbidden (Rate Limit Exceeded)"), "platform-busy", True),
        (Reply(404), "not-found", False),
        (Reply(422), "refused", False),
        (Reply(302, b"", {"Location": "https://evil.example/"}), "refused", False),
        (Reply(429, b"", {"Retry-After": "9"}), "platform-busy", True),
        (Reply(502), "platform-busy", True),
    ],
)
def test_refusals_when_reading(answer: Reply, code: str, retryable: bool) -> None:
    lms = Lms(lambda request: answer)
    with pytest.raises((PlatformRejected, PlatformUnavailable)) as failure:
        lms.client.results(ACCESS, f"{ITEMS}/1")
    assert (failure.value.code, failure.value.retryable) == (code, retryable)
    assert failure.value.retry_after == (9 if answer.status == 429 else None)


def test_the_full_scope_reads_where_the_reading_scope_is_not_granted() -> None:
    lms = Lms(lambda request: Reply(200, [entry(1)]), granted=SCOPE_LINE_ITEM)
    assert len(lms.client.line_items(ACCESS, ITEMS)) == 1
    assert lms.tokens == 2
    lms = Lms(lambda request: Reply(200, []), granted=SCOPE_LINE_ITEM_READ)
    assert (
        code_of(lambda: lms.client.create_line_item(ACCESS, ITEMS, LineItem("x", Decimal(1))))
        == "scope-not-granted"
    )


@pytest.mark.parametrize(
    ("access", "statuses", "final", "tokens"),
    [
        (ACCESS, [401, 200], 200, 2),
        (ACCESS, [401, 401, 200], 401, 2),
        (ACCESS, [403, 200], 403, 1),
        # Open edX says 403 for a token that is over.
        (access_to(SITE, expired_statuses=platform_for("open-edx").expired_statuses), [403, 201], 201, 2),
    ],
)
def test_a_refused_token_is_renewed_once(
    access: ServiceAccess, statuses: list[int], final: int, tokens: int
) -> None:
    answers = iter(statuses)
    lms = Lms(lambda request: Reply(next(answers)))
    assert lms.client.post_score(access, f"{ITEMS}/1", {"userId": "u"}).status == final
    assert lms.tokens == tokens


def test_a_throttle_is_not_answered_with_more_calls() -> None:
    lms = Lms(lambda request: Reply(403, b"403 Forbidden (Rate Limit Exceeded)", {"Retry-After": "3"}))
    access = access_to(SITE, expired_statuses=frozenset({401, 403}))
    answer = platform_for("canvas").classify(lms.client.post_score(access, f"{ITEMS}/1", {}))
    assert (answer.outcome, answer.retry_after) == (Outcome.RETRY, 3)
    assert len(lms.calls) == 1


def test_a_score_is_sent_as_written() -> None:
    lms = Lms(lambda request: Reply(200))
    lms.client.post_score(ACCESS, f"{ITEMS}/1?x=%2F", {"comment": "做得很好", "scoreGiven": 1.5})
    request = lms.network.requests[-1]
    assert request.url == f"{ITEMS}/1/scores?x=%2F"
    assert request.body == '{"comment": "做得很好", "scoreGiven": 1.5}'.encode()
    assert request.headers["Content-Type"] == "application/vnd.ims.lis.v1.score+json"
    with pytest.raises(ValueError, match="JSON"):
        lms.client.post_score(ACCESS, f"{ITEMS}/1", {"scoreGiven": float("nan")})


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("https://x.example/a/1", "https://x.example/a/1/scores"),
        ("https://x.example/a/1/", "https://x.example/a/1/scores"),
        ("https://x.example/a/1?t=1&u=a%20b", "https://x.example/a/1/scores?t=1&u=a%20b"),
        ("https://x.example/a/1?t=/lineitem#f", "https://x.example/a/1/scores?t=/lineitem"),
        ("https://x.example?t=1", "https://x.example/scores?t=1"),
    ],
)
def test_addresses_below_a_column(url: str, below: str) -> None:
    assert scores_url(url) == below
    assert results_url(url) == below.replace("/scores", "/results")


def test_queries_are_added_to_and_never_rewritten() -> None:
    assert with_query("https://x.example/?a=1&a=2&b=", {"tag": "学 分"}) == (
        "https://x.example/?a=1&a=2&b=&tag=%E5%AD%A6+%E5%88%86"
    )
    assert with_query("https://x.example/y", {}) == "https://x.example/y"


def test_a_result_without_a_score() -> None:
    lms = Lms(lambda request: Reply(200, [{"userId": "u", "resultScore": None, "comment": "a\x00b"}]))
    (result,) = lms.client.results(ACCESS, f"{ITEMS}/1", "u")
    assert (result.score, result.maximum, result.comment) == (None, None, "ab")
    assert lms.calls == [f"{ITEMS}/1/results?user_id=u"]
