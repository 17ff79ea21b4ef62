"""What the LMS's administrator sees: how we are connected, and what the platform gives us."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template
from flask_babel import lazy_gettext

from lti_app.connection.queries import facts_of
from lti_app.errors import NotAllowed
from lti_app.launches.current import current_launch

bp = Blueprint("connection", __name__)


@bp.get("/connection")
def home() -> Any:
    """The registration of this launch, what its launches gave, and how the sending of scores goes."""
    launch = current_launch()
    if not launch.is_administrator:
        raise NotAllowed(lazy_gettext("这一页只对学校平台的管理员开放。"))
    return render_template(
        "connection/home.html",
        registration=launch.registration,
        facts=facts_of(launch.deployment_pk, launch.registration_id),
        public_url=current_app.config["SETTINGS"].public_url,
    )
