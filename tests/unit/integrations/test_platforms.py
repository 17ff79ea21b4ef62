"""What each LMS is sent and what its answers mean, from its own sources and other tools' logs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.http import HttpAnswer
from integrations.platforms.base import EndpointsNeeded
from integrations.platforms.registry import KINDS, family_hint, platform_for
from integrations.terms import ActivityProgress, GradingProgress, Outcome, Score, SentScore

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
DONE = NOW - timedelta(hours=2)
EXTENSION = "https://canvas.instructure.com/lti/submission"


def score(**changes: Any) -> Score:
    whole: dict[str, Any] = {
        "user_id": "u1",
        "given": Decimal("17.50"),
        "maximum": Decimal(20),
        "activity_progress": ActivityProgress.COMPLETED,
        "grading_progress": GradingProgress.FULLY_GRADED,
        "submitted_at": DONE,
        "comment": "很好\n加油",
    }
    return Score(**{**whole, **changes})


def sent(**changes: Any) -> SentScore:
    whole: dict[str, Any] = {
        "timestamp": NOW - timedelta(minutes=1),
        "given": Decimal(10),
        "submitted_at": DONE,
    }
    return SentScore(**{**whole, **changes})


def test_the_kinds() -> None:
    assert KINDS == ("moodle", "canvas", "open-edx", "brightspace", "blackboard", "generic")
    assert [platform_for(kind).kind for kind in KINDS] == list(KINDS)
    with pytest.raises(KeyError):
        platform_for("ilias")


# -- registration ----------------------------------------------------------------------------------


def test_a_moodle_needs_only_its_url() -> None:
    found = platform_for("moodle").endpoints("https://school.example/moodle/")
    assert found.issuer == "https://school.example/moodle"
    assert found.auth_url == "https://school.example/moodle/mod/lti/auth.php"
    assert found.token_url == found.token_audience == "https://school.example/moodle/mod/lti/token.php"
    assert found.jwks_url == "https://school.example/moodle/mod/lti/certs.php"
    assert found.frame_origins == ("https://school.example",)


@pytest.mark.parametrize(
    ("host", "environment"),
    [
        ("school.instructure.com", ""),
        ("canvas.instructure.com", ""),
        ("school.beta.instructure.com", ".beta"),
        ("canvas.test.instructure.com", ".test"),
    ],
)
def test_a_hosted_canvas_needs_only_its_url(host: str, environment: str) -> None:
    found = platform_for("canvas").endpoints(f"https://{host}")
    assert found.issuer == f"https://canvas{environment}.instructure.com"
    assert found.auth_url == f"https://sso{environment}.canvaslms.com/api/lti/authorize_redirect"
    assert found.jwks_url == f"https://sso{environment}.canvaslms.com/api/lti/security/jwks"
    assert found.token_url == found.token_audience == f"https://{host}/login/oauth2/token"
    assert found.frame_origins == (f"https://{host}",)


@pytest.mark.parametrize(
    "host", ["canvas.school.example", "instructure.com.evil.example", "notinstructure.com"]
)
def test_any_other_canvas_needs_its_issuer(host: str) -> None:
    canvas = platform_for("canvas")
    with pytest.raises(EndpointsNeeded) as needed:
        canvas.endpoints(f"https://{host}")
    assert needed.value.missing == ("issuer",)
    found = canvas.endpoints(f"https://{host}", issuer="https://canvas.school.example")
    assert found.issuer == "https://canvas.school.example"
    assert found.jwks_url == f"https://{host}/api/lti/security/jwks"


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("generic", ("issuer", "auth_url", "token_url", "jwks_url")),
        ("open-edx", ("token_url", "jwks_url")),
        ("blackboard", ("jwks_url",)),
    ],
)
def test_what_else_must_be_given(kind: str, missing: tuple[str, ...]) -> None:
    with pytest.raises(EndpointsNeeded) as needed:
        platform_for(kind).endpoints("https://lms.example:8443/x")
    assert needed.value.missing == missing
    given = {name: f"https://lms.example/{name}" for name in missing}
    found = platform_for(kind).endpoints("https://lms.example:8443/x", **given, token_audience="them")
    assert {name: getattr(found, name) for name in missing} == given
    assert found.token_audience == "them"
    assert found.frame_origins == ("https://lms.example:8443",)


def test_brightspace_has_an_audience_of_its_own() -> None:
    found = platform_for("brightspace").endpoints("https://school.brightspace.com")
    assert found.token_url == "https://auth.brightspace.com/core/connect/token"
    assert found.token_audience == "https://api.brightspace.com/auth/token"
    assert found.auth_url == "https://school.brightspace.com/d2l/lti/authenticate"


@pytest.mark.parametrize(
    "url", ["", "school.example", "ftp://x.example", "https://", "https://x.example:0/", "https://[::1"]
)
def test_what_is_no_platform_url(url: str) -> None:
    for kind in KINDS:
        with pytest.raises(ValueError, match=r"URL|IPv6") as refusal:
            platform_for(kind).endpoints(url)
        assert not isinstance(refusal.value, EndpointsNeeded)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("moodle", "moodle"),
        ("canvas", "canvas"),
        ("desire2learn", "brightspace"),
        ("BlackboardLearn", "blackboard"),
        ("Open edX", "open-edx"),
        ("sakai", None),
        ("", None),
        (None, None),
    ],
)
def test_hints(code: str | None, kind: str | None) -> None:
    assert family_hint(code) == kind


# -- scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_by_the_standard(kind: str) -> None:
    body = platform_for(kind).score_body(score(comment=None), sent=None, now=NOW)
    assert {name: value for name, value in body.items() if name not in (EXTENSION, "submission")} == {
        "userId": "u1",
        "timestamp": "2026-11-23T14:00:00.000+00:00",
        "scoreGiven": 17.5,
        "scoreMaximum": 20,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
    }
    assert isinstance(body["scoreMaximum"], int)


_minutes = st.timedeltas(timedelta(minutes=-10), timedelta(minutes=10))


@given(kind=st.sampled_from(KINDS), last=_minutes, ahead=_minutes)
def test_the_next_timestamp_is_later_whatever_our_clock_says(
    kind: str, last: timedelta, ahead: timedelta
) -> None:
    platform, now = platform_for(kind), NOW + ahead
    recorded = datetime.fromisoformat(platform.score_body(score(), sent=None, now=NOW + last)["timestamp"])
    body = platform.score_body(score(), sent=sent(timestamp=recorded), now=now)
    following = datetime.fromisoformat(body["timestamp"])
    assert following > recorded
    assert following >= now - timedelta(milliseconds=1)
    if kind == "moodle":
        assert int(following.timestamp()) > int(recorded.timestamp())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_score_is_a_number(number: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        platform_for("generic").score_body(score(given=Decimal(number)), sent=None, now=NOW)


def test_a_time_without_a_zone_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="zone"):
        platform_for("generic").score_body(score(), sent=None, now=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("progress", GradingProgress)
def test_moodle_gets_final_scores_only(progress: GradingProgress) -> None:
    wanted = score(grading_progress=progress)
    assert platform_for("moodle").may_send(wanted, None) is (progress is GradingProgress.FULLY_GRADED)
    assert platform_for("canvas").may_send(wanted, replace(sent(), final=False))
    assert platform_for("canvas").may_send(wanted, sent()) is (progress is GradingProgress.FULLY_GRADED)


def canvas_body(
    sent: SentScore | None, *, keep_teacher_grade: bool = False, **changes: Any
) -> dict[str, Any]:
    return platform_for("canvas").score_body(
        score(**changes), sent=sent, now=NOW, keep_teacher_grade=keep_teacher_grade
    )


def test_new_work_is_an_attempt_and_the_same_work_is_none() -> None:
    first = canvas_body(None)
    assert first["submission"] == {"submittedAt": "2026-11-23T12:00:00.000+00:00"}
    assert first[EXTENSION] == {"new_submission": True}
    assert canvas_body(sent(given=Decimal(5)))[EXTENSION] == {"new_submission": False}
    assert canvas_body(sent(submitted_at=DONE - timedelta(days=1)))[EXTENSION] == {"new_submission": True}


def test_canvas_keeps_the_grade_while_ours_is_not_final() -> None:
    body = canvas_body(sent(), grading_progress=GradingProgress.PENDING)
    assert body[EXTENSION] == {"new_submission": False, "preserve_score": True}


def test_canvas_gives_way_to_teachers_only_when_asked() -> None:
    assert "prioritize_non_tool_grade" not in canvas_body(sent())[EXTENSION]
    assert canvas_body(sent(), keep_teacher_grade=True)[EXTENSION]["prioritize_non_tool_grade"] is True


def test_canvas_is_told_a_comment_once() -> None:
    assert canvas_body(None)["comment"] == "很好\n加油"
    assert "comment" not in canvas_body(sent(comment="很好\n加油"))
    assert canvas_body(sent(comment="old"))["comment"] == "很好\n加油"


def test_canvas_is_never_told_of_work_in_the_future() -> None:
    body = canvas_body(None, submitted_at=NOW + timedelta(hours=1))
    assert body["submission"] == {"submittedAt": "2026-11-23T14:00:00.000+00:00"}


@pytest.mark.parametrize("kind", ["moodle", "open-edx", "brightspace", "generic"])
def test_others_get_the_whole_comment_each_time(kind: str) -> None:
    body = platform_for(kind).score_body(score(), sent=sent(comment="很好\n加油"), now=NOW)
    assert body["comment"] == "很好\n加油"


def test_blackboard_breaks_lines_in_html() -> None:
    body = platform_for("blackboard").score_body(score(), sent=None, now=NOW)
    assert body["comment"] == "很好<br/>加油"


# -- answers ---------------------------------------------------------------------------------------

UNPUBLISHED = (
    '{"errors":[{"field":"grade","message":"cannot be changed at this time: This assignment is still '
    'unpublished","error_code":null}]}'
)
NOT_A_STUDENT = (
    '{"errors":{"type":"unprocessable_entity","message":"User not found in course or is not a student"}}'
)
CONCLUDED = "This course has concluded. AGS requests will no longer be accepted for this course."


@pytest.mark.parametrize(
    ("kind", "status", "body", "outcome"),
    [
        ("canvas", 422, "This assignment is still unpublished", Outcome.WAITING_FOR_PUBLISH),
        ("canvas", 422, UNPUBLISHED, Outcome.WAITING_FOR_PUBLISH),
        ("canvas", 422, NOT_A_STUDENT, Outcome.NOT_GRADABLE),
        ("canvas", 422, CONCLUDED, Outcome.CONTEXT_CLOSED),
        (
            "canvas",
            404,
            '{"errors":[{"message":"The specified resource does not exist."}]}',
            Outcome.CONTEXT_CLOSED,
        ),
        ("canvas", 404, "", Outcome.COLUMN_GONE),
        (
            "canvas",
            422,
            "The maximum number of allowed attempts has been reached for this submission",
            Outcome.LOCKED,
        ),
        ("canvas", 422, "ScoreMaximum must be greater than 0", Outcome.MISCONFIGURED),
        (
            "canvas",
            400,
            "Provided timestamp of A before last updated timestamp of B",
            Outcome.FRESH_TIMESTAMP,
        ),
        ("canvas", 400, "submittedAt is in the future", Outcome.MISCONFIGURED),
        ("canvas", 401, "Access token expired", Outcome.REAUTHENTICATE),
        ("canvas", 401, "Invalid Developer Key", Outcome.MISCONFIGURED),
        (
            "canvas",
            401,
            "Access Token not linked to a Tool associated with this Context",
            Outcome.MISCONFIGURED,
        ),
        ("canvas", 403, "403 Forbidden (Rate Limit Exceeded)\n", Outcome.RETRY),
        ("canvas", 403, "Forbidden", Outcome.MISCONFIGURED),
        ("canvas", 412, "Tool does not have permission to view line_item", Outcome.MISCONFIGURED),
        ("canvas", 429, "", Outcome.RETRY),
        ("canvas", 200, '{"resultUrl":"https://x.example"}', Outcome.SENT),
        ("open-edx", 201, "{}", Outcome.SENT),
        (
            "open-edx",
            400,
            '{"timestamp":["Score already exists for the provided timestamp"]}',
            Outcome.FRESH_TIMESTAMP,
        ),
        (
            "open-edx",
            400,
            '{"timestamp":["Score timestamp can only be updated to a later point in time"]}',
            Outcome.FRESH_TIMESTAMP,
        ),
        ("open-edx", 400, '{"scoreMaximum":["A valid number is required."]}', Outcome.MISCONFIGURED),
        ("open-edx", 403, '{"detail":"Invalid token signature."}', Outcome.REAUTHENTICATE),
        ("open-edx", 403, '{"detail":"Missing LTI 1.3 authentication token."}', Outcome.REAUTHENTICATE),
        (
            "open-edx",
            403,
            '{"detail":"You do not have permission to perform this action."}',
            Outcome.MISCONFIGURED,
        ),
        ("open-edx", 404, "", Outcome.COLUMN_GONE),
        ("brightspace", 403, "User in requested score is not enrolled in the org unit", Outcome.NOT_GRADABLE),
        ("brightspace", 404, "User in requested score does not exist", Outcome.NOT_GRADABLE),
        ("brightspace", 403, "", Outcome.MISCONFIGURED),
        ("brightspace", 404, "", Outcome.COLUMN_GONE),
        ("blackboard", 400, "User could not be found: _12_1", Outcome.NOT_GRADABLE),
        ("blackboard", 400, "", Outcome.MISCONFIGURED),
        (
            "moodle",
            404,
            '{"status":404,"reason":"Not Found: Grade item 9 doesn\'t exist"}',
            Outcome.COLUMN_GONE,
        ),
        ("moodle", 500, "Database error", Outcome.RETRY),
        ("moodle", 401, '{"status":401}', Outcome.REAUTHENTICATE),
        ("generic", 204, "", Outcome.SENT),
        ("generic", 200, "<html>\xff", Outcome.SENT),
        ("generic", 302, "", Outcome.MISCONFIGURED),
        ("generic", 400, "", Outcome.MISCONFIGURED),
        ("generic", 401, "", Outcome.REAUTHENTICATE),
        ("generic", 404, "", Outcome.COLUMN_GONE),
        ("generic", 408, "", Outcome.RETRY),
        ("generic", 409, "", Outcome.FRESH_TIMESTAMP),
        ("generic", 410, "", Outcome.COLUMN_GONE),
        ("generic", 415, "", Outcome.MISCONFIGURED),
        ("generic", 429, "", Outcome.RETRY),
        ("generic", 500, "", Outcome.RETRY),
        ("generic", 503, "", Outcome.RETRY),
    ],
)
def test_what_an_answer_means(kind: str, status: int, body: str, outcome: Outcome) -> None:
    got = platform_for(kind).classify(HttpAnswer(status, {"Content-Type": "text/plain"}, body.encode()))
    assert (got.outcome, got.status) == (outcome, status)


def test_the_detail_repeats_nobodys_id() -> None:
    answer = HttpAnswer(400, {}, b"User could not be found: _12_1")
    assert "_12_1" not in platform_for("blackboard").classify(answer).detail


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_retry_carries_a_wait(kind: str) -> None:
    platform = platform_for(kind)
    headers = {"Retry-After": "30"}
    assert platform.classify(HttpAnswer(503, headers)).retry_after == 30
    assert platform.classify(HttpAnswer(503)).retry_after is None
    assert platform.classify(HttpAnswer(409, headers)).retry_after is None


# -- columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wanted", "maximum"),
    [
        ("moodle", "100", "100"),
        ("moodle", "500", "100"),
        ("moodle", "12.5", "13"),
        ("moodle", "0.2", "1"),
        ("open-edx", "99.5", "100"),
        ("open-edx", "500", "500"),
        ("open-edx", "0.1", "1"),
        ("canvas", "12.5", "12.5"),
        ("generic", "0.5", "0.5"),
    ],
)
def test_what_a_column_may_hold(kind: str, wanted: str, maximum: str) -> None:
    assert platform_for(kind).column_maximum(Decimal(wanted)) == Decimal(maximum)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", ["0", "-1", "NaN", "Infinity"])
def test_a_column_holds_something(kind: str, wanted: str) -> None:
    with pytest.raises(ValueError, match="above zero"):
        platform_for(kind).column_maximum(Decimal(wanted))


def test_who_makes_columns() -> None:
    assert [kind for kind in KINDS if platform_for(kind).creates_line_items] == ["open-edx"]
    assert platform_for("open-edx").line_item_with_resource_link
    assert not platform_for("moodle").line_item_with_resource_link
