"""The Open edX consumer as we run it: launches, services and refusals, seen from a tool that is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.platforms import open_edx_fixtures
from tests.platforms.driver import Browser, parameters
from tests.platforms.open_edx_fixtures import OpenEdx
from tests.platforms.probe_tool import LINE_ITEM, SCORE, ProbeTool, running_probe

pytestmark = pytest.mark.open_edx
open_edx = open_edx_fixtures.open_edx

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
ENDPOINT = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"


@pytest.fixture(scope="module")
def probe() -> Iterator[ProbeTool]:
    with running_probe() as tool:
        yield tool


@pytest.fixture(scope="module")
def tool_url(probe: ProbeTool) -> str:
    return probe.url


@pytest.fixture(scope="module")
def platform(open_edx: OpenEdx, probe: ProbeTool) -> OpenEdx:
    """The platform with each of its units registered in the probe."""
    probe.registrations.extend(open_edx.state()["units"].values())
    return open_edx


def claims_of(
    platform: OpenEdx, user: str, unit: str = "unit-1", course: str | None = None
) -> dict[str, Any]:
    """The claims that the probe verified, not only those that were sent."""
    with Browser() as browser:
        launched = browser.launch(platform.launch_url(user, unit, course))
        assert launched.page.status_code == 200, launched.page.text
        return dict(launched.page.json())


def new_column(probe: ProbeTool, platform: OpenEdx, unit: str, **link: str) -> str:
    """The address of a new line item in `unit` for 100 points."""
    registration = platform.unit(unit)
    address = claims_of(platform, "chen", unit)[ENDPOINT]["lineitems"]
    answer = probe.post(
        address, probe.token(registration), LINE_ITEM, {"label": "亲子共读", "scoreMaximum": 100, **link}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def score(user_id: str, given: int, timestamp: str) -> dict[str, Any]:
    return {
        "userId": user_id,
        "scoreGiven": given,
        "scoreMaximum": 100,
        "timestamp": timestamp,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
    }


def test_login_names_the_client_and_the_deployment(platform: OpenEdx) -> None:
    with Browser() as browser:
        launched = browser.launch(platform.launch_url("li", "unit-2"))
    unit = platform.unit("unit-2")
    assert launched.login.method == "GET"
    login = parameters(launched.login)
    assert (login["iss"], login["client_id"], login["lti_deployment_id"]) == (
        unit["issuer"],
        unit["client_id"],
        "1",
    )
    assert launched.message.form.keys() == {"state", "id_token"}


def test_parent_launch(platform: OpenEdx) -> None:
    claims = claims_of(platform, "li", "unit-1", course="shared-reading")
    unit, li = platform.unit("unit-1"), platform.state()["users"]["li"]
    assert claims["aud"] == unit["client_id"]
    assert (claims["sub"], claims["name"], claims["email"]) == (li["sub"], "李家长", "li@parents.example")
    assert claims[f"{CLAIM}resource_link"] == {"id": unit["resource_link_id"]}
    assert claims[f"{CLAIM}context"]["id"] == unit["context_id"]
    assert claims[f"{CLAIM}custom"] == {"gongyu_course": "shared-reading"}
    assert f"{MEMBERSHIP}Learner" in claims[f"{CLAIM}roles"]
    assert f"{MEMBERSHIP}Instructor" not in claims[f"{CLAIM}roles"]


@pytest.mark.parametrize(
    ("user", "roles"), [("chen", {"Instructor"}), ("zhao", {"Instructor", "Administrator"})]
)
def test_teacher_launch_without_custom_parameters(platform: OpenEdx, user: str, roles: set[str]) -> None:
    claims = claims_of(platform, user)
    told = {role for role in claims[f"{CLAIM}roles"] if role.startswith(MEMBERSHIP)}
    assert told == {MEMBERSHIP + role for role in roles}
    assert f"{CLAIM}custom" not in claims


@pytest.mark.parametrize("path", ["/launch/nobody?unit=unit-1", "/launch/li?unit=unit-9"])
def test_unknown_user_or_unit_is_not_found(platform: OpenEdx, path: str) -> None:
    with Browser() as browser:
        assert browser.open(platform.url + path).status_code == 404


def test_units_share_a_client_only_through_a_passport(platform: OpenEdx, probe: ProbeTool) -> None:
    units = platform.state()["units"]
    assert units["unit-1"]["client_id"] == units["unit-3"]["client_id"] != units["unit-2"]["client_id"]
    columns = claims_of(platform, "chen", "unit-1")[ENDPOINT]["lineitems"]
    assert probe.get(columns, probe.token(units["unit-3"])).status_code == 200
    assert probe.get(columns, probe.token(units["unit-2"])).status_code == 403


def test_score_reaches_the_table_and_the_gradebook_once(platform: OpenEdx, probe: ProbeTool) -> None:
    unit, li = platform.unit("unit-1"), platform.state()["users"]["li"]["sub"]
    column = new_column(probe, platform, "unit-1", resourceLinkId=unit["resource_link_id"])
    token = probe.token(unit)
    sent = score(li, 80, "2026-11-23T10:00:00+00:00")
    statuses = [probe.post(f"{column}/scores", token, SCORE, sent).status_code for _ in range(2)]
    older = score(li, 10, "2026-11-23T09:59:59+00:00")
    statuses.append(probe.post(f"{column}/scores", token, SCORE, older).status_code)
    assert statuses == [201, 400, 400]
    state = platform.state()
    (item,) = [row for row in state["line_items"] if column.endswith(f"/{row['id']}")]
    assert (item["label"], item["score_maximum"]) == ("亲子共读", 100)
    (row,) = [row for row in state["scores"] if row["line_item_id"] == item["id"]]
    assert (row["user_id"], row["score_given"], row["score_maximum"]) == (li, 80, 100)
    (grade,) = [row for row in state["gradebook"] if row["user"] == "li"]
    assert (grade["unit"], grade["value"], grade["maximum"]) == ("unit-1", 8.0, 10.0)
    assert claims_of(platform, "li", "unit-1")[ENDPOINT]["lineitem"] == column
    (result,) = probe.get(f"{column}/results", token).json()
    assert (result["userId"], result["resultScore"]) == (li, 80)


def test_column_without_a_resource_link_swallows_the_grade(platform: OpenEdx, probe: ProbeTool) -> None:
    unit, wang = platform.unit("unit-2"), platform.state()["users"]["wang"]["sub"]
    column = new_column(probe, platform, "unit-2", resourceId="term-credits")
    sent = score(wang, 50, "2026-11-23T10:00:00+00:00")
    assert probe.post(f"{column}/scores", probe.token(unit), SCORE, sent).status_code == 201
    state = platform.state()
    assert [row["score_given"] for row in state["scores"] if row["user_id"] == wang] == [50]
    assert not [row for row in state["gradebook"] if row["user"] == "wang"]


def test_fractional_maximum_is_refused(platform: OpenEdx, probe: ProbeTool) -> None:
    address = claims_of(platform, "chen", "unit-1")[ENDPOINT]["lineitems"]
    body = {"label": "半分", "scoreMaximum": 99.5, "resourceId": "half"}
    answer = probe.post(address, probe.token(platform.unit("unit-1")), LINE_ITEM, body)
    assert (answer.status_code, answer.json()) == (400, {"scoreMaximum": ["A valid integer is required."]})


def test_roster_names_everybody_page_by_page(platform: OpenEdx, probe: ProbeTool) -> None:
    address = claims_of(platform, "chen", "unit-1")[NRPS]["context_memberships_url"]
    token = probe.token(platform.unit("unit-1"))
    first = probe.get(f"{address}?limit=3", token)
    second = probe.get(first.links["next"]["url"], token)
    assert "next" not in second.links
    members = {one["user_id"]: one["name"] for page in (first, second) for one in page.json()["members"]}
    assert members == {user["sub"]: user["name"] for user in platform.state()["users"].values()}
