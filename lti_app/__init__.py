"""Gongyu 共育: parent courses and credits inside the LMS that a school already has."""

from __future__ import annotations

import secrets
from typing import Any

import structlog
from flask import Flask, g, request, url_for
from flask_babel import gettext as _
from flask_bootstrap import Bootstrap5
from werkzeug.middleware.proxy_fix import ProxyFix

from integrations.http import PlatformHttp
from integrations.terms import CourseRole
from lti_app import assets, cli, errors, health, logs, metrics, security
from lti_app.accounts.batches import forget as forget_lists
from lti_app.accounts.views import bp as accounts_bp
from lti_app.config import Settings, read_settings
from lti_app.connection import notices
from lti_app.connection import services as connection_checks
from lti_app.connection.views import bp as connection_bp
from lti_app.courses.views import bp as courses_bp
from lti_app.credits.views import bp as credits_bp
from lti_app.dashboard.overview import OPENING
from lti_app.dashboard.views import bp as dashboard_bp
from lti_app.deep_linking.views import bp as deep_linking_bp
from lti_app.delivery.worker import EmbeddedWorker
from lti_app.extensions import PlatformServices, babel, cache, configure_sqlite, db, migrate, start_as_reader
from lti_app.families.views import bp as families_bp
from lti_app.gradebook.columns.care import look_after
from lti_app.gradebook.delivery import work as gradebook_delivery
from lti_app.gradebook.pages.views import bp as gradebook_bp
from lti_app.launches.current import (
    PerLaunchNotes,
    earns_credits,
    init_current_launch,
    page_locale,
    rights_here,
)
from lti_app.launches.tabs import bp as tabs_bp
from lti_app.launches.views import inside_bp, lti_bp
from lti_app.members.views import bp as members_bp
from lti_app.people.views import bp as people_bp
from lti_app.registrations.dynamic import bp as dynamic_registration_bp
from lti_app.registrations.services import known_frame_origins
from lti_app.registrations.views import bp as registrations_bp
from lti_app.roster.reading import read_rosters

MAX_BODY = 256 * 1024
INSIDE = "/l/<key>"


def create_app(settings: Settings | None = None, *, http: PlatformHttp | None = None) -> Flask:
    """Build the application from `settings` (default: the environment). `http` replaces the network.

    Raises BadSettings when a setting is missing or wrong.
    """
    settings = settings or read_settings()
    settings.instance.mkdir(parents=True, exist_ok=True)
    app = Flask(__name__, instance_path=str(settings.instance), static_folder=None)
    _configure(app, settings)
    logs.init_logging(settings.log_level)
    _extend(app, settings, http or PlatformHttp(ca_file=settings.ca_file))
    _serve(app)
    cli.init_cli(app)
    # In this order: an administrator waits for a check, a parent for a grade, nobody for the rest.
    app.extensions["works"] = [
        connection_checks.work,
        gradebook_delivery.deliver,
        look_after,
        read_rosters,
        notices.subscribe,
        forget_lists,
    ]
    app.extensions["embedded_worker"] = EmbeddedWorker(
        app, app.extensions["works"], threads=settings.delivery_threads
    )
    if settings.worker == "embedded" and not cli.is_command_line():
        app.extensions["embedded_worker"].start()
    return app


def _configure(app: Flask, settings: Settings) -> None:
    app.config.update(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME="gongyu-notes",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="None",
        SESSION_COOKIE_PARTITIONED=True,
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=_engine_options(settings),
        BOOTSTRAP_SERVE_LOCAL=True,
        BABEL_DEFAULT_LOCALE="zh_Hans_CN",
        CACHE_TYPE="RedisCache" if settings.redis_url else "SimpleCache",
        CACHE_REDIS_URL=settings.redis_url,
        CACHE_KEY_PREFIX="gongyu:",
        CACHE_THRESHOLD=2000,
    )
    app.session_interface = PerLaunchNotes()
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]


def _engine_options(settings: Settings) -> dict[str, Any]:
    # hide_parameters: an error in the log must not show the names and addresses of a failed statement.
    # Beside requests, each thread of the worker may hold a connection.
    threads = settings.delivery_threads
    if settings.is_sqlite:
        return {"pool_size": 20 + threads, "hide_parameters": True, "connect_args": {"timeout": 10}}
    return {
        "pool_size": 10 + threads,
        "max_overflow": 20,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        "hide_parameters": True,
    }


def _extend(app: Flask, settings: Settings, http: PlatformHttp) -> None:
    db.init_app(app)
    migrate.init_app(app, db, directory="migrations", render_as_batch=True)
    cache.init_app(app)
    Bootstrap5(app)
    assets.init_assets(app)  # before Babel, which reads once where the translations are
    babel.init_app(app, locale_selector=page_locale)
    app.extensions["platform_services"] = PlatformServices(http, cache)
    if settings.is_sqlite:
        with app.app_context():
            configure_sqlite(db.engine)


def _serve(app: Flask) -> None:
    app.before_request(_begin)
    app.extensions["public_frame_origins"] = known_frame_origins
    security.init_security(app)
    errors.init_errors(app)
    init_current_launch(app)
    app.context_processor(_navigation)
    app.register_blueprint(health.bp)
    app.register_blueprint(metrics.bp)
    app.register_blueprint(lti_bp, url_prefix="/lti")
    app.register_blueprint(tabs_bp)
    app.register_blueprint(registrations_bp, url_prefix="/lti")
    app.register_blueprint(dynamic_registration_bp, url_prefix="/lti")
    app.register_blueprint(notices.notices_bp, url_prefix="/lti")
    for inside in (
        inside_bp,
        courses_bp,
        credits_bp,
        gradebook_bp,
        dashboard_bp,
        connection_bp,
        people_bp,
        families_bp,
        deep_linking_bp,
        accounts_bp,
        members_bp,
    ):
        app.register_blueprint(inside, url_prefix=INSIDE)


def _navigation() -> dict[str, Any]:
    """The tabs of whoever is here: this module knows all features, so it says who sees which."""
    launch = g.get("launch")
    if launch is None or launch.deep_linking is not None or request.endpoint == "launches.who":
        return {}  # the picker has one way to go
    items = []
    if launch.role.is_staff and launch.context_pk is not None:
        items += [
            ("dashboard.class_page", _("班级"), "people"),
            ("courses.course", _("课程"), "journal-text"),
            ("members.home", _("名单"), "person-lines-fill"),
            ("gradebook.home", _("成绩同步"), "journal-check"),
        ]
    elif launch.context_pk is not None and launch.role is not CourseRole.NONE:
        items += [("courses.home", _("课程"), "journal-text")]
        if earns_credits(launch):
            items += [
                ("credits.statement", _("学分"), "piggy-bank"),
                ("families.children", _("孩子"), "person-hearts"),
            ]
    if rights_here(launch) & OPENING:
        items += [("dashboard.overview", _("概览"), "bar-chart")]
    if launch.is_administrator:
        items += [("connection.home", _("接入"), "plug")]
    here = request.endpoint or ""
    exact = any(endpoint == here for endpoint, _label, _icon in items)
    return {
        "nav": [
            (url_for(endpoint), label, icon, endpoint == here if exact else _same_feature(endpoint, here))
            for endpoint, label, icon in items
        ]
    }


def _same_feature(endpoint: str, other: str) -> bool:
    return endpoint.partition(".")[0] == other.partition(".")[0]


def _begin() -> None:
    """Give the request an id for logs and error pages, and say whether its transaction may only read."""
    g.request_id = secrets.token_hex(6)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id, endpoint=request.endpoint)
    view = security.app_view()
    start_as_reader(request.method in ("GET", "HEAD", "OPTIONS") and not getattr(view, "writes", False))
