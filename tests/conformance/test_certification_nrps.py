"""The Names and Role Provisioning part of 1EdTech's certification guide (1.3, 6.3): an instructor's launch brings
the claim, and the roster is read as NRPS 2.0 and RFC 7523 are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import Visitor
from tests.conformance.strict import (
    MEMBERS_TYPE,
    Strict,
    StrictPlatform,
    bearer,
    check_token_request,
    connected,
)
from tests.conftest import run
from tests.fake_platform import MEMBERSHIP, MEMBERSHIP_SCOPE, NRPS
from tests.functional.roster_steps import INSTRUCTOR, active, class_list, member, people

ROSTER = "https://strict.test/nrps/class-1"
PERSON = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
UNKNOWN = "https://lms.test/role#Headmaster"
# As platforms write it: a query of its own, letters of both cases, and no order in it.
ADDRESS = f"{ROSTER}?Page=1&view=Full&b=%2F&a="


@pytest.fixture
def strict(sqlite_url: str, tmp_path: Path) -> Iterator[Strict]:
    platform = StrictPlatform()
    platform.rosters["class-1"] = [member("u-teacher", INSTRUCTOR, name="王老师"), *people(3)]
    yield from connected(sqlite_url, tmp_path, platform)


def launched(strict: Strict, **claim: Any) -> None:
    """Valid Instructor Launch: with the claim."""
    said = {"context_memberships_url": ADDRESS, "service_versions": ["2.0"], **claim}
    assert Visitor(strict.app, strict.platform)("teacher", **{NRPS: said}).status == 200


def sync(strict: Strict, *more: str, exit_code: int = 0) -> str:
    return run(strict.app, "roster", "sync", *more, exit_code=exit_code)


@pytest.fixture
def read(strict: Strict) -> Strict:
    launched(strict)
    assert "4 members" in sync(strict)
    return strict


def received_request(strict: Strict) -> None:
    (call,) = strict.calls
    assert (call.method, call.body) == ("GET", None)
    assert call.url == f"{ADDRESS}&limit=100"


def json_header(strict: Strict) -> None:
    (call,) = strict.calls
    assert call.headers["Accept"] == "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
    assert "Cookie" not in call.headers


def bearer_token(strict: Strict) -> None:
    (call,) = strict.calls
    assert bearer(call) == "token-1"


def bearer_scope(strict: Strict) -> None:
    (asked,) = strict.token_requests
    assert asked.scopes == {MEMBERSHIP_SCOPE}


def token_request(strict: Strict) -> None:
    check_token_request(strict.token_requests[0], strict.platform)


VERIFIED: dict[str, Callable[[Strict], None]] = {
    "Received Request": received_request,
    "Verify JSON Header": json_header,
    "Verify Bearer Token": bearer_token,
    "Verify Bearer Scope": bearer_scope,
    "OAuth2 Token Request": token_request,
}


@pytest.mark.parametrize("name", VERIFIED)
def test_the_roster_after_a_valid_instructor_launch(read: Strict, name: str) -> None:
    VERIFIED[name](read)


def test_the_list_of_a_link_is_asked_for_by_its_id(strict: Strict) -> None:
    """NRPS 2.0, 3.1."""
    launched(strict)
    sync(strict, "--link", "link-demo-class-1")
    assert str(strict.calls[-1].url) == f"{ADDRESS}&limit=100&rlid=link-demo-class-1"


def test_pages_are_followed_as_they_are_written(strict: Strict) -> None:
    """Limit Query: what the platform answers may be smaller; its `next` is taken letter by letter."""
    launched(strict)
    pages = [
        ('<https://strict.test/nrps/class-1?Bookmark=WyJBYkNkIl0%3D&limit=2&Sort=b+a>; rel="next"', "one"),
        ('</nrps/class-1?p=3;x=%E8%AF%BE>; rel="next", <https://strict.test/>; rel="first"', "two"),
        ("", "three"),
    ]

    def page(link: str, sub: str) -> Any:
        body = {"id": ADDRESS, "context": {"id": "class-1"}, "members": [member(sub)]}
        return lambda _: (200, body, {"Link": link} if link else {})

    strict.platform.roster_faults = [page(*one) for one in pages]
    assert "3 members" in sync(strict)
    assert [str(call.url) for call in strict.calls] == [
        f"{ADDRESS}&limit=100",
        f"{ROSTER}?Bookmark=WyJBYkNkIl0%3D&limit=2&Sort=b+a",
        f"{ROSTER}?p=3;x=%E8%AF%BE",
    ]
    assert {bearer(call) for call in strict.calls} == {"token-1"}
    assert {call.headers["Accept"] for call in strict.calls} == {MEMBERS_TYPE}


def test_a_large_class_is_read_in_pages_with_one_token(strict: Strict) -> None:
    strict.platform.rosters["class-1"] = people(950)
    launched(strict)
    assert "950 members" in sync(strict)
    assert len(strict.calls) == 10
    assert len(strict.token_requests) == 1


MEMBERS: dict[str, tuple[dict[str, Any], tuple[str, str, str | None] | None]] = {
    "Instructor by its URI": (member("m", MEMBERSHIP + "Instructor"), ("active", "instructor", "家长m")),
    "Instructor by its short name": (member("m", "Instructor"), ("active", "instructor", "家长m")),
    "Several roles": (
        member("m", roles=["Learner", f"{PERSON}Student", f"{PERSON}Instructor"]),
        ("active", "learner", "家长m"),
    ),
    "Unknown role beside": (member("m", roles=[UNKNOWN, "Mentor"]), ("active", "mentor", "家长m")),
    "Unknown role": (member("m", UNKNOWN), None),
    "Without a status": (member("m", status=None), ("active", "learner", "家长m")),
    "No PII": ({"user_id": "m", "roles": ["Learner"]}, ("active", "learner", None)),
    "Names only": (
        {"user_id": "m", "roles": ["Learner"], "given_name": "小明", "family_name": "王"},
        ("active", "learner", "王小明"),
    ),
    "Email only": ({"user_id": "m", "roles": ["Learner"], "email": "m@x.cn"}, ("active", "learner", None)),
    "Inactive": (member("m", status="Inactive"), None),
    "Deleted": (member("m", status="Deleted"), None),
    "Members of its own": (member("m", picture="x", group=["A"], message=7), ("active", "learner", "家长m")),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_what_a_member_may_say(strict: Strict, name: str) -> None:
    """NRPS 2.0, 2.2: `user_id` and `roles` are required, all else is optional. Who has no role that we know in
    this class, and who has left, is not of it."""
    entry, expected = MEMBERS[name]
    strict.platform.rosters["class-1"] = [entry, *people(9)]
    launched(strict)
    sync(strict)
    assert class_list(strict.app).get("m") == expected
    assert len(active(strict.app)) == (11 if expected else 10)


@pytest.mark.parametrize(
    "claim",
    [
        {"context_memberships_url": ...},
        {"context_memberships_url": "javascript:alert(1)"},
        {"context_memberships_url": ["https://strict.test/nrps/class-1"]},
        {"context_memberships_url": "https://strict.test/nrps/class-1\r\nX: y"},
    ],
    ids=repr,
)
def test_a_launch_without_a_usable_address_reads_nothing(strict: Strict, claim: dict[str, Any]) -> None:
    said = {name: value for name, value in claim.items() if value is not ...}
    assert Visitor(strict.app, strict.platform)("teacher", **{NRPS: said}).status == 200
    assert "no class matches" in sync(strict, exit_code=1)
    assert strict.calls == strict.token_requests == []


# -- what platforms answer ---------------------------------------------------------------------------------


def test_a_refused_token_is_replaced_by_one_new_one(strict: Strict) -> None:
    launched(strict)
    strict.refusals = [(401, {}, {})]
    assert "4 members" in sync(strict)
    first, second = strict.calls
    assert (bearer(first), bearer(second)) == ("token-1", "token-2")
    assert first.url == second.url


def test_a_platform_that_does_not_grant_the_scope_is_asked_for_no_list(strict: Strict) -> None:
    strict.granted = set()
    launched(strict)
    assert "scope-not-granted" in sync(strict, exit_code=1)
    assert strict.calls == []


STATUSES = {
    401: "token-refused",
    403: "forbidden",
    404: "not-found",
    406: "refused",
    302: "refused",
    429: "platform-busy",
    500: "platform-busy",
    503: "platform-busy",
}


@pytest.mark.parametrize("status", STATUSES)
def test_what_a_status_means_for_the_class(strict: Strict, status: int) -> None:
    """Nobody leaves, the reason is told, and no redirect is followed with a token."""
    launched(strict)
    sync(strict)
    strict.calls.clear()
    strict.refusals = [(status, {}, {"Location": "https://evil.test/members", "Retry-After": "60"})] * 9
    busy = STATUSES[status] == "platform-busy"
    assert STATUSES[status] in sync(strict, exit_code=0 if busy else 1)
    assert len(active(strict.app)) == 4
    assert {str(call.url) for call in strict.calls} == {f"{ADDRESS}&limit=100"}
    assert len(strict.calls) == (2 if status == 401 else 1)
