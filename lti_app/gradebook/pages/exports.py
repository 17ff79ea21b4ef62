"""The cells of the sync page as a table for a spreadsheet program."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from flask_babel import gettext

from integrations.content.spreadsheet import Sheet, write_csv_for_people, write_xlsx
from lti_app.gradebook.pages import words
from lti_app.gradebook.pages.listing import MOST_EXPORTED, Asked, cells_by_person
from lti_app.gradebook.queries import ScoreRow
from lti_app.launches.current import require_context

WIDTHS = (14, 16, 24, 10, 14, 14, 16, 12, 40, 16, 40)


def as_csv(asked: Asked) -> bytes:
    """The cells asked for, safe to open: one statement, at most `MOST_EXPORTED` rows."""
    return write_csv_for_people(_table(asked))


def as_xlsx(asked: Asked) -> bytes:
    """The same as a workbook in which every cell is text."""
    return write_xlsx([Sheet(gettext("成绩同步"), _table(asked), WIDTHS)])


def _table(asked: Asked) -> list[list[str]]:
    found = cells_by_person(asked)
    zone = ZoneInfo(require_context().school.time_zone)
    table = [_head(), *(_line(sis_id, row, zone) for sis_id, row in found)]
    if len(found) == MOST_EXPORTED:
        table.append([gettext("只有前 %(count)s 行。请按栏筛选后再导出。", count=MOST_EXPORTED)])
    return table


def _head() -> list[str]:
    return [
        gettext("姓名"),
        gettext("学号"),
        gettext("成绩栏"),
        gettext("这里的成绩"),
        gettext("学校平台显示"),
        gettext("学校平台的满分"),
        gettext("核对时间"),
        gettext("情况"),
        gettext("说明"),
        gettext("最近写入"),
        gettext("平台的回答"),
    ]


def _line(sis_id: str, row: ScoreRow, zone: ZoneInfo) -> list[str]:
    told = row.told
    return [
        words.display_name(row),
        sis_id,
        row.column,
        _number(row.given * 100 / row.maximum) + "%",
        *_seen(row),
        _moment(row.seen_at if row.is_seen else None, zone),
        str(told.word),
        str(told.sentence),
        _moment(row.sent_at, zone),
        row.detail,
    ]


def _seen(row: ScoreRow) -> tuple[str, str]:
    """What the LMS showed and out of how many, in two cells: together a program takes them for a date."""
    if not row.is_seen:
        return "", ""
    given = gettext("没有成绩") if row.seen_given is None else _number(row.seen_given / 100)
    return given, _number(row.seen_maximum / 100) if row.seen_maximum else ""


# Not as the page's language writes them: a program sorts these, and thousands are made at once.
def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _moment(moment: datetime | None, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") if moment else ""
