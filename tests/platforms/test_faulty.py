"""The faulty platform does what it is told, its ledger is exact, and each fault has one meaning for us."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from integrations.addresses import AddressPolicy
from integrations.errors import PlatformError
from integrations.http import PlatformHttp
from integrations.lti.ags import AgsClient
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import platform_for
from integrations.terms import ActivityProgress, GradingProgress, Outcome, Score, ServiceAccess
from tests.platforms.faulty.running import Faulty, running_faulty

KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
NUMBERS = itertools.count()
LOCAL = AddressPolicy(allow_http=True, allow_private_network=True)


class Cache(dict[str, Any]):
    def set(self, key: str, value: Any, timeout: int | None = None) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def jwks(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    return {"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}]}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with running_faulty(tmp_path_factory.mktemp("faulty")) as running:
        yield running


@dataclass
class Tool:
    """A tool at one school, with the product's own client."""

    faulty: Faulty
    name: str
    kind: str
    url: str
    kid: str = "k1"
    key: rsa.RSAPrivateKey = KEY

    def __post_init__(self) -> None:
        # Patience of a second, so that a dripping answer is given up soon.
        http = PlatformHttp(timeouts=(1.0, 1.0), seconds=1.0)
        self.ags = AgsClient(http, TokenSource(http, Cache()))

    @property
    def access(self) -> ServiceAccess:
        return ServiceAccess(
            registration_key=self.name,
            client_id="client",
            token_url=f"{self.url}/token",
            token_audience=f"{self.url}/token",
            kid=self.kid,
            private_key=self.key,
            policy=LOCAL,
            expired_statuses=platform_for(self.kind).expired_statuses,
        )

    @property
    def column(self) -> str:
        return f"{self.url}/course/lineitems/c1"

    def send(self, points: int = 80, user: str = "u1") -> str:
        """What became of it for us: the outcome, or the error's code."""
        platform = platform_for(self.kind)
        now = datetime.now(UTC)
        score = Score(
            user_id=user,
            given=Decimal(points),
            maximum=Decimal(100),
            activity_progress=ActivityProgress.COMPLETED,
            grading_progress=GradingProgress.FULLY_GRADED,
            submitted_at=now,
        )
        body = platform.score_body(score, sent=None, now=now)
        try:
            return str(platform.classify(self.ags.post_score(self.access, self.column, body)).outcome)
        except PlatformError as error:
            return error.code


@pytest.fixture
def school(faulty: Faulty) -> Any:
    def make(kind: str = "generic", **wanted: Any) -> Tool:
        name = f"s{next(NUMBERS)}"
        return Tool(faulty, name, kind, faulty.school(name, kind=kind, **wanted))

    return make


@pytest.mark.parametrize(
    ("kind", "fault", "meaning", "stored"),
    [
        ("generic", "500", Outcome.RETRY, False),
        ("generic", "429-wait", Outcome.RETRY, False),
        ("generic", "drop-before", "unreachable", False),
        ("generic", "drop-after", "unreachable", True),
        ("generic", "reset-before", "unreachable", False),
        ("generic", "reset-after", "unreachable", True),
        ("generic", "half", "broken-answer", True),
        ("generic", {"name": "drip", "drip": 0.3}, "timeout", True),
        ("generic", {"name": "slow", "wait": 1.3}, "timeout", True),
        ("generic", "no-json", "broken-answer", False),
        ("generic", "html-200", Outcome.RETRY, True),
        ("generic", {"name": "html-200", "stored": False}, Outcome.RETRY, False),
        ("generic", "no-scope", "scope-not-granted", False),
        ("generic", "token-500", "token-endpoint-busy", False),
        ("generic", "bad-kid", "key-unknown-to-platform", False),
        ("generic", "expired", Outcome.SENT, True),
        ("generic", "revoked", Outcome.SENT, True),
        ("generic", {"name": "revoked", "times": None}, Outcome.REAUTHENTICATE, False),
        ("open-edx", "forbidden-token", Outcome.SENT, True),
        ("open-edx", "revoked", Outcome.SENT, True),
        ("open-edx", "open-edx-equal", Outcome.FRESH_TIMESTAMP, False),
        ("canvas", "canvas-throttle", Outcome.RETRY, False),
        ("canvas", "canvas-unpublished", Outcome.WAITING_FOR_PUBLISH, False),
        ("canvas", "canvas-concluded", Outcome.CONTEXT_CLOSED, False),
        ("canvas", "canvas-not-a-student", Outcome.NOT_GRADABLE, False),
        ("moodle", "moodle-409", Outcome.FRESH_TIMESTAMP, False),
        ("moodle", "moodle-400", Outcome.NOT_GRADABLE, False),
        ("moodle", "moodle-500", Outcome.LOCKED, False),
        ("moodle", "html-404", Outcome.RETRY, False),
    ],
)
def test_each_fault_has_one_meaning(
    faulty: Faulty, school: Any, kind: str, fault: Any, meaning: str, stored: bool
) -> None:
    tool = school(kind, faults=[fault])
    assert tool.send() == meaning
    state = faulty.quiet(tool.name)
    assert any(line["stored"] for line in state["arrivals"]) is stored
    assert state["grades"] == ([["c1", "u1", 80.0]] if stored else [])


@pytest.mark.parametrize("kind", ["generic", "moodle", "canvas", "open-edx"])
def test_an_earlier_time_is_refused_and_the_grade_stays(faulty: Faulty, school: Any, kind: str) -> None:
    tool = school(kind)
    assert tool.send(80) == Outcome.SENT
    platform = platform_for(kind)
    late = {"userId": "u1", "timestamp": "2020-01-01T00:00:00+00:00", "scoreGiven": 1, "scoreMaximum": 100}
    late |= {"activityProgress": "Completed", "gradingProgress": "FullyGraded"}
    refused = platform.classify(tool.ags.post_score(tool.access, tool.column, late))
    assert refused.outcome is Outcome.FRESH_TIMESTAMP
    assert faulty.grades(tool.name) == {("c1", "u1"): 80}
    assert [line["stored"] for line in faulty.state(tool.name)["arrivals"]] == [True, False]


def test_assertions_are_verified_with_the_keys_that_the_school_knows(faulty: Faulty, school: Any) -> None:
    tool = school(jwks=jwks(KEY, "k1"))
    assert tool.send() == Outcome.SENT
    faulty.change(tool.name, jwks=jwks(OTHER_KEY, "k2"), revoke=True)
    assert tool.send(81) == "key-unknown-to-platform"
    tool.kid = "k2"
    assert tool.send(82) == "signature-refused"
    tool.key = OTHER_KEY
    assert tool.send(83) == Outcome.SENT
    faulty.change(tool.name, clock_ahead=-600, revoke=True)
    tool.send(84)
    assert "iat prior to" in faulty.state(tool.name)["assertions_refused"][2]


def test_results_come_whole_or_in_pages(faulty: Faulty, school: Any) -> None:
    tool = school(grades=[[f"u{number}", 50, "c1"] for number in range(10_000)])
    assert len(tool.ags.results(tool.access, tool.column)) == 10_000
    faulty.change(tool.name, page_size=1000)
    everybody = tool.ags.results(tool.access, tool.column)
    assert len({result.user_id for result in everybody}) == 10_000
    assert faulty.state(tool.name)["calls"]["results"] == 11


def test_teachers_and_swallowing_columns(faulty: Faulty, school: Any) -> None:
    """A grade given in Moodle stays whatever is posted until the teacher takes it away (capture 23)."""
    tool = school("moodle")
    tool.send(80)
    faulty.change(tool.name, teacher=[["u1", 19, "c1"]])
    faulty.change(tool.name, clock_ahead=-5)
    tool.send(81)
    assert faulty.grades(tool.name) == {("c1", "u1"): 19}
    faulty.change(tool.name, frees=[["u1", "c1"]])
    assert faulty.grades(tool.name)["c1", "u1"] == 80
    faulty.change(tool.name, swallowing=["c1"])
    assert tool.send(70, "u2") == Outcome.SENT
    assert ("c1", "u2") not in faulty.grades(tool.name)
