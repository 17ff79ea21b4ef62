"""What the picker says about platforms, in the page's language."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask_babel import gettext

from integrations.terms import ContentHint
from lti_app.courses.models import Counts


def hours_choices() -> dict[str, tuple[str, tuple[int, int]]]:
    """(word, least and most class hours in hundredths) by the value of the filter."""
    return {
        "short": (gettext("1 课时以内"), (1, 100)),
        "medium": (gettext("1 到 2 课时"), (101, 200)),
        "long": (gettext("2 课时以上"), (201, 100_000)),
    }


def counts_choices() -> list[tuple[Counts, str]]:
    """(value, words) for each thing that a column may count."""
    return [
        (Counts.RESULT, gettext("学完时写一次成绩")),
        (Counts.PROGRESS, gettext("边学边写进度")),
        (Counts.NOTHING, gettext("不写成绩册")),
    ]


def before(hints: Iterable[ContentHint]) -> list[str]:
    """What to know while choosing."""
    return _of(
        hints,
        {
            ContentHint.REPLACES: gettext("平台的这个位置原来选的内容会被换掉。"),
            ContentHint.RENAMES: gettext("平台里这项作业的名称、说明和分值会换成这里的。"),
            ContentHint.NEW_MODULE: gettext("平台会为这些课程新建一个单元。"),
            ContentHint.NO_COLUMN_HERE: gettext(
                "从平台的这个位置添加的链接没有成绩列；需要成绩的话，请从平台的作业页面添加。"
            ),
            ContentHint.POINTS_SET_THERE: gettext("满分由平台里这个位置的设置决定。"),
        },
    )


def about_dates(hints: Iterable[ContentHint]) -> str:
    """Where the dates hold."""
    if ContentHint.DATES_STAY_HERE in hints:
        return gettext("平台不接收日期：日期在共育的页面里生效，平台的日历里看不到。")
    return gettext("日期会一并交给平台；平台没有收下的，在共育的页面里照样生效。")


def afterwards(hints: Iterable[ContentHint]) -> list[str]:
    """What is left to do in the platform."""
    return _of(
        hints,
        {
            ContentHint.CONFIRM_THERE: gettext("回到平台后请再看一眼，然后保存：不保存就不会出现在课程里。"),
            ContentHint.PUBLISH_THERE: gettext(
                "平台先把它们放成“未发布”：请在平台里发布，家长才看得到，成绩才能写入。"
            ),
        },
    )


def _of(hints: Iterable[ContentHint], texts: dict[ContentHint, Any]) -> list[str]:
    chosen = set(hints)
    return [str(text) for hint, text in texts.items() if hint in chosen]
