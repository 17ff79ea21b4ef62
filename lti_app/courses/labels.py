"""The words for what the catalogue's codes mean, in the page's language."""

from __future__ import annotations

from flask_babel import gettext

from lti_app.courses.models import Course, CourseKind, Stage
from lti_app.credits.amounts import plain
from lti_app.roster.models import Audience


def stage_words() -> dict[Stage, str]:
    return {
        Stage.KINDERGARTEN: gettext("幼儿园"),
        Stage.PRIMARY: gettext("小学"),
        Stage.JUNIOR: gettext("初中"),
        Stage.SENIOR: gettext("高中"),
    }


def kind_words() -> dict[CourseKind, str]:
    return {
        CourseKind.GENERAL: gettext("通识课程"),
        CourseKind.FOUNDATION: gettext("基础课程"),
        CourseKind.CUSTOMISED: gettext("个性定制"),
        CourseKind.WEB: gettext("网络优质"),
    }


def audience_words() -> dict[Audience, str]:
    return {
        Audience.PARENTS: gettext("面向家长"),
        Audience.PUPILS: gettext("面向学生"),
        Audience.FAMILIES: gettext("家长和孩子一起"),
    }


def stages_text(course: Course) -> str:
    """The course's school stages in the order of a school life."""
    chosen = {row.stage for row in course.stages}
    separator: str = gettext("、")
    return separator.join(words for stage, words in stage_words().items() if stage in chosen)


def facts(course: Course, *, with_credits: bool) -> list[tuple[str, str]]:
    """(icon, words) of what is worth knowing before the first lesson."""
    items = [
        ("layers", kind_words()[course.kind]),
        ("backpack", stages_text(course)),
        ("clock", gettext("%(hours)s 课时", hours=plain(course.class_hours))),
    ]
    if with_credits:
        items.append(("award", gettext("%(credits)s 学分", credits=plain(course.credits))))
    if course.brand:
        items.append(("bookmark-heart", course.brand))
    return items
