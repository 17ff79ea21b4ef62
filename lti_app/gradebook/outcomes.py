"""What teachers read about the state of a score: a word, a sentence, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext

from integrations.terms import Outcome
from lti_app.gradebook.models import ScoreState


@dataclass(frozen=True, slots=True)
class Told:
    """Texts in the page's language. `kind` is a kind of `ui.state`, `icon` a Bootstrap icon."""

    word: Any
    kind: str
    icon: str
    sentence: Any
    next_step: Any


QUEUED = Told(
    lazy_gettext("等待发送"),
    "waiting",
    "hourglass-split",
    lazy_gettext("成绩正在排队，通常几秒钟后写入成绩册。"),
    lazy_gettext("不用做什么。"),
)
NOT_YET = Told(
    lazy_gettext("学习中"),
    "info",
    "pencil",
    lazy_gettext("还没有学完。学校平台只接收最终成绩，学完后自动写入。"),
    lazy_gettext("不用做什么。"),
)
OUTCOMES = {
    Outcome.SENT: Told(
        lazy_gettext("已写入"),
        "done",
        "check-circle-fill",
        lazy_gettext("学校平台的成绩册已收下这个成绩。"),
        lazy_gettext("不用做什么。"),
    ),
    Outcome.RETRY: Told(
        lazy_gettext("稍后重发"),
        "waiting",
        "arrow-repeat",
        lazy_gettext("学校平台暂时没有回应，或者正忙。"),
        lazy_gettext("不用做什么，平台恢复后会自动补发。"),
    ),
    Outcome.FRESH_TIMESTAMP: Told(
        lazy_gettext("稍后重发"),
        "waiting",
        "clock-history",
        lazy_gettext("学校平台认为成绩册里已有更新的成绩，两边的时钟可能不一致。"),
        lazy_gettext("会自动重发。如果一天后仍未写入，请管理员检查服务器时间。"),
    ),
    Outcome.WAITING_FOR_PUBLISH: Told(
        lazy_gettext("等待发布"),
        "waiting",
        "eye-slash",
        lazy_gettext("学校平台里的这项作业还没有发布，暂时不能写入成绩。"),
        lazy_gettext("请在学校平台里发布这项作业；发布后会自动补发，也可以点“再试一次”。"),
    ),
    Outcome.REAUTHENTICATE: Told(
        lazy_gettext("连接被拒绝"),
        "waiting",
        "key",
        lazy_gettext("学校平台没有接受我们的身份凭证。"),
        lazy_gettext("会自动重试。如果一直这样，请管理员检查平台里的工具设置。"),
    ),
    Outcome.NOT_GRADABLE: Told(
        lazy_gettext("不能评分"),
        "error",
        "person-x",
        lazy_gettext("学校平台说这个人在课程里没有可以评分的角色，或者已经离开课程。学分照记。"),
        lazy_gettext("需要成绩的话，请在学校平台里把他加为学生；每天会自动再试，也可以点“再试一次”。"),
    ),
    Outcome.CONTEXT_CLOSED: Told(
        lazy_gettext("课程已结束"),
        "error",
        "calendar-x",
        lazy_gettext("学校平台里的课程已经结束，不再接收成绩。学分照记。"),
        lazy_gettext("重新开放课程后，点“再试一次”。"),
    ),
    Outcome.OVERRIDDEN: Told(
        lazy_gettext("老师已改分"),
        "info",
        "person-check",
        lazy_gettext("老师在学校平台里改过这个成绩，我们不覆盖它。"),
        lazy_gettext("不用做什么。想改用这里的成绩，请先在学校平台里取消改分，再点“再试一次”。"),
    ),
    Outcome.LOCKED: Told(
        lazy_gettext("成绩已锁定"),
        "error",
        "lock",
        lazy_gettext("学校平台里的这一栏或这个成绩已锁定，或者尝试次数已用完。"),
        lazy_gettext("解锁后，点“再试一次”；每天也会自动再试。"),
    ),
    Outcome.MISCONFIGURED: Told(
        lazy_gettext("设置有误"),
        "error",
        "tools",
        lazy_gettext("学校平台拒绝了这个成绩，原因多半在工具的设置或权限。"),
        lazy_gettext("请把这里的说明转给管理员；每天会自动再试，修好后也可以点“再试一次”。"),
    ),
    Outcome.COLUMN_GONE: Told(
        lazy_gettext("找不到这一栏"),
        "error",
        "x-octagon",
        lazy_gettext("成绩册里的这一栏已被删除，或者不再属于我们。"),
        lazy_gettext("请在学校平台里恢复它，或重新添加这个活动并打开一次，再点“再试一次”。"),
    ),
    Outcome.SWALLOWED: Told(
        lazy_gettext("成绩栏不显示"),
        "error",
        "eye-slash",
        lazy_gettext("学校平台每次都说收下了，可是成绩册的这一栏里一个成绩也没有，多半是这一栏不能评分。"),
        lazy_gettext(
            "请在学校平台里把这个活动的成绩类型改为“分数”，满分 1 到 100，再点“再试一次”；每天也会自动再试。"
        ),
    ),
}


def told(state: ScoreState, outcome: Outcome | None, due_at: datetime | None) -> Told:
    """What to say about a score in this state."""
    if outcome is not None:
        return OUTCOMES[outcome]
    if state is ScoreState.SENT:
        return OUTCOMES[Outcome.SENT]
    return NOT_YET if due_at is None else QUEUED
