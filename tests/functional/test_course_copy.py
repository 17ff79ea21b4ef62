"""A link finds its course again after the LMS has copied it, and the teacher is told what was taken over."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from lti_app.courses.models import Placement
from lti_app.courses.proposals import history
from lti_app.extensions import db
from lti_app.roster.copies import record_copy
from lti_app.roster.models import ResourceLink
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import LTI, FakePlatform
from tests.functional.courses_steps import came, count
from tests.functional.deep_linking_steps import add, items, launch_of, opened, send

NOTE = "带过来"


def placed(app: Flask, link_id: str) -> Placement | None:
    with app.app_context():
        return db.session.scalar(
            select(Placement).join(Placement.resource_link).where(ResourceLink.resource_link_id == link_id)
        )


def at(link_id: str, class_: str, title: str = "周末微课", **custom: Any) -> dict[str, Any]:
    """The changes that let a launch come from this link of this class."""
    return {
        LTI + "resource_link": {"id": link_id, "title": title},
        LTI + "context": {"id": class_, "title": f"{class_} 家长班"},
        LTI + "custom": custom,
    }


def chosen_item(app: Flask, visit: Visitor, **settings: Any) -> dict[str, Any]:
    (item,) = items(app, send(app, add(opened(visit), "second"), **settings))
    return item


@pytest.fixture
def original(app: Flask, visit: Visitor) -> Page:
    """A link of class-1 where the teacher chose the course by hand, and progress."""
    page = visit("teacher", **at("old", "class-1"))
    page.post("/choose", {"course": "second", "counts": "progress", "due_at": "2026-12-01T20:00"})
    return page


def test_a_copied_link_keeps_what_the_teacher_chose_later_and_says_so(app: Flask, visit: Visitor) -> None:
    item = chosen_item(app, visit, counts="result", maximum=20, opens_at="2020-01-01T00:00")
    first = {**at("one", "class-1"), **launch_of(item)}
    visit("teacher", **first).post("/choose", {"course": "second", "counts": "progress"})
    assert placed(app, "one").opens_at is not None

    copied = {**at("two", "class-2"), **launch_of(item)}
    assert "第二门测试课程" in came(visit, "parent", **copied).text, "whoever comes first"
    copy = placed(app, "two")
    assert (copy.counts, copy.maximum, copy.opens_at) == ("progress", 20, None)
    board = visit("teacher", **copied)
    assert NOTE in board.text
    assert "从class-1 家长班的《周末微课》" in board.text
    assert NOTE not in board.post("/class/copy-seen").text
    assert NOTE not in visit("teacher", **copied).text
    assert NOTE not in visit("teacher", **first).text
    assert visit("parent", **copied).post("/class/copy-seen").status == 403


def test_a_copy_that_is_opened_before_its_original_takes_the_item(app: Flask, visit: Visitor) -> None:
    item = chosen_item(app, visit, counts="progress", due_at="2026-12-01T20:00")
    board = visit("teacher", **{**at("two", "class-2"), **launch_of(item)})
    assert "随平台的课程复制带过来" in board.text
    copy = placed(app, "two")
    assert (copy.counts, copy.due_at, copy.copied_from_pk) == ("progress", None, None)


def test_the_nearest_origin_is_taken_where_the_platform_tells_it(app: Flask, visit: Visitor) -> None:
    item = chosen_item(app, visit)
    visit("teacher", **{**at("one", "class-1"), **launch_of(item)})
    second = visit("teacher", **{**at("two", "class-2"), **launch_of(item)})
    second.post("/choose", {"course": "demo", "counts": "nothing"})
    near = {**at("three", "class-3"), **launch_of(item, context_history="class-2,class-1")}
    visit("teacher", **near)
    assert placed(app, "three").counts == "nothing"
    visit("teacher", **{**at("four", "class-4"), **launch_of(item)})
    assert placed(app, "four").counts == "result", "without a history: the original"


def test_an_item_of_another_platform_or_nobody_falls_back_to_the_named_course(
    app: Flask, visit: Visitor
) -> None:
    other = FakePlatform("other.test")
    school = ("--school", "滨江小学", "--district", "渝中区")
    run(app, "platforms", "add", *other.add_arguments, *school)
    item = chosen_item(app, visit)
    stranger = Visitor(app, other)
    page = came(stranger, "parent", **{**at("x", "class-9"), **launch_of(item, gongyu_course="demo")})
    assert "好好说话" in page.text
    for public_id in ("0" * 32, "' OR 1=1", "\u0000", "x" * 4000, item["custom"]["gongyu_item"].upper()):
        custom = {"gongyu_item": public_id, "gongyu_course": "demo"}
        page = came(visit, "parent", **at(f"y{len(public_id)}{public_id[:3]!r}", "class-1", **custom))
        assert "好好说话" in page.text, public_id


@pytest.mark.usefixtures("original")
def test_the_links_own_history_leads_to_its_course(app: Flask, visit: Visitor) -> None:
    copied = at("new", "class-2", "改了名字", link_history="older,old,truncated", gongyu_course="demo")
    board = visit("teacher", **copied)
    assert "第二门测试课程" in board.text
    assert "class-1 家长班的《周末微课》" in board.text
    copy = placed(app, "new")
    assert (copy.counts, copy.due_at) == ("progress", None)


@pytest.mark.usefixtures("original")
def test_an_id_that_two_classes_use_is_decided_by_the_classs_history(app: Flask, visit: Visitor) -> None:
    visit("teacher", **at("old", "class-7")).post("/choose", {"course": "demo", "counts": "result"})
    visit("teacher", **at("a", "class-2", link_history="old"))
    assert placed(app, "a") is None, "either could be meant"
    visit("teacher", **at("b", "class-2", link_history="old", context_history="class-7"))
    assert placed(app, "b").counts == "result"


@pytest.mark.usefixtures("original")
@pytest.mark.parametrize("said_by", ["launch", "notice"])
def test_the_classs_history_leads_to_the_link_of_the_same_title(
    app: Flask, visit: Visitor, said_by: str
) -> None:
    custom = {"context_history": "class-0, class-1"} if said_by == "launch" else {}
    if said_by == "notice":
        with app.app_context():
            record_copy(1, "class-2", "class-1")
            db.session.commit()
    board = visit("teacher", **at("new", "class-2", **custom))
    assert NOTE in board.text
    visit("teacher", **at("else", "class-2", "别的标题", **custom))
    assert placed(app, "else") is None
    # Two of one title: neither is guessed.
    visit("teacher", **at("twin", "class-1")).post("/choose", {"course": "demo", "counts": "result"})
    visit("teacher", **at("third", "class-2", **custom))
    assert placed(app, "third") is None


NO_HISTORY = ["", "truncated", "timed out", "$ResourceLink.id.history", "nonsense", ",,,", "x" * 5000]


@pytest.mark.usefixtures("original")
@pytest.mark.parametrize("said", NO_HISTORY)
def test_what_is_no_history_is_none(app: Flask, visit: Visitor, said: str) -> None:
    visit("teacher", **at("new", "class-2", "别的", link_history=said, context_history=said))
    assert count(app, Placement) == 1


@pytest.mark.usefixtures("original")
def test_a_history_is_not_believed_across_platforms(app: Flask) -> None:
    other = FakePlatform("other.test")
    run(app, "platforms", "add", *other.add_arguments, "--school", "滨江小学", "--district", "渝中区")
    stranger = Visitor(app, other)
    page = stranger("teacher", **at("new", "class-2", link_history="old", context_history="class-1"))
    assert "选择课程" in page.text
    assert count(app, Placement) == 1


def test_waiting_learners_cost_no_more_with_a_long_history(app: Flask, visit: Visitor) -> None:
    def counted(custom: dict[str, str]) -> int:
        page = came(visit, "parent", **at("lost", "class-5", **custom))
        with QueryCount(app) as queries:
            page.get("/")
        return len(queries)

    ids = ",".join(f"id-{number}" for number in range(300))
    few = counted({"link_history": "a", "context_history": "b"})
    assert counted({"link_history": ids, "context_history": ids}) == few


@given(
    st.lists(st.sampled_from(["a", "b", "c", " a", "", "truncated", "Timed Out", "$X.y", "$"]), max_size=80)
)
def test_a_history_keeps_its_order_and_names_each_once(parts: list[str]) -> None:
    ids = history(",".join(parts))
    assert len(ids) == len(set(ids)) <= 50
    firsts = [part.strip() for part in parts if part.strip() in ("a", "b", "c")]
    assert ids == list(dict.fromkeys(firsts))
