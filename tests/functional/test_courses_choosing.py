"""Which course a link shows, who may say so, and who may look at whose work."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from lti_app.courses.models import Placement, Visit
from lti_app.gradebook.models import Score
from tests.browsing import QueryCount, Visitor
from tests.conftest import ROOT, run
from tests.fake_platform import LTI, FakePlatform
from tests.functional.courses_steps import WRONG, came, count, finish, hand_in, import_pack, only, traces
from tests.unit.courses.pack_writer import COURSE

REVIEW = {LTI + "message_type": "LtiSubmissionReviewRequest"}


@pytest.fixture
def visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


@pytest.fixture
def catalogue(lite_app: Flask) -> None:
    """The demo catalogue as it is shipped."""
    run(lite_app, "courses", "import", str(ROOT / "lti_app/demo/courses"))


def test_the_custom_parameter_chooses_at_the_first_visit_and_the_teacher_later(
    lite_app: Flask, visit: Visitor
) -> None:
    assert "测试课程：好好说话" in came(visit, "parent").text
    teacher = visit("teacher")
    assert teacher.post("/choose", {"course": "second", "counts": "result"}).status == 200
    assert "第二门测试课程" in came(visit, "parent").text, "the parameter does not win against a teacher"
    assert count(lite_app, Placement) == 1


def test_an_anonymous_visitor_sees_the_course_and_leaves_nothing(lite_app: Flask, visit: Visitor) -> None:
    page = visit("anonymous")
    assert "测试课程：好好说话" in page.text
    assert "预览：不会记录进度" in page.text
    assert page.get("/lessons/read").status == 200
    assert count(lite_app, Placement) == 0
    assert traces(lite_app) == {}


@pytest.mark.parametrize("link", ["/class-1", "no-such-course"])
def test_learners_wait_kindly_until_a_course_is_chosen(lite_app: Flask, visit: Visitor, link: str) -> None:
    page = came(visit, "parent", link)
    assert "老师" in page.text
    assert ("请联系老师" in page.text) == (link != "/class-1")
    assert "课程还没有准备好" in page.get("/course").text
    for path in ("/lessons/read", "/media/1/x.png", "/lessons/quiz/result"):
        assert page.get(path).status == 404
    assert page.get("/choose").status == 403
    assert page.post("/choose", {"course": "demo", "counts": "result"}).status == 403
    assert count(lite_app, Placement) == 0


def test_a_teacher_of_a_link_without_a_course_chooses_one(lite_app: Flask, visit: Visitor) -> None:
    page = visit("teacher", "/class-1")
    assert "选择课程" in page.text
    assert "共 2 门课程" in page.text
    card = page.get("/choose?course=second")
    assert "第二门测试课程" in card.text
    assert "第一次有分数时它就会显示为已完成" in card.text
    missing = page.post("/choose", {"course": "second"})
    assert missing.status == 422
    assert "请选择成绩册显示什么" in missing.text
    assert page.post("/choose", {"course": "none-such", "counts": "result"}).status == 404
    assert page.post("/choose", {"course": "second", "counts": "progress"}).status == 200
    assert only(lite_app, Placement).counts == "progress"
    assert "第二门测试课程" in came(visit, "parent", "/class-1").text


def test_an_unknown_parameter_is_told_to_the_teacher(visit: Visitor) -> None:
    page = visit("teacher", "no-such-course")
    assert "gongyu_course 写的是“no-such-course”" in page.text
    assert "共 2 门课程" in page.text


def test_a_link_shows_another_courses_scores_only_for_who_did_it(lite_app: Flask, visit: Visitor) -> None:
    finish(came(visit, "parent"))
    visit("teacher").post("/choose", {"course": "second", "counts": "result"})
    page = came(visit, "parent")
    assert "祝贺" not in page.text
    page.post("/lessons/only/read")
    assert only(lite_app, Score).given == 10_000
    assert count(lite_app, Visit) == 1


SEARCHES = [
    ("q=共读", "每天十五分钟亲子共读", 1),
    ("q=%20作业%20写作业", "作业不用催", 1),
    ("stage=senior", "高考前的家", None),
    ("stage=kindergarten&kind=general", "每天十五分钟亲子共读", None),
    ("q=%25", None, 0),
    ("q=zzz&stage=nonsense&kind=x&page=-4", None, 0),
    ("page=99999999999999999999", "共 20 门课程", None),
    ("page=x", "共 20 门课程", None),
    ("q=%00%0a", "共 20 门课程", None),
]


@pytest.mark.usefixtures("catalogue")
def test_the_catalogue_is_searched_and_filtered(visit: Visitor) -> None:
    page = visit("teacher", "/class-1")
    for query, shown, found in SEARCHES:
        answer = page.get(f"/choose?{query}")
        assert answer.status == 200, query
        if shown:
            assert shown in answer.text, query
        if found == 0:
            assert "没有找到这样的课程" in answer.text, query
        elif found:
            assert f"共 {found} 门课程" in answer.text, query
    for bad in ("none", "../x", "%00", "é"):
        assert page.get(f"/choose?course={bad}").status == 404


def test_a_review_shows_the_named_login_to_the_teacher(visit: Visitor) -> None:
    page = came(visit, "parent")
    hand_in(page, WRONG)
    finish(page)
    came(visit, "father")
    review = visit("teacher", **REVIEW, **{LTI + "for_user": {"user_id": "u-parent"}})
    assert "陈妈妈" in review.text
    assert "结业成绩 100" in review.text
    assert "第 2 次" in review.text
    assert "未通过" in review.text
    other = visit("teacher", **REVIEW, **{LTI + "for_user": {"user_id": "u-nobody"}})
    assert "还没有开始" in other.text
    elsewhere = visit("teacher", "demo/class-2", **REVIEW, **{LTI + "for_user": {"user_id": "u-parent"}})
    assert "陈妈妈" in elsewhere.text
    assert "还没有开始" in elsewhere.text, "what happened in another class is not this teacher's"


def test_a_review_is_shown_to_oneself_and_refused_to_other_parents(visit: Visitor) -> None:
    """moodle-captures 12: a parent can make the LMS send a review of anybody."""
    came(visit, "father")
    hand_in(came(visit, "parent"))
    own = visit("parent", **REVIEW, **{LTI + "for_user": {"user_id": "u-parent"}})
    assert "我的学习情况" in own.text
    assert "第 1 次" in own.text
    for user in ("father", "observer", "test-student", "anonymous"):
        forged = visit(user, **REVIEW, **{LTI + "for_user": {"user_id": "u-parent"}})
        assert forged.status == 403, user
        assert "第 1 次" not in forged.text
    assert came(visit, "parent").get("/review").status == 403, "no review was asked for"


def test_pages_make_as_many_queries_for_one_row_as_for_many(
    lite_app: Flask, visit: Visitor, tmp_path: Path
) -> None:
    def counted() -> dict[str, int]:
        found = {}
        parent, teacher = came(visit, "parent", "listening"), visit("teacher", "/class-1")
        parent.get("/lessons/read")
        parent.get("/lessons/film")
        hand_in(parent, (["0"], ["1"]))
        review = visit("teacher", "listening", **REVIEW, **{LTI + "for_user": {"user_id": "u-parent"}})
        for page, path in (
            (parent, "/course"),
            (parent, "/lessons/read"),
            (parent, "/lessons/film"),
            (parent, "/lessons/quiz"),
            (parent, "/lessons/quiz/result"),
            (teacher, "/choose"),
            (teacher, "/choose?course=listening"),
            (review, "/review"),
        ):
            with QueryCount(lite_app) as queries:
                assert page.get(path).status == 200
            found[path] = len(queries)
        return found

    import_pack(lite_app, tmp_path / "pack")
    few = counted()
    pack = tmp_path / "pack"
    names = [f"more-{number}.md" for number in range(30)]
    for name in names:
        head = f"slug: {name[:-3]}\ntitle: 又一节\nkind: article\nminutes: 5\n"
        (pack / name).write_text(f"---\n{head}---\n![图](media/kneel.png)\n")
    longer = COURSE.replace("03.md]", "03.md, " + ", ".join(names) + "]")
    import_pack(lite_app, pack, version=2, course=longer)
    run(lite_app, "courses", "import", str(ROOT / "lti_app/demo/courses"))
    many = counted()
    assert many == few
    assert max(few.values()) <= 14, few
