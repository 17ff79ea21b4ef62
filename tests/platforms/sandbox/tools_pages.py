"""Where the school's administrator adds tools: by a registration address, which the tool then fills in."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from . import school
from .lms import current_lms
from .store import LONGEST_LIFE
from .tools import CONFIGURATION, Unusable
from .visitor import current_person

blueprint = Blueprint("tools", __name__)


@blueprint.get("/tools")
def home() -> str:
    """The tools; with `?add=` the tool's registration page in a frame, with a fresh one-time token."""
    address = request.args.get("add", "").strip()
    lms = current_lms()
    frame = None
    if address and _is_administrator() and urlsplit(address).scheme in ("http", "https"):
        query = {
            "openid_configuration": lms.addresses.configuration,
            "registration_token": lms.store.add_hint({"registration": True}),
        }
        frame = address + ("&" if urlsplit(address).query else "?") + urlencode(query)
    return render_template(
        "tools.html", tools=lms.tools(), current=lms.current_tool(), frame=frame, address=address
    )


@blueprint.post("/tools/<client_id>")
def switch(client_id: str) -> ResponseReturnValue:
    """Switch a tool on or off."""
    if not _is_administrator():
        abort(403)
    current_lms().store.switch_tool(client_id, active=request.form.get("active") == "1")
    return redirect(url_for("tools.home"))


@blueprint.post("/lti/register")
def register() -> ResponseReturnValue:
    """LTI Dynamic Registration 1.0, 3.6: the tool describes itself, once for each token."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    asked = current_lms().store.take_hint(token, LONGEST_LIFE) if kind == "Bearer" else None
    if asked is None or not asked.get("registration"):
        return jsonify(
            error="invalid_token", error_description="the registration token is unknown or used"
        ), 401
    sent = request.get_json(force=True, silent=True)
    try:
        entry = current_lms().store.add_tool(sent)
    except Unusable as error:
        return jsonify(error="invalid_client_metadata", error_description=str(error)), 400
    answer = dict(sent) | {"client_id": entry.client_id}
    answer[CONFIGURATION] = dict(sent[CONFIGURATION]) | {"deployment_id": "1"}
    return jsonify(answer)


def _is_administrator() -> bool:
    return school.ADMINISTRATOR in current_person().roles
