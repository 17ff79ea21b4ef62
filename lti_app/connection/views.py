"""What the LMS's administrator sees: how we are connected, what the platform gives us, and what is wrong."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, url_for
from flask_babel import format_number, format_time, format_timedelta, gettext, lazy_gettext

from integrations.platforms.registry import platform_for
from lti_app.clock import utc_now
from lti_app.connection.checks import Step, Verdict
from lti_app.connection.delivery_page import MOST, Sending, reason, send_again, sending_of
from lti_app.connection.models import CheckState, ConnectionCheck
from lti_app.connection.queries import facts_of, pending_deployments
from lti_app.connection.services import check_of, known_words, request_check, stored
from lti_app.connection.words import VERDICTS, sentence, title
from lti_app.errors import NotAllowed
from lti_app.extensions import db
from lti_app.launches.current import current_launch, local_zone
from lti_app.launches.models import LaunchSession

bp = Blueprint("connection", __name__)


@bp.get("/connection")
def home() -> Any:
    """The registration of this launch, its last check, what its launches gave, and how the sending goes."""
    launch = _administrators_launch()
    check = check_of(launch.registration_id)
    pending = pending_deployments(launch.registration_id)
    known = known_words(launch.registration_id)
    return render_template(
        "connection/home.html",
        registration=launch.registration,
        facts=facts_of(launch.deployment_pk, launch.registration_id),
        pending=pending,
        known=known,
        kind_title=platform_for(launch.registration.kind).title,
        check=_shown(check, known, bool(pending)) if check else None,
        wide=True,
    )


@bp.post("/connection/check")
def check() -> Any:
    """Have the connection checked; a worker does it, because the platform reads our keys meanwhile."""
    launch = _administrators_launch()
    if not request_check(launch.registration_id):
        flash(gettext("刚刚检查过。请等半分钟再检查。"), "info")
    db.session.commit()
    return redirect(url_for("connection.home"), 303)


@bp.get("/connection/check")
def progress() -> Any:
    """How far the check is, for the page that waits."""
    check = check_of(_administrators_launch().registration_id)
    done = check is None or check.state is CheckState.DONE
    return jsonify(done=done, text=_progress_text(check) if check else "")


@bp.get("/connection/delivery")
def delivery() -> Any:
    """How the sending of scores goes: what waits and why, how fast, and the last exchange that failed."""
    launch = _administrators_launch()
    now = utc_now()
    sending = sending_of(launch.registration_id, now)
    known = known_words(launch.registration_id)
    slot, exchange = sending.facts.slot, sending.exchange
    oldest = sending.facts.oldest
    # Of the failures only those since the last success are news.
    status = exchange.status if exchange and slot and exchange.code == slot.last_error else None
    return render_template(
        "connection/delivery.html",
        registration=launch.registration,
        sending=sending,
        facts=sending.facts,
        oldest=format_timedelta(now - oldest) if oldest else None,
        rate_now=_rate(sending.rate_now),
        rate_hour=_rate(sending.rate_hour),
        why=reason(slot.last_error, status, **known) if slot and slot.last_error else None,
        exchange_reason=reason(exchange.code, exchange.status, **known) if exchange else None,
        unreadable=[
            (column.class_title or gettext("未命名的班级"), column.label, reason(column.error, None, **known))
            for column in sending.unreadable
        ],
        chart=_chart(sending),
        wide=True,
    )


@bp.post("/connection/delivery/retry")
def retry_delivery() -> Any:
    """Try everything again now: somebody put right what was wrong."""
    launch = _administrators_launch()
    count = send_again(launch.registration_id, utc_now())
    db.session.commit()
    if count is None:
        flash(gettext("刚刚试过。请等十秒再点。"), "info")
    elif count >= MOST:
        flash(gettext("先重发最早的 %(count)s 个。送完以后，请再点一次。", count=count), "done")
    else:
        flash(gettext("好的，现在就重试：%(count)s 个成绩。", count=count), "done")
    return redirect(url_for("connection.delivery"), 303)


def _rate(per_minute: float) -> str:
    if 0 < per_minute < 0.1:
        return gettext("每分钟不到 0.1 个")
    return gettext("每分钟 %(rate)s 个", rate=format_number(round(per_minute, 1)))


def _chart(sending: Sending) -> dict[str, Any]:
    """Bars in a drawing of 360 × 132: the hour's words, and where its bars begin and how high they are."""
    zone = local_zone()
    most = max([hour.sent + hour.refused for hour in sending.hours] + [1])
    bars = []
    for number, hour in enumerate(sending.hours):
        sent, refused = round(96 * hour.sent / most, 1), round(96 * hour.refused / most, 1)
        label = format_time(hour.start.astimezone(zone), "HH:mm", rebase=False)
        bars.append({"x": number * 15, "label": label, "sent": sent, "refused": refused, "hour": hour})
    return {"most": most, "bars": bars, "busy": [bar for bar in bars if bar["sent"] or bar["refused"]]}


def _administrators_launch() -> LaunchSession:
    launch = current_launch()
    if not launch.is_administrator:
        raise NotAllowed(lazy_gettext("这一页只对学校平台的管理员开放。"))
    return launch


def _shown(check: ConnectionCheck, known: dict[str, str], says_pending: bool) -> dict[str, Any]:
    found = [one for one in stored(check) if not (says_pending and one.step is Step.DEPLOYMENTS)]
    verdicts = [finding.verdict for finding in found]
    rows = [(title(one.step), *VERDICTS[one.verdict], sentence(one, **known)) for one in found]
    return {
        "done": check.state is CheckState.DONE,
        "checked_at": check.checked_at,
        "progress": _progress_text(check),
        "failed": verdicts.count(Verdict.FAILED),
        "warned": verdicts.count(Verdict.WARNING),
        # What is wrong first: the rest is there to be believed, not to be read.
        "wrong": [row for row, one in zip(rows, verdicts, strict=True) if one in _WRONG],
        "right": [row for row, one in zip(rows, verdicts, strict=True) if one not in _WRONG],
    }


_WRONG = (Verdict.FAILED, Verdict.WARNING)


def _progress_text(check: ConnectionCheck) -> str:
    return gettext("已检查 %(done)s 项，共 %(all)s 项", done=len(check.results), all=len(Step))
