"""What platforms read of us."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from lti_app.extensions import db, writes
from lti_app.registrations import keys

bp = Blueprint("registrations", __name__)


@bp.get("/jwks.json")
@writes
def jwks() -> Any:
    """Our public key set (RFC 7517). The first reader makes the first key."""
    if keys.ensure_key():
        db.session.commit()
    answer = jsonify(keys=keys.published_keys())
    # Short: a platform that caches longer than this would refuse us after a rotation.
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer
