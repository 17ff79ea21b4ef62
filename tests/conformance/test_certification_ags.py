"""The Assignment and Grade Services part of 1EdTech's certification guide (1.3, 6.4): a launch brings the claim,
and then it is ours alone to make columns and send scores as AGS 2.0 and RFC 7523 are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import Visitor
from tests.conformance.strict import (
    ITEM_TYPE,
    LINE_ITEM,
    READ_LINE_ITEMS,
    SCORE,
    Strict,
    StrictPlatform,
    bearer,
    check_token_request,
    connected,
)
from tests.conftest import run
from tests.fake_platform import AGS
from tests.functional.courses_steps import came, finish

COLUMN = "https://strict.test/ags/class-1/lineitems/demo"
COLUMNS = "https://strict.test/ags/class-1/lineitems"


@pytest.fixture
def strict(sqlite_url: str, tmp_path: Path) -> Iterator[Strict]:
    """A platform where a teacher has made the column; addresses have a query, as Moodle's do."""
    yield from connected(sqlite_url, tmp_path, StrictPlatform(query="?type_id=3"))


@pytest.fixture
def columnless(sqlite_url: str, tmp_path: Path) -> Iterator[Strict]:
    """A platform where links have no column until the tool makes one."""
    platform = StrictPlatform(kind="open-edx", query="?type_id=3")
    platform.ungraded.add("demo")
    yield from connected(sqlite_url, tmp_path, platform)


def passed(strict: Strict, user: str = "parent") -> None:
    """A student launch, and what earns its grade."""
    finish(came(Visitor(strict.app, strict.platform), user))


def deliver(strict: Strict) -> str:
    """What the worker does with all that is due, and how the queue stands then."""
    run(strict.app, "gradebook", "deliver", "--once")
    status = run(strict.app, "gradebook", "status")
    return next(line for line in status.splitlines() if line.startswith("strict.test"))


@pytest.fixture
def graded(strict: Strict) -> Strict:
    """A student has launched and finished, and the score has gone out."""
    passed(strict)
    assert "0 unsent" in deliver(strict)
    return strict


def publish_a_score(strict: Strict) -> None:
    (call,) = strict.calls
    assert (call.method, call.url) == ("POST", f"{COLUMN}/scores?type_id=3")


def score_header(strict: Strict) -> None:
    (call,) = strict.calls
    assert call.headers["Content-Type"] == "application/vnd.ims.lis.v1.score+json"
    assert "Cookie" not in call.headers


def score_body(strict: Strict) -> None:
    """AGS 2.0, 3.4: what is required, and nothing that is not in it."""
    (score,) = strict.bodies("/scores")
    required = {"userId", "timestamp", "activityProgress", "gradingProgress", "scoreGiven", "scoreMaximum"}
    assert required <= set(score) <= {*required, "comment", "submission", "scoringUserId"}
    assert score["userId"] == "u-parent"
    assert (score["activityProgress"], score["gradingProgress"]) == ("Completed", "FullyGraded")
    assert (score["scoreGiven"], score["scoreMaximum"]) == (100, 100)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}(Z|[+-]\d\d:\d\d)", score["timestamp"])


def bearer_token(strict: Strict) -> None:
    (call,) = strict.calls
    assert bearer(call) == "token-1"


def bearer_scope(strict: Strict) -> None:
    """The least that is needed, although the launch granted more."""
    (asked,) = strict.token_requests
    assert asked.scopes == {SCORE}


def token_request(strict: Strict) -> None:
    check_token_request(strict.token_requests[0], strict.platform)


VERIFIED: dict[str, Callable[[Strict], None]] = {
    "Publish Score": publish_a_score,
    "Verify JSON Header": score_header,
    "Verify JSON Body": score_body,
    "Verify Bearer Token": bearer_token,
    "Verify Bearer Scope": bearer_scope,
    "OAuth2 Token Request": token_request,
}


@pytest.mark.parametrize("name", VERIFIED)
def test_the_score_of_a_valid_student_launch(graded: Strict, name: str) -> None:
    VERIFIED[name](graded)


def test_a_valid_instructor_launch_sends_nothing(strict: Strict) -> None:
    page = Visitor(strict.app, strict.platform)("teacher")
    page.post("/lessons/read/read")
    deliver(strict)
    assert strict.calls == strict.token_requests == []


def test_columns_are_looked_for_and_made_where_the_tool_makes_them(columnless: Strict) -> None:
    passed(columnless)
    assert "0 unsent" in deliver(columnless)
    look, make, score = columnless.calls
    assert (look.method, look.url) == ("GET", f"{COLUMNS}?type_id=3&resource_link_id=link-demo-class-1")
    assert (make.method, make.url) == ("POST", f"{COLUMNS}?type_id=3")
    assert (score.method, score.url) == ("POST", f"{COLUMNS}/made-0/scores?type_id=3")
    assert make.headers["Accept"] == ITEM_TYPE
    (item,) = columnless.bodies("/lineitems")
    assert set(item) == {"label", "scoreMaximum", "resourceLinkId", "resourceId"}
    assert item["label"] == "测试课程：好好说话"
    assert item["scoreMaximum"] == 100
    assert (item["resourceLinkId"], item["resourceId"]) == ("link-demo-class-1", "demo")


def test_each_call_has_a_token_for_no_more_than_itself(columnless: Strict) -> None:
    passed(columnless)
    deliver(columnless)
    used = [columnless.tokens[bearer(call)] for call in columnless.calls]
    assert used == [{READ_LINE_ITEMS}, {LINE_ITEM}, {SCORE}]
    for asked in columnless.token_requests:
        check_token_request(asked, columnless.platform)
    ids = [asked.claims["jti"] for asked in columnless.token_requests]
    assert len(set(ids)) == len(ids) == 3


def test_a_second_score_finds_column_and_token_there(columnless: Strict) -> None:
    passed(columnless)
    deliver(columnless)
    before = len(columnless.calls)
    passed(columnless, "father")
    assert "0 unsent" in deliver(columnless)
    assert [str(call.url) for call in columnless.calls[before:]] == [f"{COLUMNS}/made-0/scores?type_id=3"]
    assert len(columnless.token_requests) == 3
    assert len(columnless.columns) == 1


@pytest.mark.parametrize("granted", [{SCORE}, {SCORE, READ_LINE_ITEMS}])
def test_no_column_is_made_where_the_platform_does_not_grant_it(
    columnless: Strict, granted: set[str]
) -> None:
    columnless.granted = granted
    passed(columnless)
    assert "1 held, misconfigured: 1" in deliver(columnless)
    assert columnless.columns == []
    assert all(call.method == "GET" for call in columnless.calls)


@pytest.mark.parametrize(
    "claim",
    [
        ...,
        {"scope": [SCORE]},
        {"scope": [LINE_ITEM], "lineitem": "file:///etc/passwd"},
        {"scope": [LINE_ITEM], "lineitem": ["https://strict.test/ags/x"], "lineitems": 7},
    ],
    ids=repr,
)
def test_a_launch_without_a_gradebook_sends_nothing(strict: Strict, claim: Any) -> None:
    page = came(Visitor(strict.app, strict.platform), "parent", **{AGS + "claim/endpoint": claim})
    finish(page)
    deliver(strict)
    assert strict.calls == strict.token_requests == []


# -- what platforms answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_has_taken_the_score(strict: Strict, status: int) -> None:
    passed(strict)
    strict.refusals = [(status, b"", {})]
    assert "0 unsent, 0 held" in deliver(strict)
    assert len(strict.calls) == 1


ANSWERS = {
    400: "1 held, misconfigured: 1",
    401: "1 unsent, 0 held",
    403: "1 held, misconfigured: 1",
    404: "1 held, column-gone: 1",
    410: "1 held, column-gone: 1",
    409: "1 unsent, 0 held",
    413: "1 held, misconfigured: 1",
    422: "1 held, misconfigured: 1",
    302: "1 held, misconfigured: 1",
    429: "1 unsent, 0 held",
    500: "1 unsent, 0 held",
    503: "1 unsent, 0 held",
}


@pytest.mark.parametrize("status", ANSWERS)
def test_what_a_status_means_for_the_score(strict: Strict, status: int) -> None:
    """Never lost: it waits for the platform, or is held for people with its reason."""
    passed(strict)
    elsewhere = {"Location": "https://evil.test/scores", "Retry-After": "60"}
    strict.refusals = [(status, {}, elsewhere)] * 9
    assert ANSWERS[status] in deliver(strict)
    assert {str(call.url) for call in strict.calls} == {f"{COLUMN}/scores?type_id=3"}, (
        "no redirect is followed"
    )


def test_a_refused_token_is_replaced_by_one_new_one_and_the_same_score(strict: Strict) -> None:
    passed(strict)
    strict.refusals = [(401, {}, {})]
    assert "0 unsent" in deliver(strict)
    first, second = strict.calls
    assert (bearer(first), bearer(second)) == ("token-1", "token-2")
    assert first.body == second.body
    one, two = strict.token_requests
    assert one.claims["jti"] != two.claims["jti"]


def test_a_platform_that_refuses_every_token_is_not_stormed(strict: Strict) -> None:
    for user in ("parent", "father", "nameless"):
        passed(strict, user)
    strict.refusals = [(401, {}, {})] * 99
    assert "3 unsent" in deliver(strict)
    # Two calls side by side, each once more with a token that was had after its refusal; then the rest waits.
    assert 2 <= len(strict.token_requests) <= 3
    assert 2 <= len(strict.calls) <= 4
