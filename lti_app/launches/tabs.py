"""One-time links: a page of a launch in a new tab, which does not see the cookie of the LMS's frame."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from flask import Blueprint, current_app, g, jsonify, redirect, render_template, request, url_for
from flask_babel import lazy_gettext
from werkzeug.exceptions import HTTPException

from lti_app.errors import LaunchRefused, NotHere
from lti_app.extensions import db, writes
from lti_app.launches import cookies, services
from lti_app.launches.current import current_launch
from lti_app.launches.schemas import PageSchema
from lti_app.launches.views import bind

bp = Blueprint("tabs", __name__)


@bp.post("/l/<key>/open")
def mint() -> Any:
    """Make a one-time link to a page of this launch, in the frame, where its cookie counts. To our script the
    address, else a page with the link."""
    if current_launch().deep_linking is not None:
        raise NotHere()  # it is answered once, where it was asked
    page = _own_page(PageSchema().load(request.form.to_dict())["page"])
    address = url_for("tabs.open_page", ticket=services.mint_ticket(current_launch(), page))
    db.session.commit()
    if request.accept_mimetypes.best == "application/json":
        return jsonify(address=address)
    return render_template("launches/open.html", address=address)


@bp.get("/lti/open/<ticket>")
@writes
def open_page(ticket: str) -> Any:
    """Swap a one-time link for a session of this tab, bound to a cookie if the tab keeps any."""
    kept = cookies.PROOF_COOKIE in request.cookies
    if not kept and "checked" not in request.args:
        answer = redirect(url_for("tabs.open_page", ticket=ticket, checked=1))
        cookies.note_cookies_work(answer)
        return answer
    swapped = services.take_ticket(ticket, with_cookie=kept)
    db.session.commit()
    if swapped is None:
        raise LaunchRefused(
            "GY-LINK-USED",
            lazy_gettext("这个链接已经用过或过期了"),
            lazy_gettext("为了安全，链接只能用一次，一分钟内有效。请回到学校平台里的页面，再点一次按钮。"),
        )
    opened, page = swapped
    g.launch_key = opened.key
    answer = redirect(_root() + page)
    bind(answer, opened)
    return answer


def _root() -> str:
    """The address under which all pages of the launch in `g` are."""
    return url_for("courses.home")


def _own_page(page: str) -> str:
    """What follows the launch's address in that of one of its pages; NotHere for any other address."""
    root = _root()
    path, mark, query = page.partition("?")
    addresses = current_app.create_url_adapter(request)
    assert addresses is not None
    if not path.startswith(root):
        raise NotHere()
    try:
        addresses.match(unquote(path).removeprefix(request.script_root), method="GET")
    except HTTPException as error:
        raise NotHere() from error
    return path.removeprefix(root) + mark + query
