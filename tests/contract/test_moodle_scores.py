"""Recorded score POSTs: what each answer means, and that we send what that Moodle took."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from integrations.http import PlatformHttp
from integrations.lti.ags import AgsClient, results_url, scores_url
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import platform_for
from integrations.terms import ActivityProgress, GradingProgress, Outcome, Score, SentScore
from tests.contract.captures import answer, exchange, exchanges
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to

MOODLE = platform_for("moodle")
SITE = "http://127.0.0.1:8100"
COLUMN = f"{SITE}/mod/lti/services.php/2/lineitems/2/lineitem?type_id=1"
FILES = ("22-ags-scores", "23-ags-scores-values", "28-cross-course", "29-activity-completion")

# Every answer that is neither 200 nor 409, by what the lab did.
REFUSED = {
    "scoreGiven without scoreMaximum": Outcome.NOT_GRADABLE,  # worded as below: `[]`, the rest is lost
    "missing timestamp": Outcome.NOT_GRADABLE,
    "parent2 epoch seconds as timestamp": Outcome.NOT_GRADABLE,
    "teacher (not gradable) 10/20": Outcome.NOT_GRADABLE,
    "non-editing teacher": Outcome.NOT_GRADABLE,
    "parent4 custom course role (not in gradebookroles)": Outcome.NOT_GRADABLE,
    "parent3 (not enrolled, user-context role)": Outcome.NOT_GRADABLE,
    "admin": Outcome.NOT_GRADABLE,
    "unknown user 99999": Outcome.NOT_GRADABLE,
    "userId not numeric 'abc'": Outcome.RETRY,  # nginx's own 502: no way to know better
    "Content-Type application/json": Outcome.MISCONFIGURED,
    "scores url appended after the query (naive: lineitem?type_id=1/scores)": Outcome.MISCONFIGURED,
    "grade item locked: tool posts 13/20": Outcome.LOCKED,
    "score to line item not ours: course total (id 1)": Outcome.LOCKED,
}
POSTS = [
    (name, index)
    for name in FILES
    for index, one in enumerate(exchanges(name))
    if one["method"] == "POST" and "score" in one["request_headers"].get("Content-Type", "") + one["url"]
]


@pytest.mark.parametrize(("name", "index"), POSTS)
def test_each_recorded_answer_has_its_outcome(name: str, index: int) -> None:
    one = exchanges(name)[index]
    expected = REFUSED.get(one["case"])
    if expected is None:
        expected = {200: Outcome.SENT, 409: Outcome.FRESH_TIMESTAMP}[one["status"]]
    got = MOODLE.classify(answer(one))
    assert (got.outcome, got.status) == (expected, one["status"])
    assert str(one["request_body"]["userId"]) not in got.detail.replace(str(one["status"]), "")


def test_all_refusals_were_met() -> None:
    met = {exchanges(name)[index]["case"] for name, index in POSTS}
    assert set(REFUSED) <= met
    assert len(POSTS) == 92


def score(given: str, maximum: str, *, user: str = "5", comment: str | None = None, **changes: Any) -> Score:
    settings: dict[str, Any] = {
        "activity_progress": ActivityProgress.COMPLETED,
        "grading_progress": GradingProgress.FULLY_GRADED,
        "submitted_at": datetime(2026, 11, 23, 12, tzinfo=UTC),
    }
    return Score(user, Decimal(given), Decimal(maximum), comment=comment, **{**settings, **changes})


@pytest.mark.parametrize(
    ("name", "case", "wanted"),
    [
        ("22-ags-scores", "parent1 18/20 on L1(max20)", score("18", "20", comment="做得很好 <b>bold</b>")),
        (
            "22-ags-scores",
            "standalone (manual) lineitem: parent1 33/60",
            score("33.00", "60", comment="陪伴"),
        ),
        ("23-ags-scores-values", "reset: parent1 15/20", score("15", "20")),
        ("23-ags-scores-values", "decimal 17.35/20", score("17.35", "20.0")),
        ("23-ags-scores-values", "scoreGiven 0/20", score("0", "20")),
        (
            "23-ags-scores-values",
            "restore 15/20 with comment",
            score("15", "20", comment="做得很好 <b>bold</b>\n第二行"),
        ),
        ("29-activity-completion", "post 15/20 for parent1", score("15", "20")),
    ],
)
def test_we_send_what_that_moodle_took(name: str, case: str, wanted: Score) -> None:
    taken = exchange(name, case)
    assert taken["status"] == 200
    sending = datetime.fromisoformat(taken["request_body"]["timestamp"])
    assert MOODLE.may_send(wanted, None)
    assert MOODLE.score_body(wanted, sent=None, now=sending) == taken["request_body"]


@pytest.mark.parametrize(
    ("case", "progress"),
    [
        ("gradingProgress Pending with score 12", GradingProgress.PENDING),
        (
            "InProgress/NotReady without score (start of activity) AFTER a real score",
            GradingProgress.NOT_READY,
        ),
        ("Submitted/PendingManual, comment only", GradingProgress.PENDING_MANUAL),
        ("gradingProgress Failed with score", GradingProgress.FAILED),
    ],
)
def test_what_erased_a_grade_is_never_sent(case: str, progress: GradingProgress) -> None:
    one = exchange("23-ags-scores-values", case)
    (row,) = [value for key, value in one.items() if key.startswith("db_grade")]
    assert row.split("|")[2] == "", "the lab's gradebook lost the grade"
    assert one["request_body"]["gradingProgress"] == progress.value
    assert not MOODLE.may_send(score("12", "20", grading_progress=progress), None)


def test_a_clock_behind_the_platform_does_not_repeat_its_mistake() -> None:
    accepted = exchange("23-ags-scores-values", "reset: parent1 15/20")
    refused = exchange(
        "23-ags-scores-values", "timestamp == now-1s right after a post (tool clock 1 s behind)"
    )
    (row,) = [value for key, value in refused.items() if key.startswith("db_grade")]
    stored_at = int(row.split("|")[4])
    last = datetime.fromisoformat(accepted["request_body"]["timestamp"])
    ours = datetime.fromisoformat(refused["request_body"]["timestamp"])
    assert refused["status"] == 409
    assert ours.timestamp() <= stored_at
    sent = SentScore(last, Decimal(15), last)
    body = MOODLE.score_body(score("16", "20"), sent=sent, now=ours)
    sending = datetime.fromisoformat(body["timestamp"])
    assert int(sending.timestamp()) > max(stored_at, int(last.timestamp()))


def test_scores_and_results_are_below_the_column_before_its_query() -> None:
    score_post = exchange("23-ags-scores-values", "reset: parent1 15/20")
    results = exchange("24-ags-results", "GET results L1")
    assert scores_url(COLUMN) == score_post["url"]
    assert results_url(COLUMN) == results["url"]
    assert (
        scores_url(COLUMN.partition("?")[0]) == exchange("22-ags-scores", "scores url without type_id")["url"]
    )
    naive = exchange(
        "22-ags-scores", "scores url appended after the query (naive: lineitem?type_id=1/scores)"
    )
    assert naive["status"] == 400
    assert scores_url(COLUMN) != naive["url"]


def test_a_score_goes_out_as_that_moodle_wants_it() -> None:
    taken = exchange("23-ags-scores-values", "reset: parent1 15/20")
    token = exchange("20-token-endpoint", "ok all scopes")
    network = Network(
        lambda request: (
            Reply(200, token["response_body"])
            if str(request.url).endswith("/token.php")
            else Reply(200, "", {"Content-Type": "application/vnd.ims.lis.v1.score+json; charset=utf-8"})
        )
    )
    http = PlatformHttp(adapter=network)
    client = AgsClient(http, TokenSource(http, MemoryCache(), Clock()))
    access = access_to(SITE, token_url=f"{SITE}/mod/lti/token.php")
    got = client.post_score(access, COLUMN, taken["request_body"])
    assert MOODLE.classify(got).outcome is Outcome.SENT
    sent = network.requests[-1]
    assert (sent.method, sent.url) == ("POST", taken["url"])
    assert sent.headers["Content-Type"] == taken["request_headers"]["Content-Type"]
    assert sent.headers["Authorization"] == f"Bearer {token['response_body']['access_token']}"
