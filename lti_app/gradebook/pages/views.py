"""The sync page: what became of a class's grades, column by column and person by person."""

from __future__ import annotations

import io
from typing import Any

from flask import flash, jsonify, redirect, render_template, request, send_file, url_for
from flask_babel import gettext
from sqlalchemy import and_
from werkzeug.wrappers import Response

from integrations.terms import Outcome
from lti_app.clock import local_day, utc_now
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.gradebook.models import ScoreState
from lti_app.gradebook.oversight.requeue import can_go_again, requeue
from lti_app.gradebook.pages import exports, listing, words
from lti_app.gradebook.pages.blueprint import SCORE, asked_here, back, bp, kept, page_here, score_here
from lti_app.gradebook.pages.listing import PAGE, ColumnRow, Group
from lti_app.gradebook.pages.wish_views import act
from lti_app.gradebook.queries import ScoreRow, resting_until
from lti_app.gradebook.services import retry as try_again
from lti_app.launches.current import local_text, require_context, require_staff

__all__ = ["act", "bp"]

MOST_RETRIED = 500
"""Cells that one press tries again: what one transaction holds on SQLite for well under a second."""
FEW = 6
"""Columns that the page shows at once; of more, those that need somebody."""
FILES = {
    "xlsx": (exports.as_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": (exports.as_csv, "text/csv; charset=utf-8"),
}

KINDS = {
    Group.NEEDS: "error",
    Group.SENDING: "waiting",
    Group.SENT: "done",
    Group.CHANGED: "info",
    Group.UNSENT: "empty",
}


@bp.get("/grades")
def home() -> str:
    """The grades of this launch's class."""
    launch = require_staff()
    asked, now = asked_here(), utc_now()
    columns = listing.columns(asked.context_pk, now)
    shown = [row for row in columns if row.column.id == asked.column_id]
    if asked.column_id is not None and not shown:
        raise NotHere()
    total = listing.sum_of(row.numbers for row in columns)
    found = total
    if asked.words:
        found = listing.numbers(asked, now)
    elif shown:
        found = shown[0].numbers
    page, pages = _paging(found.groups[asked.group])
    resting = resting_until(launch.registration_id)
    first, rest = _most_urgent(columns, asked.column_id)
    releasable = sum(row.releasable for row in columns)
    return render_template(
        "gradebook/home.html",
        asked=asked,
        kept=kept(),
        total=total,
        found=found,
        said=words.summary(total, releasable),
        releasable=releasable,
        waiting=words.progress(sum(row.is_read_now for row in columns), total.now),
        resting=resting is not None and resting > now,
        columns=[_column(row) for row in first],
        more=[_column(row) for row in rest],
        choices=sorted((row.column.label, row.column.id) for row in columns),
        can_retry=found.groups[Group.NEEDS] if asked.group in (Group.ALL, Group.NEEDS) else 0,
        groups=words.GROUPS,
        cells=[_cell(row) for row in listing.cells(asked, page=page)],
        may_add_credits=listing.credits_column(asked.context_pk, _today()) is None,
        page=page,
        pages=pages,
        wide=True,
    )


@bp.get("/grades/progress")
def progress() -> Response:
    """Whether what is under way has ended, and how far it is."""
    require_staff()
    reading, sending = listing.under_way(require_context().id, utc_now())
    return jsonify(done=not reading and not sending, text=words.progress(reading, sending))


@bp.get("/grades.<any(xlsx, csv):kind>")
def export(kind: str) -> Any:
    """What is asked for as a table."""
    require_staff()
    made, content_type = FILES[kind]
    name = f"{gettext('成绩同步')} {_today().isoformat()}.{kind}"
    return send_file(io.BytesIO(made(asked_here())), content_type, as_attachment=True, download_name=name)


@bp.post(f"/scores/<{SCORE}>/retry")
def retry(score_id: int) -> Response:
    """Try again now; the page that it came from then shows it on its way."""
    launch = require_staff()
    is_due = try_again(score_here(score_id), launch.registration)
    db.session.commit()
    if "back" not in request.args:
        return redirect(url_for("dashboard.class_page"), 303)
    if is_due:
        flash(gettext("已安排重新发送。"), "done")
    else:
        flash(gettext("这个成绩在这期间已经变了，请看最新的情况。"), "info")
    return back()


@bp.post("/grades/retry")
def retry_all() -> Response:
    """Try again all that is asked for and failed, within limits."""
    launch = require_staff()
    which = and_(can_go_again(launch.registration_id), listing.among(asked_here()))
    count = requeue(which, utc_now(), most=MOST_RETRIED, ends_rest=False)
    db.session.commit()
    if count == MOST_RETRIED:
        flash(gettext("已安排 %(count)s 个成绩重新发送，一次最多这么多。可以再点一次。", count=count), "done")
    elif count:
        flash(gettext("已安排 %(count)s 个成绩重新发送。", count=count), "done")
    else:
        flash(gettext("这里没有需要重发的成绩。"), "info")
    return back()


def _column(row: ColumnRow) -> dict[str, Any]:
    """A column in the words of the page."""
    count = row.numbers.groups
    return {
        "id": row.column.id,
        "label": row.column.label,
        "kind": str(row.column.kind),
        "counts": [(KINDS[group], *words.GROUPS[group], count[group]) for group in KINDS if count[group]],
        "total": count[Group.ALL],
        "policy": words.policy(row.column),
        "place": words.place(row.column),
        "reading": words.reading(row),
        "leaving": row.column.wants_deletion,
        "can_read": row.column.url is not None and not row.is_read_now and count[Group.ALL] > 0,
        "can_send": count[Group.NEEDS] + count[Group.SENDING] > 0
        and not (row.column.paused or row.column.is_unmade),
        "can_release": row.releasable > 0,
        "releasable": row.releasable,
    }


def _cell(row: ScoreRow) -> dict[str, Any]:
    """A cell in the words of the page."""
    return {
        "id": row.id,
        "name": words.display_name(row),
        "column": row.column,
        "ours": words.percent(row),
        "seen": words.seen(row),
        "seen_percent": words.seen_percent(row),
        "seen_at": local_text(row.seen_at) if row.seen_at else None,
        "told": row.told,
        # Most cells are in the gradebook, and their pill says so.
        "is_plain": row.state is ScoreState.SENT and row.difference is None,
        "needs_somebody": words.needs_somebody(row),
        "sent_at": local_text(row.sent_at) if row.sent_at else None,
        "next_try": words.next_try(row, utc_now()),
        "detail": row.detail,
        # What goes again by itself has one button, at its column.
        "can_retry": row.can_retry and row.outcome is not Outcome.RETRY,
        "overruled": row.overruled,
    }


def _most_urgent(columns: list[ColumnRow], chosen: int | None) -> tuple[list[ColumnRow], list[ColumnRow]]:
    """The columns to show at once, and the others."""
    if len(columns) <= FEW:
        return columns, []
    ordered = sorted(columns, key=lambda row: row.column.id != chosen)
    urgent = sum(row.numbers.groups[Group.NEEDS] > 0 for row in columns)
    few = min(max(urgent, FEW - 1), 2 * FEW)
    return ordered[:few], ordered[few:]


def _today() -> Any:
    return local_day(utc_now(), require_context().school.time_zone)


def _paging(total: int) -> tuple[int, int]:
    """The page asked for, kept within those there are, and their number."""
    pages = max(1, -(-total // PAGE))
    return min(page_here(), pages), pages
