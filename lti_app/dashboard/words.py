"""What the class page says of people who have no score, and who they are."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, lazy_gettext

from integrations.terms import CourseRole
from lti_app.courses.models import Counts
from lti_app.dashboard.queries import Learner
from lti_app.gradebook.outcomes import Told
from lti_app.roster.models import Audience, PersonKind

NOTHING_TO_DO = lazy_gettext("不用做什么。")
OBSERVER = Told(
    lazy_gettext("不记成绩"),
    "info",
    "eye",
    lazy_gettext("学校平台不给观察者记成绩，学分照记。"),
    NOTHING_TO_DO,
)
NOT_STARTED = Told(
    lazy_gettext("未开始"),
    "empty",
    "circle",
    lazy_gettext("还没有开始学，不写成绩。"),
    NOTHING_TO_DO,
)
AT_THE_END = Told(
    lazy_gettext("学习中"),
    "primary",
    "pencil",
    lazy_gettext("学完后写入一次成绩。"),
    NOTHING_TO_DO,
)
NO_COLUMN = Told(
    lazy_gettext("没有成绩列"),
    "waiting",
    "layout-three-columns",
    lazy_gettext("学校平台没有给这个活动成绩列，成绩只显示在这里，学分照记。"),
    lazy_gettext("需要的话，请在学校平台里给这个活动打开评分，再请这位学员打开一次。"),
)
NOT_COUNTED = Told(
    lazy_gettext("不写成绩册"),
    "empty",
    "dash-circle",
    lazy_gettext("老师设了这个活动不写成绩册，学分照记。"),
    NOTHING_TO_DO,
)
NOT_OPENED_HERE = Told(
    lazy_gettext("已在别处学过"),
    "waiting",
    "signpost-split",
    lazy_gettext("这门课是从别的入口学的，还没有打开过这个活动。"),
    lazy_gettext("学员打开一次这个活动，成绩就会写入。"),
)


def told_of(learner: Learner, counts: Counts) -> Told:
    """The state of somebody's gradebook cell: a word, why, and what to do next."""
    if learner.role is CourseRole.MENTOR:
        return OBSERVER
    if counts is Counts.NOTHING:
        return NOT_COUNTED
    if learner.score is not None:
        return learner.score.told
    begun = learner.person_id is not None and learner.percent > 0
    if not begun:
        return NOT_STARTED
    if not learner.opened_here:
        return NOT_OPENED_HERE
    if learner.finished or counts is Counts.PROGRESS:
        return NO_COLUMN
    return AT_THE_END


def kind_word(learner: Learner, audience: Audience | None) -> Any:
    """Parent, pupil or observer, as far as anybody has said it."""
    if learner.role is CourseRole.MENTOR:
        return gettext("观察家长")
    kind = learner.kind or {Audience.PARENTS: PersonKind.PARENT, Audience.PUPILS: PersonKind.PUPIL}.get(
        audience  # type: ignore[arg-type]
    )
    if kind is None:
        return gettext("还不知道是谁")
    return gettext("家长") if kind is PersonKind.PARENT else gettext("学生")


def display_name(learner: Learner) -> Any:
    """The name that the platform gave, with the family name of who of a shared login this is."""
    name = learner.name or gettext("未提供姓名 #%(number)s", number=learner.lti_user_pk)
    return gettext("%(name)s（%(label)s）", name=name, label=learner.label) if learner.label else name


def audience_choices() -> list[tuple[str, Any, Any]]:
    """(value, word, one sentence) for each setting of a class."""
    return [
        ("parents", gettext("家长班"), gettext("学员都是家长：学完课程得学分。")),
        ("pupils", gettext("学生班"), gettext("学员都是学生：记学习进度和成绩，不得学分。")),
        (
            "families",
            gettext("家庭共用账号"),
            gettext("家长和孩子用同一个账号：每次打开先选是谁，随时可以换，学分记给家长。"),
        ),
        ("", gettext("还没有说明"), gettext("每位学员第一次打开时，会被问一次是家长还是学生。")),
    ]


def counts_choices() -> list[tuple[str, Any, Any]]:
    """(value, word, one sentence) for each thing a column can show."""
    return [
        (
            "result",
            gettext("学完时写一次成绩"),
            gettext("测验的成绩；没有测验的课程，学完就是满分。多数班级适合这一项。"),
        ),
        (
            "progress",
            gettext("边学边写进度"),
            gettext(
                "成绩册里是完成的百分比。注意：如果学校平台设了“得到成绩就算完成”，学完第一节就会算完成。"
            ),
        ),
        (
            "nothing",
            gettext("不写成绩册"),
            gettext("只在这里看进度，学校平台不收成绩；已经写入的成绩不会收回。"),
        ),
    ]
