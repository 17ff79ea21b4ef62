"""The picker: a teacher chooses inside the LMS, the LMS gets a signed answer, and the links find their course."""

from __future__ import annotations

import re
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from lti_app.clock import utc_now
from lti_app.courses.models import ContentItem, Course, CourseStatus, Placement
from lti_app.deep_linking.models import ContentAnswer, PickedCourse
from lti_app.deep_linking.services import moved
from lti_app.extensions import db
from tests.browsing import QueryCount, Visitor
from tests.conftest import ROOT, run
from tests.fake_platform import LTI, FakePlatform
from tests.functional.courses_steps import came, count, only
from tests.functional.deep_linking_steps import (
    DL,
    add,
    answered,
    asking,
    basket_form,
    items,
    launch_of,
    opened,
    pick_ids,
    send,
)


@pytest.fixture
def visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


@pytest.fixture
def catalogue(lite_app: Flask) -> None:
    """The demo catalogue as it is shipped."""
    run(lite_app, "courses", "import", str(ROOT / "lti_app/demo/courses"))


def test_two_courses_go_to_the_platform_in_the_chosen_order(lite_app: Flask, visit: Visitor) -> None:
    page = opened(visit, data="keep <this> 原样")
    assert "挑选课程" in page.text
    assert "class-1 家长班" in page.text
    page = add(page, "second", "demo")
    assert "已选 2 门" in page.text
    first, last = pick_ids(lite_app)
    form = basket_form(lite_app, maximum=20)
    page = page.post("/pick/basket", {**form, f"counts-{first}": "progress", "action": f"down-{first}"})
    assert pick_ids(lite_app) == [last, first]
    assert 'value="20"' in page.html, "moving a course keeps what was typed"
    page = page.post("/pick/basket", {**form, f"counts-{first}": "progress", "action": "send"})

    claims = answered(lite_app, page)
    assert claims["iss"] == "client-of-lms.test"
    assert claims["aud"] == "https://lms.test"
    assert claims["exp"] - claims["iat"] <= 310
    assert len(claims["nonce"]) >= 22
    assert claims[LTI + "message_type"] == "LtiDeepLinkingResponse"
    assert claims[LTI + "version"] == "1.3.0"
    assert claims[LTI + "deployment_id"] == "1"
    assert claims[f"{DL}data"] == "keep <this> 原样"
    one, two = claims[f"{DL}content_items"]
    assert one["url"] == two["url"] == "https://tool.test/lti/launch"
    assert one["title"] == "测试课程：好好说话"
    assert one["lineItem"] == {
        "scoreMaximum": 20,
        "label": "测试课程：好好说话",
        "resourceId": "demo",
        "tag": "result",
    }
    assert two["lineItem"]["tag"] == "progress"
    assert two["custom"]["gongyu_course"] == "second"
    ids = [one["custom"]["gongyu_item"], two["custom"]["gongyu_item"]]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    policy = page.response.headers["Content-Security-Policy"]
    assert "form-action 'self' https://lms.test;" in policy
    assert count(lite_app, ContentItem) == 2


def test_data_is_sent_only_when_the_platform_sent_some(lite_app: Flask, visit: Visitor) -> None:
    page = send(lite_app, add(opened(visit), "demo"))
    assert f"{DL}data" not in answered(lite_app, page)


def test_the_embedded_link_shows_its_course_as_it_was_chosen(lite_app: Flask, visit: Visitor) -> None:
    page = send(lite_app, add(opened(visit), "second"), counts="progress", maximum=30)
    (item,) = items(lite_app, page)
    assert "第二门测试课程" in came(visit, "parent", "/class-1", **launch_of(item)).text
    placement = only(lite_app, Placement)
    assert (placement.counts, placement.maximum, placement.copied_at) == ("progress", 30, None)
    board = visit("teacher", "/class-1", **launch_of(item))
    assert "平台成绩册里的满分：30" in board.text
    assert "带过来" not in board.text
    # What the teacher chooses later stays.
    board.post("/choose", {"course": "demo", "counts": "result"})
    assert "好好说话" in came(visit, "father", "/class-1", **launch_of(item)).text


def test_choosing_anew_for_a_link_replaces_what_was_chosen_before_it_only(
    lite_app: Flask, visit: Visitor
) -> None:
    (old,) = items(lite_app, send(lite_app, add(opened(visit), "demo"), opens_at="2020-01-01T00:00"))
    board = visit("teacher", "/class-1", **launch_of(old))
    board.post("/choose", {"course": "demo", "counts": "progress"})
    (new,) = items(lite_app, send(lite_app, add(opened(visit), "second"), maximum=5))
    assert "第二门测试课程" in came(visit, "parent", "/class-1", **launch_of(new)).text
    placement = only(lite_app, Placement)
    assert (placement.counts, placement.maximum, placement.opens_at) == ("result", 5, None)
    # A page that was open since before brings the old link's launch: the newer choice stays.
    assert "第二门测试课程" in came(visit, "father", "/class-1", **launch_of(old)).text
    board.post("/choose", {"course": "demo", "counts": "result"})
    assert "好好说话" in came(visit, "parent", "/class-1", **launch_of(new)).text, (
        "a hand's choice came later"
    )


def test_a_course_that_counts_for_nothing_has_no_column_and_no_score(
    lite_app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    page = send(lite_app, add(opened(visit), "second"), counts="nothing")
    (item,) = items(lite_app, page)
    assert "lineItem" not in item
    parent = came(visit, "parent", "/class-1", **launch_of(item))
    assert "祝贺" in parent.post("/lessons/only/read").text
    run(lite_app, "gradebook", "deliver", "--once")
    assert platform.scores == []
    board = visit("teacher", "/class-1", **launch_of(item))
    assert "老师设了这个活动不写成绩册" in board.text
    # Changed his mind: the result that is there already is sent now.
    board.post("/class/counts", {"counts": "result"})
    run(lite_app, "gradebook", "deliver", "--once")
    assert [score["scoreGiven"] for score in platform.scores] == [100]


def test_scores_wait_while_nothing_counts_and_go_when_it_does_again(
    lite_app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    came(visit, "parent", "second").post("/lessons/only/read")
    board = visit("teacher", "second")
    board.post("/class/counts", {"counts": "nothing"})
    run(lite_app, "gradebook", "deliver", "--once")
    assert platform.scores == []
    board.post("/class/counts", {"counts": "result"})
    run(lite_app, "gradebook", "deliver", "--once")
    assert len(platform.scores) == 1


def test_one_item_platforms_go_straight_to_the_settings(lite_app: Flask, visit: Visitor) -> None:
    for silence in (False, ...):
        page = opened(visit, accept_multiple=silence)
        assert "选一门课程" in page.text
        page = add(page, "demo", "second")
        assert "第二门测试课程" in page.text
        assert "好好说话" not in page.text, "the second choice replaces the first"
        assert "再选几门" not in page.text
        assert len(items(lite_app, send(lite_app, page))) == 1


def test_a_platform_without_columns_is_told_about_none(lite_app: Flask, visit: Visitor) -> None:
    page = add(opened(visit, accept_lineitem=False), "demo").get("/pick/basket")
    assert "不建成绩列" in page.text
    assert 'name="maximum' not in page.html
    assert 'name="counts' not in page.html
    (item,) = items(lite_app, page.post("/pick/basket", {"action": "send"}))
    assert "lineItem" not in item
    assert only(lite_app, ContentItem).counts == "nothing"


def test_windows_are_asked_for_only_where_nothing_else_is_taken(lite_app: Flask, visit: Visitor) -> None:
    seen = []
    for targets in (["window"], ["iframe", "window"], ["embed", "window"], []):
        page = opened(visit, accept_presentation_document_targets=targets)
        (item,) = items(lite_app, send(lite_app, add(page, "demo")))
        seen.append(item.get("window"))
    assert seen == [{"targetName": "_blank"}, None, None, None]


def test_a_place_that_takes_no_links_says_so(lite_app: Flask, visit: Visitor) -> None:
    page = opened(visit, accept_types=["file", "image"])
    assert "这里不能放课程" in page.text
    page.post("/pick/courses", {"course": "demo", "action": "add"})
    assert count(lite_app, PickedCourse) == 0
    assert items(lite_app, page.post("/pick/cancel")) == []


def test_nothing_chosen_is_said_before_going_back(lite_app: Flask, visit: Visitor) -> None:
    page = opened(visit)
    empty = page.post("/pick/basket", {"action": "send"})
    assert empty.status == 422
    assert "还没有选课程" in empty.text
    add(page, "demo")
    asked = page.get("/pick/cancel")
    assert "选好的 1 门课程不会交给平台" in asked.text
    assert "还没有" not in page.get("/pick/basket").text, "asking is not doing"
    answer = answered(lite_app, page.post("/pick/cancel"))
    assert answer[f"{DL}content_items"] == []
    assert answer[f"{DL}msg"] == "没有添加课程。"
    with _later(60):
        assert "没有添加课程" in page.get("/pick").text
    assert count(lite_app, ContentItem) == 0


def test_who_comes_back_sees_what_was_sent_and_adds_nothing_twice(lite_app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo")
    first = items(lite_app, send(lite_app, page))
    with _later(60):
        for again in (
            page.get("/pick"),
            page.get("/pick/basket"),
            page.get("/pick/cancel"),
            page.post("/pick/courses", {"course": "second", "action": "add"}),
            send(lite_app, page),
            page.post("/pick/basket", {"action": "save"}),
            page.post("/pick/cancel"),
        ):
            assert "已经交给平台了" in again.text
            assert "data-post-now" not in again.html
        assert items(lite_app, page.get("/pick/sent?again=1")) == first
    assert count(lite_app, ContentItem) == count(lite_app, ContentAnswer) == 1


def test_a_double_click_gets_the_same_answer_twice(lite_app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo")
    form = {**basket_form(lite_app), "action": "send"}
    first, second = (items(lite_app, page.post("/pick/basket", form)) for _ in range(2))
    assert first == second
    assert count(lite_app, ContentItem) == 1


@given(st.lists(st.integers(1, 9), unique=True), st.integers(1, 9), st.sampled_from([-1, 1]))
def test_moving_a_course_moves_it_by_one_place_and_nothing_else(ids: list[int], one: int, step: int) -> None:
    after = moved(ids, one, step)
    assert [other for other in after if other != one] == [other for other in ids if other != one]
    if one in ids:
        assert after.index(one) == min(max(ids.index(one) + step, 0), len(ids) - 1)


def _later(seconds: int) -> Any:
    return time_machine.travel(utc_now().timestamp() + seconds, tick=True)


@pytest.mark.parametrize("user", ["parent", "observer", "pupil", "admin", "anonymous", "test-student"])
def test_only_teachers_choose(visit: Visitor, user: str) -> None:
    page = visit(user, "/class-1", **asking())
    if 'name="kind"' in page.html:
        page = page.post("/who", {"kind": "parent"})
    assert page.get("/pick").status == 403
    for path in ("/pick/basket", "/pick/courses/demo", "/pick/cancel", "/pick/sent"):
        assert page.get(path).status == 403, path
    for path in ("/pick/basket", "/pick/courses", "/pick/cancel"):
        assert page.post(path, {"course": "demo", "action": "add"}).status == 403, path


def test_an_ordinary_launch_is_no_picker(visit: Visitor) -> None:
    page = visit("teacher")
    assert page.get("/pick").status == 403
    assert "往里添加课程" in page.get("/pick").text


BAD_FIELDS = [
    ({"maximum": "0"}, "满分要在 1 到 1000 之间"),
    ({"maximum": "1001"}, "满分要在 1 到 1000 之间"),
    ({"maximum": "9" * 400}, "满分要在"),
    ({"maximum": "12.5"}, "满分要写成整数"),
    ({"maximum": ""}, "满分要写成整数"),
    ({"maximum": "十"}, "满分要写成整数"),
    ({"counts": "everything"}, "请选择成绩册显示什么"),
    ({"opens_at": "tomorrow"}, "请写成“年-月-日 时:分”"),
    ({"due_at": "2026-12-01T10:00+08:00"}, "请写成"),
    ({"closes_at": "9999-12-31T23:59"}, "请写成"),
    ({"opens_at": "2026-12-02T10:00", "closes_at": "2026-12-01T10:00"}, "结束时间要晚于开放时间"),
    ({"closes_at": "2026-12-01T10:00", "due_at": "2026-12-01T10:01"}, "截止时间要在开放的这段时间里"),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD_FIELDS)
def test_bad_settings_are_told_beside_the_field_and_nothing_is_sent(
    lite_app: Flask, visit: Visitor, changes: dict[str, str], sentence: str
) -> None:
    page = add(opened(visit), "demo", "second")
    first, last = pick_ids(lite_app)
    form = {**basket_form(lite_app, maximum=7), "action": "send"}
    answer = page.post("/pick/basket", {**form, **{f"{k}-{last}": v for k, v in changes.items()}})
    assert answer.status == 422
    assert sentence in answer.text
    assert (
        f'name="maximum-{first}" type="number" inputmode="numeric" min="1" max="1000" step="1" value="7"'
        in (answer.html)
    ), "what was typed is still there"
    assert count(lite_app, ContentItem) == count(lite_app, ContentAnswer) == 0
    # What is thrown out need not be right.
    assert page.post("/pick/basket", {**form, f"counts-{last}": "?", "action": f"drop-{last}"}).status == 200
    assert pick_ids(lite_app) == [first]


HOSTILE = [
    ("/pick/courses", {"course": "no-such-course", "action": "add"}, 404),
    ("/pick/courses", {"course": "../x", "action": "add"}, 422),
    ("/pick/courses", {"course": "\x00demo", "action": "add"}, 422),
    ("/pick/courses", {"course": "demo", "action": "explode"}, 422),
    ("/pick/courses", {}, 422),
    ("/pick/basket", {"action": "up-999999999999999999999999"}, 200),
    ("/pick/basket", {"action": "drop-²"}, 200),
    ("/pick/basket", {"action": "drop-0"}, 200),
    ("/pick/basket", {"action": "\x00"}, 200),
    ("/pick/basket", {"maximum-1": "5", "counts-99": "x"}, 200),
]


@pytest.mark.parametrize(("path", "form", "status"), HOSTILE)
def test_hostile_forms_change_nothing(
    app: Flask, platform: FakePlatform, path: str, form: dict[str, str], status: int
) -> None:
    page = opened(Visitor(app, platform))
    assert page.post(path, form).status == status
    assert count(app, PickedCourse) == 0
    for query in (
        "q=%00&stage=x&kind=%F0&page=-1&hours=9",
        "theme=%00" + "x" * 300,
        "page=99999999999999999999",
    ):
        assert page.get(f"/pick?{query}").status == 200
    for bad in ("none", "%00", "é", "demo/none", "demo/%00"):
        assert page.get(f"/pick/courses/{bad}").status == 404


@pytest.mark.parametrize("url", ["https://xn--a.test\\@evil/", "ftp://lms.test/x", "javascript:alert(1)"])
def test_a_return_address_that_no_browser_could_post_to_is_refused(visit: Visitor, url: str) -> None:
    changes = asking(deep_link_return_url=url)
    assert visit.launch("teacher", "/class-1", **changes).status_code in (400, 401)


def test_another_teachers_basket_is_not_touched(lite_app: Flask, visit: Visitor) -> None:
    page = add(opened(visit), "demo")
    (pick,) = pick_ids(lite_app)
    other = opened(visit)
    other.post("/pick/basket", {f"maximum-{pick}": "3", "action": f"drop-{pick}"})
    assert pick_ids(lite_app) == [pick]
    assert only(lite_app, PickedCourse).maximum == 100
    assert "已选 1 门" in page.get("/pick").text
    assert "还没有选课程" in other.get("/pick").text


def test_a_basket_that_is_full_says_so(
    lite_app: Flask, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lti_app.deep_linking.services.MOST_PICKS", 1)
    page = add(opened(visit), "demo", "demo")
    assert "一次最多选" not in page.text, "what is in it already is no further course"
    assert "一次最多选 1 门" in add(page, "second").text
    assert count(lite_app, PickedCourse) == 1


@pytest.mark.usefixtures("catalogue")
def test_search_filters_and_paging_lose_nothing(visit: Visitor) -> None:
    page = add(opened(visit), "demo")
    assert "共 20 门课程" in page.get("/pick").text
    found = page.get("/pick?q=共读&stage=kindergarten")
    assert "每天十五分钟亲子共读" in found.text
    assert "已选 1 门" in found.text
    page.post("/pick/courses?q=共读&page=1", {"course": "shared-reading-15-minutes", "action": "add"})
    again = page.get("/pick?page=2")
    assert "已选 2 门" in again.text
    assert "没有找到这样的课程" in page.get("/pick?q=zzz&hours=long").text
    removed = page.post("/pick/courses", {"course": "demo", "action": "remove"})
    assert "已选 1 门" in removed.text


@pytest.mark.usefixtures("catalogue")
def test_a_course_can_be_read_before_it_is_chosen(lite_app: Flask, visit: Visitor) -> None:
    page = opened(visit)
    card = page.get("/pick/courses/shared-reading-15-minutes?q=共读")
    for words in ("里面有什么", "学分", "课时", "分钟", "加入"):
        assert words in card.text
    links = re.findall(r'class="lesson[^"]*" href="/l/[^/]+(/[^"]+)"', card.html)
    assert len(links) == 4
    for link in links:
        assert page.get(link).status == 200, link
    assert "correct" not in page.get(links[-1]).html
    assert count(lite_app, Placement) == 0


def test_an_empty_catalogue_says_who_fills_it(lite_app: Flask, visit: Visitor) -> None:
    with lite_app.app_context():
        db.session.execute(update(Course).values(status=CourseStatus.DRAFT))
        db.session.commit()
    assert "课程库还是空的" in opened(visit).text


@pytest.mark.usefixtures("catalogue")
def test_pages_make_as_many_queries_for_one_course_as_for_many(lite_app: Flask, visit: Visitor) -> None:
    def counted(page: Any) -> dict[str, int]:
        found = {}
        for path in ("/pick?q=家", "/pick/basket", "/pick/courses/fathers-time"):
            with QueryCount(lite_app) as queries:
                assert page.get(path).status == 200
            found[path] = len(queries)
        with QueryCount(lite_app) as queries:
            page.post("/pick/basket", {**basket_form(lite_app), "action": "send"})
        found["send"] = len(queries)
        with QueryCount(lite_app) as queries:
            page.get("/pick/sent")
        return {**found, "sent": len(queries)}

    few = counted(add(opened(visit), "demo"))
    with lite_app.app_context():
        slugs = list(db.session.scalars(select(Course.slug)))
    many = counted(add(opened(visit), *slugs[:20]))
    assert many == few
    assert max(few.values()) <= 16, few
