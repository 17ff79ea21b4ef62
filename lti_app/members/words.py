"""What teachers read about members and about the reading of the roster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask_babel import gettext, lazy_gettext

from integrations.terms import CourseRole
from lti_app.members.queries import MemberRow
from lti_app.roster.models import Audience, PersonKind
from lti_app.roster.sync_models import RosterSync, SyncState


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no new list, and what to do."""

    sentence: Any
    next_step: Any


_NOT_ALLOWED = Trouble(
    lazy_gettext("学校平台没有允许共育读取这个班级的名单。"),
    lazy_gettext(
        "请平台管理员在这个工具的设置里打开“姓名与角色服务（Names and Role Provisioning）”，再更新一次。"
    ),
)
_NOT_TRUSTED = Trouble(
    lazy_gettext("学校平台不承认共育的身份，所以没有给名单。"),
    lazy_gettext("请平台管理员从平台打开共育，在“接入”页做一次检查。"),
)
_SILENT = Trouble(
    lazy_gettext("学校平台没有回应。"),
    lazy_gettext("不用做什么，明天会自动再读。也可以过一会儿再更新。"),
)
_UNREADABLE = Trouble(
    lazy_gettext("学校平台给的名单读不懂，所以没有采用。"),
    lazy_gettext("请把下面的代码告诉平台管理员。明天会自动再读。"),
)
_TROUBLES = {
    "scope-not-granted": _NOT_ALLOWED,
    "forbidden": _NOT_ALLOWED,
    "token-refused": _NOT_ALLOWED,
    "refused": _NOT_ALLOWED,
    "not-found": Trouble(
        lazy_gettext("学校平台找不到这份名单：课程或活动可能被移动或删除了。"),
        lazy_gettext("请从平台的课程里重新打开这个活动，再更新一次。"),
    ),
    "no-address": Trouble(
        lazy_gettext("学校平台没有告诉共育名单在哪里。"),
        lazy_gettext("请从平台的课程里重新打开这个活动，再更新一次。"),
    ),
    "nobody-listed": Trouble(
        lazy_gettext("学校平台给的名单上一个人也没有。"),
        lazy_gettext(
            "如果课程里确实有人，请平台管理员在这个工具的设置里允许它看到课程成员（也包括还没有用过它的人）。"
        ),
    ),
    "invalid-client": _NOT_TRUSTED,
    "invalid-grant": _NOT_TRUSTED,
    "unsupported-grant": _NOT_TRUSTED,
    "invalid-request": _NOT_TRUSTED,
    "signature-refused": _NOT_TRUSTED,
    "clock-differs": _NOT_TRUSTED,
    "key-unknown-to-platform": _NOT_TRUSTED,
    "token-endpoint-cannot-reach-us": _NOT_TRUSTED,
    "not-https": _NOT_TRUSTED,
    "private-address": _NOT_TRUSTED,
    "bad-address": _NOT_TRUSTED,
    "platform-busy": _SILENT,
    "token-endpoint-busy": _SILENT,
    "timeout": _SILENT,
    "unreachable": _SILENT,
    "tls-failed": _SILENT,
}


def trouble_of(sync: RosterSync) -> Trouble:
    """Why a reading failed."""
    return _TROUBLES.get(sync.code or "", _UNREADABLE)


def why_held(sync: RosterSync) -> str:
    """Why a complete reading waits for a person."""
    if sync.code == "empty":
        return gettext("学校平台这次给的名单上一个人也没有，可能是平台出了问题。")
    if sync.code == "unreadable":
        return gettext(
            "名单里有 %(count)s 条读不懂，所以没有出现的人不一定真的离开了。", count=sync.unreadable
        )
    return gettext("名单一次少了三成以上的人，可能是平台出了问题。")


def progress_of(sync: RosterSync) -> str:
    """How far a reading under way is."""
    if sync.state is SyncState.QUEUED:
        return gettext("正在读取名单。")
    if sync.code is not None:
        return gettext(
            "学校平台暂时没有回应，稍后会从中断的地方接着读。已读到 %(count)s 人。", count=sync.seen
        )
    return gettext("正在读取名单，已读到 %(count)s 人。", count=sync.seen)


def display_name(row: MemberRow) -> str:
    return row.name or gettext("未提供姓名 #%(number)s", number=row.lti_user_pk)


def role_word(row: MemberRow, audience: Audience | None) -> str:
    """What somebody is in the class: by the platform's role, a Learner by what is known of them."""
    fixed = {
        CourseRole.INSTRUCTOR: gettext("老师"),
        CourseRole.ASSISTANT: gettext("助教"),
        CourseRole.MENTOR: gettext("观察家长"),
        CourseRole.OTHER: gettext("其他成员"),
    }
    if row.role in fixed:
        return fixed[row.role]
    if row.kind is None and audience is Audience.FAMILIES:
        return gettext("家庭账号")
    by_audience = {Audience.PARENTS: PersonKind.PARENT, Audience.PUPILS: PersonKind.PUPIL}
    kind = row.kind or (by_audience.get(audience) if audience else None)
    if kind is None:
        return gettext("家长或学生")
    return gettext("家长") if kind is PersonKind.PARENT else gettext("学生")
