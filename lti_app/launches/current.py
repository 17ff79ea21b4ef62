"""The launch that a page belongs to: found by the key in the page's address, checked once per request."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, Request, g, redirect, request, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_babel import format_datetime, gettext, lazy_gettext
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import joinedload

from integrations.terms import CourseRole, MessageType
from lti_app.clock import utc_now
from lti_app.errors import LaunchRefused, NotAllowed
from lti_app.extensions import db
from lti_app.launches.models import LaunchSession
from lti_app.registrations.models import RegistrationStatus
from lti_app.roster.models import Audience, Context, LtiUser, Person, PersonKind, Right
from lti_app.security import allow_framing, app_view

IDLE = timedelta(hours=3)
SEEN_EVERY = timedelta(minutes=5)
COOKIE = "gongyu"
CHINESE = "zh_Hans_CN"
ENGLISH = "en"

# Made once: putting it together costs as much as running it, and every page runs it.
_BY_KEY = (
    select(LaunchSession)
    .where(LaunchSession.key_hash == bindparam("key_hash"))
    .options(
        joinedload(LaunchSession.registration),
        joinedload(LaunchSession.lti_user).joinedload(LtiUser.grants),
        joinedload(LaunchSession.person),
        joinedload(LaunchSession.child),
        joinedload(LaunchSession.guardianship),
        joinedload(LaunchSession.context).joinedload(Context.school),
        joinedload(LaunchSession.resource_link),
    )
)


class PerLaunchNotes(SecureCookieSessionInterface):
    """Flask's session, used for nothing but one-time notes ("saved"): kept apart for each launch, so that
    two tabs never show each other's."""

    def get_cookie_path(self, app: Flask) -> str:
        key = g.get("launch_key")
        return f"/l/{key}" if key else "/lti"

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        # Hardly anybody brings notes: without any, the machinery that checks them need not be made.
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def hashed(secret: str) -> str:
    """What is stored of a secret that only the browser keeps."""
    return hashlib.sha256(secret.encode()).hexdigest()


def current_launch() -> LaunchSession:
    """The launch of this request, with its user, person, context, link and registration loaded.

    Raises LaunchRefused outside a launch page (views under `/l/<key>` are checked before they run).
    """
    launch: LaunchSession | None = g.get("launch")
    if launch is None:
        raise session_gone()
    return launch


def current_person() -> Person:
    """The person who is here. Raises NotAllowed for staff, test users and visitors without an identity."""
    person = current_launch().person
    if person is None:
        raise NotAllowed()
    return person


def require_staff() -> LaunchSession:
    """The current launch if its course role is teacher or assistant. Raises NotAllowed otherwise, also for a
    teacher whom the platform does not name (no `sub`): nobody could say later who it was."""
    launch = current_launch()
    if not launch.role.is_staff or launch.is_test_user or launch.lti_user_pk is None:
        raise NotAllowed(lazy_gettext("这一页只对班级老师开放。"))
    return launch


def require_context() -> Context:
    """The class of the current launch. Raises NotAllowed when the launch came from outside any class."""
    context = current_launch().context
    if context is None:
        raise NotAllowed(lazy_gettext("请从学校平台的课程里打开。"))
    return context


def first_page(message_type: MessageType, role: CourseRole, is_administrator: bool) -> str:
    """The endpoint where such a launch begins; features are found by name, because they import this."""
    by_message = {
        MessageType.SUBMISSION_REVIEW: "courses.review",
        MessageType.DEEP_LINKING: "deep_linking.picker",
        MessageType.DATA_PRIVACY: "people.privacy",
    }
    if message_type in by_message:
        return by_message[message_type]
    return "connection.home" if role is CourseRole.NONE and is_administrator else "courses.home"


def keeps_records(launch: LaunchSession) -> bool:
    """Whether what is done in this launch is recorded: a person who learns, not staff or a preview."""
    return (
        launch.person_id is not None
        and not launch.is_test_user
        and launch.role in (CourseRole.LEARNER, CourseRole.MENTOR)
    )


def earns_credits(launch: LaunchSession) -> bool:
    """Parents earn in the bank; pupils never do."""
    return keeps_records(launch) and launch.person is not None and launch.person.kind is PersonKind.PARENT


def current_child(launch: LaunchSession) -> LtiUser | None:
    """The child that the parent of this launch is here for, as long as they are its guardian.

    In a class of families the login is the child's, and whoever of its parents sits there is a guardian of
    it without being listed as one: the family itself says who is here.
    """
    if launch.guardianship is not None or (
        launch.child_pk == launch.lti_user_pk and serves_own_child(launch)
    ):
        return launch.child
    return None


def serves_own_child(launch: LaunchSession) -> bool:
    """Whether a parent sits at the login of their own child."""
    return _shares_login(launch) and earns_credits(launch)


def rights_here(launch: LaunchSession) -> frozenset[Right]:
    """What was granted to the login of this launch; nothing in a preview or to an anonymous visitor."""
    if launch.lti_user is None or launch.is_test_user:
        return frozenset()
    return frozenset(grant.right for grant in launch.lti_user.grants)


def session_gone() -> LaunchRefused:
    return LaunchRefused(
        "GY-SESSION-EXPIRED",
        lazy_gettext("页面已过期"),
        lazy_gettext("为了安全，页面在一段时间后会关闭。请回到学校平台，从课程里重新打开。"),
    )


def init_current_launch(app: Flask) -> None:
    """Carry the key of `/l/<key>/…` through every address, and load the launch before the view runs."""

    @app.url_value_preprocessor
    def take_key(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values and "key" in values and (endpoint or "") != "static":
            g.launch_key = values.pop("key")

    @app.url_defaults
    def put_key(endpoint: str, values: dict[str, Any]) -> None:
        key = g.get("launch_key")
        if key and "key" not in values and app.url_map.is_endpoint_expecting(endpoint, "key"):
            values["key"] = key

    @app.before_request
    def open_launch() -> Any:
        key = g.get("launch_key")
        if key is None:
            return None
        launch = _find(key, request)
        g.launch = launch
        allow_framing(launch.frame_origins)
        _see(launch)
        if _must_say_who(launch) and request.endpoint not in ("launches.who", "launches.set_language"):
            return redirect(url_for("launches.who"))
        return None

    app.add_template_filter(local_text)

    @app.context_processor
    def launch_in_templates() -> dict[str, Any]:
        launch = g.get("launch")
        common = {"ui_locale": "en" if page_locale() == ENGLISH else "zh-Hans-CN"}
        if launch is None:
            return common
        return common | {"launch": _for_templates(launch), "language_url": url_for("launches.set_language")}


def _find(key: str, incoming: Request) -> LaunchSession:
    launch = db.session.scalars(_BY_KEY, {"key_hash": hashed(key)}).unique().one_or_none()
    now = utc_now()
    if launch is None or launch.expires_at <= now or launch.last_seen_at + IDLE <= now:
        raise session_gone()
    if launch.registration.status is not RegistrationStatus.ACTIVE:
        raise session_gone()
    if launch.cookie_hash and hashed(incoming.cookies.get(COOKIE, "")) != launch.cookie_hash:
        raise LaunchRefused(
            "GY-SESSION-ELSEWHERE",
            lazy_gettext("这个页面属于另一个浏览器"),
            lazy_gettext("页面地址不能转发给别人使用。请回到学校平台，从课程里重新打开。"),
        )
    return launch


def _see(launch: LaunchSession) -> None:
    """Note that the launch is in use, at most every five minutes and in a transaction of its own; where the
    view writes, in its transaction, because a second one would wait for the lock that the first one holds."""
    now = utc_now()
    if now - launch.last_seen_at < SEEN_EVERY:
        return
    if request.method not in ("GET", "HEAD") or getattr(app_view(), "writes", False):
        launch.last_seen_at = now
        return
    # A page that only reads does not fail because the database is busy: the next page notes it.
    with suppress(OperationalError), db.engine.begin() as connection:
        connection.execute(
            update(LaunchSession).where(LaunchSession.id == launch.id).values(last_seen_at=now)
        )


def _must_say_who(launch: LaunchSession) -> bool:
    return (
        launch.person_id is None
        and launch.lti_user_pk is not None
        and launch.context_pk is not None
        and not launch.is_test_user
        and launch.role is CourseRole.LEARNER
    )


def page_locale() -> str:
    """The page's language: the launch's, else the browser's choice of Chinese and English."""
    launch: LaunchSession | None = g.get("launch")
    if launch is not None:
        return launch.locale
    if g.get("locale"):
        return str(g.locale)
    best = request.accept_languages.best_match(["zh", "zh-cn", "zh-hans", "zh-tw", "en"]) if request else None
    return ENGLISH if best == "en" else CHINESE


def locale_for(claimed: str | None) -> str:
    """The page language for a locale that an LMS claims: Chinese for any Chinese or none, else English."""
    return CHINESE if not claimed or claimed.lower().startswith("zh") else ENGLISH


def _shares_login(launch: LaunchSession) -> bool:
    """Whether several of a family may sit here, so that the page offers to change."""
    return (
        launch.person_id is not None
        and launch.role is CourseRole.LEARNER
        and launch.context is not None
        and launch.context.audience is Audience.FAMILIES
    )


def local_text(moment: datetime) -> str:
    """A moment on the clock of the launch's school, in the page's language, to the minute."""
    return str(format_datetime(moment.astimezone(local_zone()), "short", rebase=False))


def local_zone() -> tzinfo:
    """The time zone of the launch's school; UTC where the launch is of no class."""
    context = current_launch().context
    return ZoneInfo(context.school.time_zone) if context is not None else UTC


def _child_for_templates(launch: LaunchSession) -> dict[str, Any] | None:
    """Which child a parent is here for, and where to change it; nothing to say where the login is its own."""
    child = current_child(launch)
    if (child is None and not launch.several_children) or not earns_credits(launch):
        return None
    if child is not None and child.id == launch.lti_user_pk:
        return None
    return {
        "name": (child.name or gettext("未署名的孩子")) if child else None,
        "url": url_for("families.children"),
        "several": launch.several_children,
    }


def role_label(launch: LaunchSession) -> str:
    """The word for what somebody is here, in the page's language."""
    if launch.person is not None:
        return gettext("家长") if launch.person.kind is PersonKind.PARENT else gettext("学生")
    labels = {
        CourseRole.INSTRUCTOR: gettext("老师"),
        CourseRole.ASSISTANT: gettext("助教"),
        CourseRole.MENTOR: gettext("家长"),
        CourseRole.LEARNER: gettext("预览") if launch.is_test_user else gettext("学员"),
    }
    if launch.role is CourseRole.NONE and launch.is_administrator:
        return gettext("平台管理员")
    return labels.get(launch.role, gettext("访客"))


def _for_templates(launch: LaunchSession) -> dict[str, Any]:
    person = launch.person
    return {
        "person_name": (person.label if person else None)
        or (launch.lti_user.name if launch.lti_user else None),
        "context_title": launch.context.title if launch.context else None,
        "course_role_label": role_label(launch),
        "switch_url": url_for("launches.who") if _shares_login(launch) else None,
        "child": _child_for_templates(launch),
        "locale": launch.locale,
        "return_url": launch.return_url,
        "is_staff": launch.role.is_staff,
        "is_known": launch.lti_user_pk is not None,
        "keeps_records": keeps_records(launch),
        "earns_credits": earns_credits(launch),
    }
