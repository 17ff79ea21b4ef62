"""What the sync page says of a class and of its columns; of a single cell `outcomes` does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from flask_babel import format_decimal, gettext, lazy_gettext

from lti_app.gradebook.models import Keeps, LineItem, ReadingState, Sends
from lti_app.gradebook.pages.listing import ColumnRow, Group, Numbers
from lti_app.gradebook.queries import ScoreRow
from lti_app.gradebook.services import FULL
from lti_app.launches.current import local_text

GROUPS = {
    Group.ALL: (lazy_gettext("全部"), "list-ul"),
    Group.NEEDS: (lazy_gettext("需要处理"), "exclamation-octagon-fill"),
    Group.SENDING: (lazy_gettext("等待写入"), "hourglass-split"),
    Group.SENT: (lazy_gettext("已写入"), "check-circle-fill"),
    Group.CHANGED: (lazy_gettext("老师已改分"), "person-check"),
    Group.UNSENT: (lazy_gettext("不发送"), "pause-circle"),
}
"""The word and the icon of each filter."""

_NO_RIGHT = lazy_gettext(
    "学校平台没有允许共育这样使用成绩册，发送不受影响。请平台管理员在这个工具的设置里允许它管理成绩栏、读取成绩。"
)
_GONE = lazy_gettext("学校平台找不到这一栏，可能已被移动或删除。")
_REFUSED = lazy_gettext("学校平台没有接受我们的身份凭证。请平台管理员在“接入”页做一次检查。")
_SILENT = lazy_gettext("学校平台没有回应，稍后会自动再试。")
_OTHER = lazy_gettext("学校平台的回答看不懂。稍后会自动再试；一直这样的话，请把代码告诉平台管理员。")
_TROUBLES = {
    "scope-not-granted": _NO_RIGHT,
    "forbidden": _NO_RIGHT,
    "context-closed": lazy_gettext("学校平台里的课程已经结束，成绩册不再变动。"),
    "not-found": _GONE,
    "token-refused": _REFUSED,
    "refused": _REFUSED,
    "invalid-client": _REFUSED,
    "platform-busy": _SILENT,
    "token-endpoint-busy": _SILENT,
    "timeout": _SILENT,
    "unreachable": _SILENT,
    "tls-failed": _SILENT,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence with the kind of `ui.state` or `ui.alert` that it comes in, and what else there is to say."""

    kind: str
    text: str
    more: str = ""


def summary(numbers: Numbers, releasable: int = 0) -> Said:
    """The truth for the class: the most pressing fact, and the others. Of those unsent, `releasable` wait for
    the teacher to release them. With nothing to say of any cell, "empty"."""
    count = numbers.groups
    if not count[Group.ALL]:
        return Said("empty", gettext("还没有成绩。"))
    if count[Group.SENT] == count[Group.ALL]:
        return Said("done", gettext("%(count)s 个成绩都已写入成绩册。", count=count[Group.ALL]))
    unsent = count[Group.UNSENT] - releasable
    parts = [
        (count[Group.NEEDS], gettext("%(count)s 个需要您处理", count=count[Group.NEEDS])),
        (count[Group.SENDING], gettext("%(count)s 个等待写入", count=count[Group.SENDING])),
        (releasable, gettext("%(count)s 个等您公布", count=releasable)),
        (count[Group.SENT], gettext("%(count)s 个已写入成绩册", count=count[Group.SENT])),
        (count[Group.CHANGED], gettext("%(count)s 个保留老师改的分", count=count[Group.CHANGED])),
        (unsent, gettext("%(count)s 个现在不发送", count=unsent)),
    ]
    first, *others = [part for some, part in parts if some]
    more = gettext("另外 %(facts)s。", facts=gettext("，").join(others)) if others else ""
    return Said(_kind(count, releasable), gettext("%(facts)s。", facts=first), more)


def _kind(count: dict[Group, int], releasable: int) -> str:
    if count[Group.NEEDS]:
        return "error"
    if count[Group.SENDING]:
        return "waiting"
    return "done" if count[Group.SENT] + count[Group.CHANGED] and not releasable else "info"


def progress(reading: int, sending: int) -> str:
    """What is under way in a class."""
    parts = []
    if sending:
        parts.append(gettext("正在发送，还有 %(count)s 个成绩。", count=sending))
    if reading:
        parts.append(gettext("正在核对，还有 %(count)s 栏。", count=reading))
    return " ".join(parts)


def policy(column: LineItem) -> list[tuple[str, str]]:
    """What was chosen for a column besides the usual, each with an icon."""
    chosen = []
    if column.paused:
        chosen.append(("pause-circle", gettext("已暂停")))
    if column.sends is Sends.ON_RELEASE:
        chosen.append(("megaphone", gettext("公布后才发送")))
    if column.keeps is Keeps.BEST:
        chosen.append(("trophy", gettext("只升不降")))
    return chosen


def place(column: LineItem) -> Said | None:
    """What is being done to the column itself in the LMS; None when nothing is."""
    if column.wants_deletion:
        return Said("waiting", gettext("正在从学校平台的成绩册里删除这一栏。"))
    if column.url is None and column.attempts:
        why = str(_TROUBLES.get(column.reading_error or "", _SILENT))
        return Said("waiting", gettext("成绩册里还没有建成这一栏，成绩都记着。%(why)s", why=why))
    if column.is_unmade:
        return Said("waiting", gettext("正在学校平台的成绩册里建这一栏，成绩都记着。"))
    if column.url is None:
        return Said("waiting", gettext("成绩册里还没有这一栏，发送第一个成绩时建。"))
    return None


def reading(row: ColumnRow) -> Said:
    """When the column was last read back, and what that found."""
    column = row.column
    if row.is_read_now:
        return Said("loading", gettext("正在核对。"))
    if column.reading is ReadingState.FAILED:
        why = str(_TROUBLES.get(column.reading_error or "", _OTHER))
        return Said(
            "waiting",
            gettext("没有核对成。%(why)s（代码：%(code)s）", why=why, code=column.reading_error or "-"),
        )
    if column.read_at is None:
        return Said("info", gettext("还没有和成绩册核对过。"))
    found = _found(row.numbers)
    if not found:
        return Said("done", gettext("%(time)s 核对过，全部一致。", time=local_text(column.read_at)))
    return Said("info", gettext("%(time)s 核对过：%(found)s。", time=local_text(column.read_at), found=found))


def _found(numbers: Numbers) -> str:
    parts = []
    if numbers.groups[Group.CHANGED]:
        parts.append(gettext("%(count)s 个被老师改过", count=numbers.groups[Group.CHANGED]))
    if numbers.differing:
        parts.append(gettext("%(count)s 个因取整、满分或迟交而不同", count=numbers.differing))
    if numbers.since:
        parts.append(gettext("%(count)s 个是这以后写入的，还没有核对", count=numbers.since))
    return gettext("，").join(parts)


def keeps_choices() -> list[tuple[str, str, str]]:
    """(value, word, one sentence) for which result a column shows."""
    return [
        ("latest", gettext("最后一次的成绩"), gettext("重做以后，成绩册里换成新的成绩，也可能变低。")),
        ("best", gettext("最好的一次"), gettext("重做只会让成绩变高，不会变低。")),
    ]


def sends_choices() -> list[tuple[str, str, str]]:
    """(value, word, one sentence) for when a column is told."""
    return [
        ("at-once", gettext("有了就发送"), gettext("学员学完，成绩几秒钟后就在成绩册里。")),
        (
            "on-release",
            gettext("我公布时才发送"),
            gettext("成绩先留在这里，您点“公布成绩”时一起写入；以后的新成绩等下一次公布。"),
        ),
    ]


def pause_choices() -> list[tuple[str, str, str]]:
    """(value, word, one sentence) for whether a column is told anything at all."""
    return [
        ("0", gettext("照常发送"), gettext("按上面的选择发送。")),
        ("1", gettext("暂停"), gettext("什么也不写入成绩册，成绩都记着；恢复后一起补写。")),
    ]


def percent(row: ScoreRow) -> str:
    """Ours, of a hundred."""
    return f"{_plain(Decimal(row.given * 100) / row.maximum)}%"


def seen(row: ScoreRow) -> str | None:
    """What the LMS showed when it was last read; None when it was not since we last wrote."""
    if not row.is_seen:
        return None
    if row.seen_given is None:
        return gettext("没有成绩")
    given = _plain(Decimal(row.seen_given) / 100)
    if not row.seen_maximum:
        return given
    return gettext("%(given)s / %(maximum)s", given=given, maximum=_plain(Decimal(row.seen_maximum) / 100))


def seen_percent(row: ScoreRow) -> str | None:
    """The same of a hundred, where that is not what `percent` says or `seen` has said."""
    if row.seen_given is None or not row.seen_maximum or row.seen_maximum == FULL:
        return None
    shown = f"{_plain(Decimal(row.seen_given * 100) / row.seen_maximum)}%"
    return shown if shown != percent(row) else None


def display_name(row: ScoreRow) -> str:
    return row.name or gettext("未提供姓名 #%(number)s", number=row.lti_user_pk)


def next_try(row: ScoreRow, now: datetime) -> str | None:
    """When it is tried again by itself, if that is known and not at once."""
    return local_text(row.due_at) if row.due_at is not None and row.due_at > now and row.outcome else None


def _plain(number: Decimal) -> str:
    return str(format_decimal(number, format="#,##0.##"))


def needs_somebody(row: ScoreRow) -> bool:
    """Whether the next step of a cell is to be shown without asking."""
    return row.told.kind in ("error", "waiting") or row.overruled
