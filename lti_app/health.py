"""Whether the process lives and whether it can work: for load balancers and `make run`."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from lti_app.errors import NotHere
from lti_app.extensions import db

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def alive() -> Any:
    """The process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
def ready() -> Any:
    """The database answers and is migrated; 503 otherwise."""
    try:
        version = db.session.scalar(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError:
        return {"status": "no database"}, 503
    return {"status": "ok", "schema": version}


@bp.get("/")
def index() -> Any:
    """What this address is, and what an LMS administrator enters to connect it."""
    return render_template("health/index.html", public_url=current_app.config["SETTINGS"].public_url)


@bp.get("/design")
def design() -> Any:
    """Every component of the design language, where the operator switched it on."""
    if not current_app.config["SETTINGS"].show_design:
        raise NotHere()
    return render_template("design/components.html")
