"""Account files for the school's platform, links by list, and who has come: for teachers and school staff."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext
from marshmallow import ValidationError
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import RequestEntityTooLarge

from integrations.content.account_files import zipped
from integrations.content.limits import MAX_BYTES, UnreadableTable
from integrations.content.spreadsheet import write_csv_for_people, write_xlsx
from integrations.platforms.registry import platform_for
from integrations.terms import AccountFormat
from lti_app.accounts import batches, queries, services, words
from lti_app.accounts.access import reach_here
from lti_app.accounts.columns import NotThisList
from lti_app.accounts.links import WRITTEN, Verdict
from lti_app.accounts.models import BatchKind
from lti_app.accounts.schemas import FilesSchema
from lti_app.courses.access import keep_and_commit
from lti_app.errors import AppError, NotHere
from lti_app.extensions import db
from lti_app.launches.current import current_launch
from lti_app.security import origin_of, takes

bp = Blueprint("accounts", __name__)

# What a database takes as a number.
BATCH = "int(max=9223372036854775807):batch_id"

PAGE = 50
MOST_SENT = MAX_BYTES + 64 * 1024
"""Bytes of an upload with its form around it; other pages take far less."""
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@bp.get("/accounts")
def home() -> str:
    """The three tasks, and the lists that this login has waiting."""
    reach = reach_here()
    return render_template(
        "accounts/home.html",
        whole=reach.whole,
        waiting=batches.waiting(reach),
        counts=queries.counts(reach),
        back=_where_from(),
    )


@bp.get("/accounts/<any(links, accounts):kind>")
def start(kind: str) -> str:
    """What a list needs, and where to send it."""
    reach = reach_here()
    return _start(BatchKind(kind), reach.whole)


@bp.get("/accounts/<any(links, accounts):kind>/template")
def template(kind: str) -> Any:
    """A table to start from."""
    reach_here()
    name = gettext("关联名单模板") if kind == BatchKind.LINKS else gettext("学生家长名单模板")
    return _file(write_xlsx(words.template(BatchKind(kind))), f"{name}.xlsx", XLSX)


@bp.post("/accounts/<any(links, accounts):kind>")
@takes(MOST_SENT)
def upload(kind: str) -> Any:
    """Read a list and show what it would do; it changes nothing yet."""
    reach = reach_here()
    keep_and_commit()  # reading a large table takes seconds, in which others may write
    try:
        batch = services.take(_uploaded(), BatchKind(kind), reach)
    except UnreadableTable as error:
        return _start(BatchKind(kind), reach.whole, str(words.UNREADABLE[error.code])), 422
    except NotThisList as error:
        problem = words.problem_with_columns(error.code, error.column)
        return _start(BatchKind(kind), reach.whole, problem), 422
    db.session.commit()
    return redirect(url_for(f"accounts.{kind}_preview", batch_id=batch.id), 303)


@bp.get(f"/accounts/links/<{BATCH}>")
def links_preview(batch_id: int) -> str:
    """What each line of a list of links would do."""
    reach = reach_here()
    batch, body = batches.open_batch(batch_id, reach, BatchKind.LINKS)
    judged = services.lines_in(body)
    counts = Counter(verdict for _entry, verdict in judged)
    shown = request.args.get("show", "")
    lines = [(entry, words.VERDICTS[verdict]) for entry, verdict in judged if shown in ("", verdict)]
    page, pages, some = _page_of(lines)
    return render_template(
        "accounts/links.html",
        batch=batch,
        lines=some,
        shown=shown,
        tabs=[(v, words.VERDICTS[v][1], counts[v]) for v in Verdict if counts[v]],
        total=len(judged),
        to_write=sum(counts[verdict] for verdict in WRITTEN),
        page=page,
        pages=pages,
        wide=True,
    )


@bp.post(f"/accounts/links/<{BATCH}>/apply")
def apply_links(batch_id: int) -> Any:
    """Write the links of a list: all of them or, when something goes wrong, none."""
    reach = reach_here()
    batch, body = batches.open_batch(batch_id, reach, BatchKind.LINKS)
    try:
        linked, kinds = services.apply_links(batch, body, reach)
        db.session.commit()
    except IntegrityError:
        raise _busy() from None
    flash(
        gettext("已关联 %(linked)s 对家长和孩子，记下 %(kinds)s 个身份。", linked=linked, kinds=kinds), "done"
    )
    return redirect(url_for("accounts.links_preview", batch_id=batch_id), 303)


@bp.get(f"/accounts/accounts/<{BATCH}>")
def accounts_preview(batch_id: int) -> str:
    """What the check of a list found, and the choices for its files."""
    reach = reach_here()
    batch, body = batches.open_batch(batch_id, reach, BatchKind.ACCOUNTS)
    return _accounts_page(batch, body, body.get("choices") or _usual_choices(), {})


@bp.post(f"/accounts/accounts/<{BATCH}>/files")
def make_files(batch_id: int) -> Any:
    """Number the guardians and draw their passwords, so that files and slips can be had."""
    reach = reach_here()
    batch, body = batches.open_batch(batch_id, reach, BatchKind.ACCOUNTS)
    given = request.form.to_dict()
    try:
        choices = FilesSchema().load(given)
    except ValidationError as error:
        wrong = {name: messages[0] for name, messages in error.normalized_messages().items()}
        return _accounts_page(batch, body, _usual_choices() | given, wrong), 422
    try:
        services.make_files(batch, body, choices)
        db.session.commit()
    except IntegrityError:
        raise _busy() from None
    return redirect(url_for("accounts.accounts_preview", batch_id=batch_id, _anchor="files"), 303)


@bp.get(f"/accounts/accounts/<{BATCH}>/files")
def download(batch_id: int) -> Any:
    """The account files: one table, or several in a ZIP."""
    files = services.files_in(_made(batch_id))
    if len(files) == 1:
        name, content = next(iter(files.items()))
        return _file(content, name, "text/csv; charset=utf-8")
    return _file(zipped(files), "sis-import.zip", "application/zip")


@bp.get(f"/accounts/accounts/<{BATCH}>/slips")
def slips(batch_id: int) -> str:
    """First-login slips to print and cut, eight on a sheet of A4."""
    body = _made(batch_id)
    site = body["choices"]["site"]
    return render_template("accounts/slips.html", slips=services.slips_in(body), site=site, batch_id=batch_id)


@bp.post(f"/accounts/<any(links, accounts):kind>/<{BATCH}>/discard")
def discard(kind: str, batch_id: int) -> Any:
    """Delete a waiting list with everything in it, also its passwords."""
    batch, _body = batches.open_batch(batch_id, reach_here(), BatchKind(kind))
    batches.discard(batch)
    db.session.commit()
    flash(gettext("已删除这份名单。"), "done")
    return redirect(url_for("accounts.home"), 303)


@bp.get("/accounts/arrivals")
def arrivals() -> str:
    """Which of the invited guardians have come, by class."""
    reach = reach_here()
    classes = queries.classes(reach)
    label = request.args.get("class")
    label = label if label in {row.label for row in classes} else None
    absent = request.args.get("show") != "all"
    total = queries.number_of(reach, class_label=label, absent=absent)
    page, pages = _paging(total)
    return render_template(
        "accounts/arrivals.html",
        counts=queries.counts(reach),
        classes=classes,
        label=label,
        absent=absent,
        rows=queries.expected(reach, class_label=label, absent=absent, page=page, size=PAGE),
        stages=words.STAGES,
        page=page,
        pages=pages,
        wide=True,
    )


@bp.get("/accounts/arrivals.csv")
def arrivals_file() -> Any:
    """The whole list of invited guardians as a table."""
    head = [
        gettext("班级"),
        gettext("学号"),
        gettext("关系"),
        gettext("家长编号"),
        gettext("家长姓名"),
        gettext("情况"),
    ]
    rows = [
        [
            row.class_label,
            row.pupil_number,
            row.relation,
            row.number,
            row.name or "",
            str(words.STAGES[row.stage][1]),
        ]
        for row in queries.expected(reach_here(), class_label=None, absent=False, page=None)
    ]
    name = gettext("家长到达情况")
    return _file(write_csv_for_people([head, *rows]), f"{name}.csv", "text/csv; charset=utf-8")


@bp.post("/accounts/arrivals/link")
def link_arrived() -> Any:
    """Make a list of links of those who have an account by now, and show it."""
    batch = services.take_arrived(reach_here())
    if batch is None:
        flash(gettext("还没有能关联的家长：学校平台里还没有出现这些账号。"), "info")
        return redirect(url_for("accounts.arrivals"), 303)
    db.session.commit()
    return redirect(url_for("accounts.links_preview", batch_id=batch.id), 303)


def _uploaded() -> bytes:
    """The file of the form. Raises UnreadableTable."""
    try:
        sent = request.files.get("file")
    except RequestEntityTooLarge as error:
        raise UnreadableTable("too-big") from error
    if sent is None:
        raise UnreadableTable("empty")
    with sent.stream as stream:
        data = stream.read(MAX_BYTES + 1)
    if not data:
        raise UnreadableTable("empty")
    return data


def _start(kind: BatchKind, whole: bool, problem: str = "") -> str:
    return render_template(f"accounts/{kind}_start.html", kind=kind, whole=whole, problem=problem)


def _accounts_page(batch: Any, body: dict[str, Any], choices: dict[str, Any], wrong: dict[str, str]) -> str:
    lines = body["lines"]
    filters = {
        "problems": [line for line in lines if line["problems"]],
        "notes": [line for line in lines if line["notes"]],
    }
    shown = request.args.get("show", "")
    page, pages, some = _page_of(filters.get(shown, lines))
    made = services.accounts_in(body) if "made" in body else []
    return render_template(
        "accounts/accounts.html",
        batch=batch,
        lines=some,
        shown=shown,
        totals={"all": len(lines), **{name: len(found) for name, found in filters.items()}},
        people=body["people"],
        without_email=sum(not person["email"] for person in body["people"]),
        choices=choices,
        wrong=wrong,
        made=made,
        printed=sum(bool(account.password) for account in made),
        is_made="made" in body,
        problems=words.PROBLEMS,
        notes=words.NOTES,
        page=page,
        pages=pages,
        wide=True,
    )


def _usual_choices() -> dict[str, Any]:
    registration = current_launch().registration
    platform = platform_for(registration.kind)
    form = platform.account_format or AccountFormat.USER_UPLOAD
    return {
        **FilesSchema().load({"form": str(form)}),
        "role": "student",
        "language": "zh_cn",
        "with_groups": True,
        "with_observers": True,
        "only_new": True,
        # Where installations share an issuer, it is nobody's address.
        "site": "" if platform.issuer_is_shared else origin_of(registration.issuer),
    }


def _made(batch_id: int) -> dict[str, Any]:
    """The content of a list whose files were made. Raises NotHere."""
    _batch, body = batches.open_batch(batch_id, reach_here(), BatchKind.ACCOUNTS)
    if "made" not in body:
        raise NotHere()
    return body


def _busy() -> AppError:
    return AppError(
        "GY-IMPORT-BUSY",
        gettext("有人正在导入同一批人"),
        gettext("这次什么也没有写入。请返回上一页，稍等片刻再点一次。"),
        status=409,
    )


def _where_from() -> tuple[str, str]:
    """The page of this launch that leads here."""
    launch = current_launch()
    if launch.role.is_staff and launch.context_pk is not None:
        return url_for("members.home"), gettext("名单")
    if launch.is_administrator:
        return url_for("connection.home"), gettext("接入")
    return url_for("dashboard.overview"), gettext("概览")


def _page_of(lines: Sequence[Any]) -> tuple[int, int, Sequence[Any]]:
    page, pages = _paging(len(lines))
    return page, pages, lines[(page - 1) * PAGE : page * PAGE]


def _paging(total: int) -> tuple[int, int]:
    """The page asked for, kept within those there are, and their number."""
    pages = max(1, -(-total // PAGE))
    return min(max(1, request.args.get("page", 1, type=int)), pages), pages


def _file(content: bytes, name: str, kind: str) -> Any:
    response = send_file(io.BytesIO(content), kind, as_attachment=True, download_name=name)
    response.headers["Cache-Control"] = "no-store"  # there may be passwords in it
    return response
