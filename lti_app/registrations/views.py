"""What platforms read of us."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, jsonify, redirect, request

from integrations.lti.registration import SCOPES
from integrations.platforms.registry import KINDS, platform_for
from integrations.terms import RegistrationWishes
from lti_app.errors import NotHere
from lti_app.extensions import db, start_as_reader
from lti_app.registrations import keys
from lti_app.registrations.onboarding import tool_description
from lti_app.registrations.schemas import ManualSchema

_MANUAL = ManualSchema()

bp = Blueprint("registrations", __name__)


@bp.get("/jwks.json")
def jwks() -> Any:
    """Our public key set (RFC 7517). The first reader makes the first key; whoever comes later only reads, so that
    no stranger takes SQLite's write lock here."""
    published = keys.published_keys()
    if not published:
        db.session.close()
        start_as_reader(False)
        keys.ensure_key()
        db.session.commit()
        published = keys.published_keys()
    answer = jsonify(keys=published)
    # Short, for the day a key is revoked. A rotation waits much longer than this before it signs.
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


@bp.get("/icon.svg")
def logo() -> Any:
    """Our picture at an address that stays; platforms keep it for years."""
    return redirect(current_app.jinja_env.globals["asset"]("favicon.svg"))  # type: ignore[operator]


@bp.get("/<kind>.json")
def manual_configuration(kind: str) -> Any:
    """The file by which an administrator sets this tool up by hand, for the platforms that read one.

    `privacy=anonymous` asks for no names and addresses.
    """
    wanted = _MANUAL.load(request.args.to_dict())
    if kind not in KINDS:
        raise NotHere()
    platform = platform_for(kind)
    placements = frozenset(offer.name for offer in platform.placement_offers if offer.preselected)
    wishes = RegistrationWishes(wanted["privacy"] == "names", placements)
    configuration = platform.manual_configuration(tool_description(), wishes, SCOPES)
    if configuration is None:
        raise NotHere()
    return jsonify(configuration)
