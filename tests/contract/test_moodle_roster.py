"""The recorded rosters of a Moodle course, answered to our own client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import requests

from integrations.errors import PlatformRejected
from integrations.http import PlatformHttp
from integrations.lti.claims import parse_launch
from integrations.lti.nrps import MEMBERS_TYPE, NrpsClient, first_page
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import platform_for
from integrations.terms import CourseRole, Member
from tests.contract.captures import exchange, launch_claims
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to

SITE = "http://127.0.0.1:8100"
TOKEN_URL = f"{SITE}/mod/lti/token.php"
ACCESS = access_to(SITE, token_url=TOKEN_URL, token_audience=TOKEN_URL)
MOODLE = platform_for("moodle")
ROSTER = f"{SITE}/mod/lti/services.php/CourseSection/2/bindings/1/memberships"


def members(*recorded: Mapping[str, Any], at: str) -> list[Member]:
    """What our client reads where the lab answered `recorded`, from the address `at` on."""
    by_url = {one["url"]: one for one in recorded}

    def reply(request: requests.PreparedRequest) -> Reply:
        if request.url == TOKEN_URL:
            one = exchange("20-token-endpoint", "ok all scopes")
        else:
            one = by_url[str(request.url)]
            assert request.headers["Accept"] == one["request_headers"]["Accept"] == MEMBERS_TYPE
        return Reply(one["status"], one["response_body"], one["response_headers"])

    http = PlatformHttp(adapter=Network(reply))
    client = NrpsClient(http, TokenSource(http, MemoryCache(), Clock()))
    return [member for page in client.pages(ACCESS, at, MOODLE) for member in page.members]


def recorded(case: str, **changes: Any) -> dict[str, Any]:
    return {**exchange("25-nrps", case), **changes}


def test_everybody_of_a_course_by_chinese_name_and_role() -> None:
    found = members(recorded("GET memberships"), at=ROSTER)
    assert [(one.name, one.roles.course_role) for one in found] == [
        ("刘爷爷", CourseRole.LEARNER),
        ("张小红", CourseRole.LEARNER),
        ("张爸爸", CourseRole.LEARNER),
        ("李妈妈", CourseRole.LEARNER),
        ("李小明", CourseRole.LEARNER),
        ("王老师", CourseRole.INSTRUCTOR),
        ("赵助教", CourseRole.LEARNER),
    ]
    assert (found[0].user_id, found[0].sis_id, found[0].email) == ("8", "SIS-parent4", "parent4@example.com")


def test_pages_are_followed_to_the_end() -> None:
    last = recorded(
        "GET next page",
        url=f"{ROSTER}?limit=3&from=6",
        response_headers={},
        response_body={"members": recorded("GET memberships")["response_body"]["members"][6:]},
    )
    paged = members(recorded("GET limit=3"), recorded("GET next page"), last, at=f"{ROSTER}?limit=3")
    assert paged == members(recorded("GET memberships"), at=ROSTER)


def test_the_list_of_a_link_keeps_its_link_through_the_pages() -> None:
    first = recorded("GET limit=3 rlid=1")
    assert "rlid=1" in first["response_headers"]["Link"]
    url = first_page(ROSTER, MOODLE, rlid="1")
    assert url == f"{ROSTER}?limit=200&rlid=1"
    found = members(recorded("GET rlid=1", url=url), at=url)
    assert [one.user_id for one in found] == ["8", "10", "6", "5", "9", "3", "4"]


def test_an_administrator_has_a_bare_name_and_a_uri_beside_it() -> None:
    front_page = recorded("GET other course 1")
    (admin,) = [one for one in members(front_page, at=front_page["url"]) if one.user_id == "2"]
    assert admin.roles.course_role is CourseRole.INSTRUCTOR
    assert admin.roles.is_administrator


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("GET rlid=999", "not-found"),
        ("GET course 77", "not-found"),
        ("GET tool_code 9", "token-refused"),
        ("GET with AGS-only token", "token-refused"),
        ("GET links/1/memberships", "refused"),
    ],
)
def test_refusals_are_named(case: str, code: str) -> None:
    one = recorded(case)
    with pytest.raises(PlatformRejected) as refused:
        members(one, at=one["url"])
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("launch", "user_id"), [("03-launch-teacher", "3"), ("05-launch-parent1-student-role", "5")]
)
def test_the_roster_names_people_as_their_launches_do(launch: str, user_id: str) -> None:
    said = parse_launch(launch_claims(launch), platform=MOODLE)
    (listed,) = [one for one in members(recorded("GET memberships"), at=ROSTER) if one.user_id == user_id]
    assert (listed.user_id, listed.name, listed.email, listed.sis_id) == (
        said.sub,
        said.name,
        said.email,
        said.sis_id,
    )
    assert listed.roles.course_role is said.roles.course_role


def test_the_assistant_is_an_instructor_at_launch_and_a_learner_on_the_roster() -> None:
    """Why the product lets a launch's role stand."""
    launched = parse_launch(launch_claims("04-launch-tutor-noneditingteacher"), platform=MOODLE)
    (listed,) = [
        one for one in members(recorded("GET memberships"), at=ROSTER) if one.user_id == launched.sub
    ]
    assert launched.roles.course_role is CourseRole.INSTRUCTOR
    assert listed.roles.course_role is CourseRole.LEARNER


def test_a_course_without_the_names_service_tells_no_address() -> None:
    assert parse_launch(launch_claims("16-privacy-all-on"), platform=MOODLE).nrps_url == ROSTER
    assert parse_launch(launch_claims("16-privacy-nrps-0"), platform=MOODLE).nrps_url is None
