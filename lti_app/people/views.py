"""What we keep about somebody, told to themself and to whoever answers for privacy at their institution."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template
from flask_babel import lazy_gettext

from integrations.terms import MessageType
from lti_app.errors import NotAllowed
from lti_app.launches.current import current_launch
from lti_app.launches.models import LaunchSession
from lti_app.people.queries import kept_about, login_named
from lti_app.roster.models import LtiUser

bp = Blueprint("people", __name__)


@bp.get("/privacy")
def privacy() -> Any:
    """What is kept about the visitor, or about the user that a data privacy launch names.

    A platform's message names that user, but anybody may get a platform to name anybody: only institution
    and system administrators see another than themself.
    """
    launch = current_launch()
    login = _login_in_question(launch)
    return render_template(
        "people/privacy.html",
        kept=kept_about(login) if login is not None else None,
        own=_asks_for_self(launch),
        platform=launch.registration.name,
        contact=current_app.config["SETTINGS"].contact,
    )


def _login_in_question(launch: LaunchSession) -> LtiUser | None:
    if _asks_for_self(launch):
        return launch.lti_user
    if not launch.is_administrator or launch.is_test_user or launch.lti_user is None:
        raise NotAllowed(lazy_gettext("只有学校平台的管理员可以查看别人的信息。"))
    assert launch.for_user is not None
    return login_named(launch.registration_id, launch.deployment_pk, launch.for_user)


def _asks_for_self(launch: LaunchSession) -> bool:
    """In every other message, `for_user` is about somebody's work and no business of this page."""
    if launch.message_type is not MessageType.DATA_PRIVACY or launch.for_user is None:
        return True
    return launch.lti_user is not None and launch.lti_user.sub == launch.for_user
