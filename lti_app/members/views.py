"""Who is in the class by the platform's list, who has not come yet, and how up to date the list is."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from lti_app.extensions import db
from lti_app.launches.current import local_text, require_context, require_staff
from lti_app.members import queries, words
from lti_app.members.queries import PAGE, Asked, MemberRow
from lti_app.members.schemas import AskedSchema, DecisionSchema
from lti_app.roster import sync as syncs
from lti_app.roster.models import Audience
from lti_app.roster.sync_models import RosterSync, SyncState

NAMES = 10
"""How many of those who would leave are named."""
_ASKED, _DECISION = AskedSchema(), DecisionSchema()
_UNDER_WAY = (SyncState.QUEUED, SyncState.RUNNING)

bp = Blueprint("members", __name__)


@bp.get("/members")
def home() -> str:
    """The members of this launch's class."""
    launch, context = require_staff(), require_context()
    loaded = _ASKED.load(request.args.to_dict())
    asked = Asked(context.id, launch.resource_link_pk, loaded["show"], loaded["q"] or "")
    totals = queries.numbers(Asked(context.id, launch.resource_link_pk))
    found = queries.numbers(asked) if asked.words else totals
    page, pages = _paging(found[asked.shown])
    sync = syncs.sync_of(context.id)
    link_sync = syncs.sync_of(context.id, launch.resource_link_pk) if launch.resource_link_pk else None
    return render_template(
        "members/home.html",
        context=context,
        asked=asked,
        totals=totals,
        found=found,
        people=[_row(row, context.audience) for row in queries.members(asked, page=page)],
        sync=_told(sync),
        link_sync=_told(link_sync),
        has_link=launch.resource_link_pk is not None,
        can_read=sync is not None or syncs.address_of(context.id) is not None,
        page=page,
        pages=pages,
        wide=True,
    )


@bp.get("/members/progress")
def progress() -> Response:
    """Whether the reading under way has ended, and how far it is."""
    launch, context = require_staff(), require_context()
    waiting = [
        sync
        for link_pk in {None, launch.resource_link_pk}
        if (sync := syncs.sync_of(context.id, link_pk)) is not None and sync.state in _UNDER_WAY
    ]
    return jsonify(done=not waiting, text=words.progress_of(waiting[0]) if waiting else "")


@bp.post("/members/refresh")
def refresh() -> Response:
    """Read the class's list now."""
    return _refresh(None)


@bp.post("/members/refresh-link")
def refresh_link() -> Response:
    """Read now who may open the activity of this page."""
    return _refresh(require_staff().resource_link_pk)


def _refresh(link_pk: int | None) -> Response:
    launch, context = require_staff(), require_context()
    if syncs.address_of(context.id) is None:
        flash(gettext("学校平台没有告诉共育名单在哪里，所以读不了。"), "error")
    elif not syncs.ask(launch.registration_id, context.id, link_pk, by=launch.lti_user_pk):
        flash(gettext("刚刚更新过。一分钟后可以再更新。"), "info")
    db.session.commit()
    return _home()


@bp.post("/members/decide")
def decide() -> Response:
    """Accept a list that was held, or keep everybody."""
    require_staff()
    context = require_context()
    try:
        asked = _DECISION.load(request.form.to_dict())
    except ValidationError:
        flash(gettext("没有收到您的选择，请再选一次。"), "error")
        return _home()
    sync = syncs.decide(context.id, asked["run"], apply=asked["apply"] == "1")
    if sync is None:
        flash(gettext("名单在这期间已经更新过，请看最新的情况。"), "info")
    elif sync.gone:
        flash(gettext("已采用新名单，%(count)s 人标为已离开。", count=sync.gone), "done")
    else:
        flash(gettext("已保留所有人。明天会再读一次名单。"), "done")
    db.session.commit()
    return _home()


def _told(sync: RosterSync | None) -> dict[str, Any] | None:
    """The state of a list in the words of the page."""
    if sync is None:
        return None
    told: dict[str, Any] = {
        "state": str(sync.state),
        "run": sync.run,
        "code": sync.code,
        "seen": sync.seen,
        "added": sync.added,
        "changed": sync.changed,
        "gone": sync.gone,
        "finished_at": local_text(sync.finished_at) if sync.finished_at else None,
        "under_way": sync.state in _UNDER_WAY,
    }
    if sync.state in _UNDER_WAY:
        told["progress"] = words.progress_of(sync)
    elif sync.state is SyncState.FAILED:
        told["trouble"] = words.trouble_of(sync)
    elif sync.state is SyncState.HELD:
        names = [name for name in syncs.names_leaving(sync, NAMES) if name]
        told |= {"why": words.why_held(sync), "gone": syncs.count_leaving(sync), "names": names}
    return told


def _row(row: MemberRow, audience: Audience | None) -> dict[str, Any]:
    return {
        "name": words.display_name(row),
        "role": words.role_word(row, audience),
        "is_active": row.is_active,
        "last_launch_at": local_text(row.last_launch_at) if row.last_launch_at else None,
    }


def _home() -> Response:
    return redirect(url_for("members.home"), 303)


def _paging(total: int) -> tuple[int, int]:
    """The page asked for, kept within those there are, and their number."""
    pages = max(1, -(-total // PAGE))
    return min(max(1, request.args.get("page", 1, type=int)), pages), pages
