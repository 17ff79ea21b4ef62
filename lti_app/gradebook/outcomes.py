"""What teachers read about the state of a score: a word, a sentence, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext

from integrations.terms import Outcome
from lti_app.gradebook.models import Difference, ScoreState, Sends


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
        lazy_gettext("不用做什么。想改用这里的成绩，点“用这里的成绩”。"),
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

PAUSED = Told(
    lazy_gettext("已暂停"),
    "info",
    "pause-circle",
    lazy_gettext("老师暂停了这一栏的发送，成绩先存在这里。"),
    lazy_gettext("想继续写入成绩册时，请恢复发送，存下的成绩会一起补发。"),
)
ON_RELEASE = Told(
    lazy_gettext("等老师公布"),
    "info",
    "envelope",
    lazy_gettext("成绩已经记下，老师公布后才写入学校平台。"),
    lazy_gettext("准备好以后，点“公布成绩”。"),
)
DROPPED = Told(
    lazy_gettext("不写入"),
    "info",
    "dash-circle",
    lazy_gettext("这里现在不计成绩，或者这一栏正在移除，所以成绩不写入学校平台。"),
    lazy_gettext("不用做什么。想计成绩的话，请在课程设置里改回来。"),
)
NO_COLUMN = Told(
    lazy_gettext("正在建栏"),
    "waiting",
    "hourglass-split",
    lazy_gettext("学校平台的成绩册里还没有这一栏，正在新建。"),
    lazy_gettext("不用做什么，建好后自动写入。"),
)
SENT_AGAIN_BY_HAND = lazy_gettext(
    "不用做什么。想改用这里的成绩，请先在学校平台里取消这个人的改分，再点“用这里的成绩”。"
)
DIFFERENCES = {
    Difference.ROUNDED: Told(
        lazy_gettext("已写入"),
        "done",
        "check-circle-fill",
        lazy_gettext("学校平台收下了成绩，按自己的规则取了整，和这里差一点点。"),
        lazy_gettext("不用做什么。"),
    ),
    Difference.CAPPED: Told(
        lazy_gettext("已写入"),
        "done",
        "check-circle",
        lazy_gettext("学校平台收下了成绩，但是只记到它自己的上限。"),
        lazy_gettext("不用做什么。想要别的上限，请在学校平台里改这一栏的满分。"),
    ),
    Difference.LATE: Told(
        lazy_gettext("迟交扣分"),
        "info",
        "clock",
        lazy_gettext("学校平台收下了成绩，并按那里的迟交规则扣了分。"),
        lazy_gettext("不用做什么。不想扣分的话，请在学校平台里改迟交规则或截止日期。"),
    ),
    Difference.CHANGED: OUTCOMES[Outcome.OVERRIDDEN],
    Difference.CLEARED: Told(
        lazy_gettext("老师已清除"),
        "info",
        "eraser",
        lazy_gettext("老师在学校平台里清除了这个成绩，我们不再写回去。"),
        lazy_gettext("不用做什么。想改用这里的成绩，点“用这里的成绩”。"),
    ),
    Difference.SWALLOWED: OUTCOMES[Outcome.SWALLOWED],
}
"""What the LMS shows of a score that it took, where that is not what was sent. Pages add both numbers."""

_WITHHELD = {"paused": PAUSED, "on-release": ON_RELEASE, "no-column": NO_COLUMN}


def kept_by(*, paused: bool, sends: Sends, is_unmade: bool) -> str | None:
    """What keeps the results of a column like this here, if anything does: the teacher ("paused", "on-release"), or that the
    LMS has no such column yet ("no-column")."""
    if paused:
        return "paused"
    if sends is Sends.ON_RELEASE:
        return "on-release"
    return "no-column" if is_unmade else None


def told(
    state: ScoreState,
    outcome: Outcome | None,
    due_at: datetime | None,
    *,
    withheld: str | None = None,
    difference: Difference | None = None,
    keeps_teacher_grades: bool = False,
) -> Told:
    """What to say about a score in this state.

    `withheld`: `kept_by` of its column; said only of one that is kept back. `keeps_teacher_grades`: of the platform, where a teacher's grade stays whatever is sent.
    """
    if state is ScoreState.DROPPED:
        return DROPPED
    overridden = state is ScoreState.HELD and outcome is Outcome.OVERRIDDEN
    if (overridden or state is ScoreState.SENT) and difference is not None:
        return _of_override(DIFFERENCES[difference], overridden and keeps_teacher_grades)
    if outcome is not None:
        return _of_override(OUTCOMES[outcome], overridden and keeps_teacher_grades)
    if state is ScoreState.SENT:
        return OUTCOMES[Outcome.SENT]
    if due_at is not None:
        return QUEUED
    return _WITHHELD[withheld] if withheld is not None else NOT_YET


def _of_override(words: Told, stays_there: bool) -> Told:
    return replace(words, next_step=SENT_AGAIN_BY_HAND) if stays_there else words
