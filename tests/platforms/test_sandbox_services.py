"""The sandbox LMS is strict enough to prove something: scores, columns, rosters and the switches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.platforms import sandbox_fixtures
from tests.platforms.sandbox_fixtures import MEMBERSHIP, SECONDS, Tool, a_score, line_item

pytest.importorskip("lti1p3platform")

tool_key = sandbox_fixtures.tool_key
key_set_url = sandbox_fixtures.key_set_url
sandbox_url = sandbox_fixtures.sandbox_url
tool = sandbox_fixtures.tool


# Scores and columns


def test_score_is_scaled_shown_and_kept_in_the_ledger(tool: Tool) -> None:
    item, token = line_item(tool, "g1-eyes"), tool.token()
    answer = tool.score(item, token)
    assert (answer.status_code, answer.content) == (200, b"")
    state = tool.state()
    [grade] = state["gradebook"]
    assert (grade["user"], grade["line_item"]) == ("chen-mama", item)
    assert (grade["score_given"], grade["maximum"], grade["comment"]) == (8.5, 10, "读完了")
    assert [(post["status"], post["body"]) for post in state["posts"]] == [(200, a_score())]
    page = tool.get("/courses/grade-1/gradebook", **{"as": "wang-laoshi"}).text
    assert "<strong>8.5</strong>" in page
    assert "读完了" in page
    assert "<strong>8.5</strong>" not in tool.get("/courses/grade-1/gradebook", **{"as": "liu-baba"}).text


def test_older_score_is_refused_and_changes_nothing(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    assert tool.score(item, token, scoreGiven=20).status_code == 200
    assert tool.score(item, token, scoreGiven=1, timestamp="2026-11-23T15:59:59+08:00").status_code == 409
    assert tool.state()["gradebook"][0]["score_given"] == 100
    assert tool.score(item, token, scoreGiven=10, timestamp="2026-11-23T16:00:01+08:00").status_code == 200
    assert tool.state()["gradebook"][0]["score_given"] == 50


def test_unfinished_score_empties_the_cell(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    tool.score(item, token)
    tool.score(item, token, gradingProgress="Pending", timestamp="2026-11-23T09:00:00Z", comment=None)
    [grade] = tool.state()["gradebook"]
    assert (grade["score_given"], grade["comment"]) == (None, None)
    assert tool.read_all(f"{item}/results", token) == ([], 1)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"userId": "zhao-nainai"}, 422),
        ({"userId": "wang-laoshi"}, 422),
        ({"userId": "nobody"}, 422),
        ({"scoreGiven": -1}, 422),
        ({"scoreMaximum": None}, 400),
        ({"scoreGiven": "17"}, 400),
        ({"timestamp": None}, 400),
        ({"timestamp": "2026-11-23T08:00:00"}, 400),
        ({"timestamp": 1_700_000_000}, 400),
    ],
)
def test_impossible_score_is_refused(tool: Tool, changed: dict[str, Any], status: int) -> None:
    answer = tool.score(line_item(tool), tool.token(), **changed)
    assert answer.status_code == status
    assert tool.state()["gradebook"] == []


def test_teachers_own_grade_stays(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    form = {"line_item": "g1-reading", "user": "chen-mama", "score": "60"}
    page = f"{tool.lms}/courses/grade-1/gradebook"
    refused = tool.session.post(page, params={"as": "chen-mama"}, data=form, timeout=SECONDS)
    assert refused.status_code == 403
    tool.session.post(page, params={"as": "wang-laoshi"}, data=form, timeout=SECONDS).raise_for_status()
    later = "2099-01-01T00:00:00Z"
    assert tool.score(item, token, timestamp=later).status_code == 200
    results, _ = tool.read_all(f"{item}/results", token)
    assert [(one["userId"], one["resultScore"]) for one in results] == [("chen-mama", 60)]
    given_back = form | {"score": ""}
    tool.session.post(page, params={"as": "wang-laoshi"}, data=given_back, timeout=SECONDS).raise_for_status()
    assert tool.score(item, token, timestamp=later).status_code == 200
    assert tool.state()["gradebook"][0]["score_given"] == 85


def test_columns_are_made_found_replaced_and_deleted(tool: Tool) -> None:
    token = tool.token()
    columns = tool.state()["courses"][0]["line_items_url"]
    wish = {"label": "学期学分", "scoreMaximum": 8, "tag": "term", "resourceId": "2026-1"}
    made = tool.call("POST", columns, token, wish)
    assert made.status_code == 201
    assert made.json() == wish | {"id": made.json()["id"]}
    assert tool.read_all(f"{columns}?tag=term", token) == ([made.json()], 1)
    url = made.json()["id"]
    assert tool.call("PUT", url, token, {"label": "学分", "scoreMaximum": 10}).status_code == 200
    assert tool.call("GET", url, token).json() == {"id": url, "label": "学分", "scoreMaximum": 10}
    assert tool.call("POST", columns, token, {"label": "x", "scoreMaximum": 0}).status_code == 400
    assert tool.call("DELETE", line_item(tool), token).status_code == 403
    assert tool.call("DELETE", url, token).status_code == 204
    assert tool.call("GET", url, token).status_code == 404


def test_results_and_members_come_in_pages(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    course = tool.state()["courses"][0]
    members, pages = tool.read_all(course["memberships_url"], token, "members")
    assert pages == 2
    people = {one["user_id"]: one for one in members}
    assert len(people) == len(members) == 23
    assert not {"guanliyuan", "fangke", "ceshi"} & people.keys()
    assert people["zhao-nainai"]["roles"] == [MEMBERSHIP + "Mentor"]
    assert "name" not in people["wuming"]
    parents = [user for user in people if user.startswith("parent-")]
    for user in [*parents, "chen-mama", "liu-baba", "wuming", "chen-xiaoyu", "ceshi"]:
        assert tool.score(item, token, userId=user).status_code == 200
    results, pages = tool.read_all(f"{item}/results", token)
    assert (len(results), pages) == (21, 2)
    [one] = tool.read_all(f"{item}/results?user_id=parent-03", token)[0]
    assert one["userId"] == "parent-03"


# Switches


def test_service_calls_fail_as_often_as_asked(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    tool.switch(fail_next=1, throttle_next=1, retry_after=7)
    answers = [tool.score(item, token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 429, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "7", None]
    assert [post["status"] for post in tool.state()["posts"]] == [500, 429, 200]


def test_slow_switch_delays_service_answers(tool: Tool) -> None:
    token = tool.token()
    tool.switch(slow=0.4)
    assert tool.call("GET", line_item(tool), token).elapsed.total_seconds() >= 0.4


def test_expired_tokens_and_unpublished_columns(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    tool.switch(expired_tokens=True)
    assert tool.score(item, token).status_code == 401
    tool.switch(expired_tokens=False, unpublished="g1-reading")
    answer = tool.score(item, token)
    assert answer.status_code == 422
    assert "still unpublished" in answer.json()["errors"]["message"]
    assert tool.score(line_item(tool, "g1-eyes"), token).status_code == 200
    tool.switch(unpublished="")
    assert tool.score(item, token).status_code == 200


def test_rotated_key_makes_old_tokens_void(tool: Tool) -> None:
    item, token = line_item(tool), tool.token()
    before = tool.get("/lti/jwks.json").json()["keys"]
    tool.switch(rotate_keys=True)
    after = tool.get("/lti/jwks.json").json()["keys"]
    assert len(before) == len(after) == 1
    assert before[0]["kid"] != after[0]["kid"]
    assert tool.score(item, token).status_code == 401
    assert tool.score(item, tool.token()).status_code == 200
    assert tool.launch("chen-mama", "g1-reading")["sub"] == "chen-mama"


def test_wrong_switch_changes_nothing(tool: Tool) -> None:
    before = tool.state()["switches"]
    for wishes in ({"slow": 1, "unknown": 1}, {"slow": -1}, {"fail_next": "many"}):
        assert tool.session.post(f"{tool.lms}/switches", json=wishes, timeout=SECONDS).status_code == 400
    assert tool.state()["switches"] == before
