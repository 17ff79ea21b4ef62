"""One column of a gradebook: looked at, changed without losing anything, deleted, and read however large."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests

from integrations.errors import PlatformError
from integrations.http import PlatformHttp
from integrations.lti.ags import SCOPE_LINE_ITEM, AgsClient
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import platform_for
from integrations.terms import Result
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to

SITE = "https://lms.example"
COLUMN = f"{SITE}/items/1?type_id=1"
RESULTS = f"{SITE}/items/1/results?type_id=1"
ACCESS = access_to(SITE)
GENERIC, MOODLE, CANVAS = (platform_for(kind) for kind in ("generic", "moodle", "canvas"))
ITEM = {
    "id": COLUMN,
    "label": "学分",
    "scoreMaximum": 12,
    "resourceId": "credits:3",
    "tag": "credits",
    "ltiLinkId": "7",
    "submissionReview": {"url": f"{SITE}/review", "custom": {"rv": "1"}},
    "https://lms.example/extension": [1.5, None, "中文"],
    "endDateTime": "2026-12-31T23:00:00+08:00",
}


class Lms:
    def __init__(self, answer: Callable[[requests.PreparedRequest], Reply], granted: str = "") -> None:
        self.service, self.granted = answer, granted
        self.network = Network(self.answer)
        http = PlatformHttp(adapter=self.network)
        self.client = AgsClient(http, TokenSource(http, MemoryCache(), Clock()))

    def answer(self, request: requests.PreparedRequest) -> Reply:
        if request.url == ACCESS.token_url:
            return Reply(200, {"access_token": "t", "expires_in": 3600, "scope": self.granted})
        return self.service(request)

    @property
    def calls(self) -> list[requests.PreparedRequest]:
        return [one for one in self.network.requests if one.url != ACCESS.token_url]

    def results(self, platform: Any = GENERIC) -> list[list[Result]]:
        return list(self.client.stream_results(ACCESS, COLUMN, platform))


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(PlatformError) as failure:
        call()
    return failure.value.code


def scores(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"userId": f"u{number}", "resultScore": number / 4, "resultMaximum": 100}
        for number in range(start, start + count)
    ]


def test_a_column_is_looked_at_with_whatever_scope_allows_it() -> None:
    lms = Lms(lambda request: Reply(200, ITEM), granted=SCOPE_LINE_ITEM)
    item = lms.client.line_item(ACCESS, COLUMN, GENERIC)
    assert (item.url, item.label, item.maximum, item.tag) == (COLUMN, "学分", Decimal(12), "credits")
    assert item.ends_at == datetime(2026, 12, 31, 15, tzinfo=UTC)
    (call,) = lms.calls
    assert call.headers["Accept"] == "application/vnd.ims.lis.v2.lineitem+json"


def test_a_change_leaves_everything_else_as_it_was() -> None:
    kept = dict(ITEM)

    def answer(request: requests.PreparedRequest) -> Reply:
        if request.method == "PUT":
            kept.clear()
            kept.update(json.loads(request.body or b""))
        return Reply(200, kept)

    lms = Lms(answer)
    change = {"label": "本学期学分", "scoreMaximum": 16, "endDateTime": None, "startDateTime": None}
    item = lms.client.update_line_item(ACCESS, COLUMN, change, GENERIC)
    wanted = {**ITEM, "label": "本学期学分", "scoreMaximum": 16}
    del wanted["endDateTime"]
    assert kept == wanted
    assert (item.label, item.maximum, item.ends_at) == ("本学期学分", 16, None)
    assert [call.method for call in lms.calls] == ["GET", "PUT"]
    assert lms.calls[1].headers["Content-Type"] == "application/vnd.ims.lis.v2.lineitem+json"
    lms.client.update_line_item(ACCESS, COLUMN, change, GENERIC)
    assert [call.method for call in lms.calls] == ["GET", "PUT", "GET"], "nothing was to be changed"


@pytest.mark.parametrize("status", [200, 204, 404, 410])
def test_a_deleted_column_is_gone_however_often_it_is_asked_for(status: int) -> None:
    lms = Lms(lambda request: Reply(status))
    lms.client.delete_line_item(ACCESS, COLUMN, GENERIC)
    assert [call.method for call in lms.calls] == ["DELETE"]


@pytest.mark.parametrize(
    ("reply", "platform", "code"),
    [
        (Reply(401), GENERIC, "token-refused"),
        (Reply(403), GENERIC, "forbidden"),
        (Reply(503), GENERIC, "platform-busy"),
        # An error page of the site is no answer about the column.
        (Reply(404, "<html>", {"Content-Type": "text/html"}), MOODLE, "platform-busy"),
        (Reply(404, {"errors": "The specified resource does not exist."}), CANVAS, "context-closed"),
    ],
)
def test_what_a_refusal_means(reply: Reply, platform: Any, code: str) -> None:
    lms = Lms(lambda request: reply)
    assert code_of(lambda: lms.client.delete_line_item(ACCESS, COLUMN, platform)) == code
    assert code_of(lambda: lms.client.line_item(ACCESS, COLUMN, platform)) == code
    assert code_of(lambda: lms.results(platform)) == code


def test_one_answer_comes_in_chunks() -> None:
    lms = Lms(lambda request: Reply(200, scores(1200)))
    chunks = lms.results(MOODLE)
    assert [len(chunk) for chunk in chunks] == [500, 500, 200]
    assert chunks[2][199] == Result("u1199", Decimal("299.75"), Decimal(100))
    (call,) = lms.calls
    assert call.url == RESULTS, "without a limit, which this one answers with an error page"
    assert call.headers["Accept"] == "application/vnd.ims.lis.v2.resultcontainer+json"


def test_pages_are_followed_and_each_is_one_request() -> None:
    def page(request: requests.PreparedRequest) -> Reply:
        number = int((request.url or "").partition("page=")[2] or 0)
        headers = {"Link": f'<{RESULTS}&page={number + 1}>; rel="next"'} if number < 3 else {}
        return Reply(200, scores(100, 100 * number), headers)

    lms = Lms(page)
    assert [len(chunk) for chunk in lms.results(CANVAS)] == [100] * 4
    assert [call.url for call in lms.calls] == [f"{RESULTS}&limit=100"] + [
        f"{RESULTS}&page={number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("target", "code"),
    [("https://evil.example/results", "foreign-next-page"), (RESULTS, "too-many-pages")],
)
def test_pages_that_lead_nowhere_end_the_reading(target: str, code: str) -> None:
    lms = Lms(lambda request: Reply(200, scores(1), {"Link": f'<{target}>; rel="next"'}))
    assert code_of(lms.results) == code
    assert len(lms.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b'{"item": [{"userId": "u1", "resultScore": 1}]}',
        b'{"error": "no"}',
        b'[{"userId": "u1", "resultScore": 1}',
        b'[{"userId": "u1", "resultScore": 1}] and more',
        b'[{"userId": "u1", "resultScore": NaN}]',
        b'[{"userId": "u1", "resultScore": 1e999}]',
        b'[{"userId": "u1", "resultScore": 1e99999999999999999999}]',
        b'[{"resultScore": 1}]',
        b'[{"userId": 5, "resultScore": 1}]',
        b'[{"userId": "\xff", "resultScore": 1}]',
        b"[5]",
        b"[" * 2_000_000,
        b'[{"userId": "u1", "comment": "' + b"x" * 2_000_000 + b'"}]',
    ],
    ids=range(16),
)
def test_what_is_not_a_whole_list_of_results_breaks_the_reading(body: bytes) -> None:
    lms = Lms(lambda request: Reply(200, body))
    assert code_of(lms.results) == "broken-answer"


def test_a_byte_order_mark_and_an_empty_list_are_read() -> None:
    text = json.dumps(scores(1)).encode()
    assert Lms(lambda request: Reply(200, b"\xef\xbb\xbf" + text)).results() == [
        [Result("u0", Decimal(0), Decimal(100))]
    ]
    assert Lms(lambda request: Reply(200, b" [ ] ")).results() == []


def test_a_refused_token_is_renewed_once_for_a_stream() -> None:
    answers = iter([Reply(401), Reply(200, scores(2))])
    lms = Lms(lambda request: next(answers))
    assert [len(chunk) for chunk in lms.results()] == [2]
    assert len(lms.network.requests) == 4


def test_a_stream_of_any_length_ends() -> None:
    padding = b" " * 1_000_000

    lms = Lms(lambda request: Reply(200, b"[" + padding * 70 + b"]"))
    assert code_of(lms.results) in ("too-large", "broken-answer")
