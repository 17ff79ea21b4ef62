"""What a teacher does about scores that did not arrive. The list itself is the class page's."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.gradebook.queries import score_in_context
from lti_app.gradebook.services import retry as try_again
from lti_app.launches.current import current_launch, require_context, require_staff

bp = Blueprint("gradebook", __name__)


@bp.post("/scores/<int(max=9223372036854775807):score_id>/retry")
def retry(score_id: int) -> Response:
    """Try again now; the class page then shows it on its way."""
    require_staff()
    score = score_in_context(score_id, require_context().id)
    if score is None:
        raise NotHere()
    try_again(score, current_launch().registration)
    db.session.commit()
    return redirect(url_for("dashboard.class_page"), 303)
