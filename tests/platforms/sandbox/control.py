"""The switches, the log, and the state as JSON for tests and `make run`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from . import school
from .lms import Lms, current_lms
from .platform import DEPLOYMENT_ID
from .store import Row

blueprint = Blueprint("control", __name__)


@blueprint.get("/log")
def log() -> str:
    return render_template("log.html", exchanges=list(current_lms().log))


@blueprint.get("/state")
def state() -> Any:
    return jsonify(_state(current_lms()))


@blueprint.get("/switches")
def switches() -> str:
    lms = current_lms()
    return render_template(
        "switches.html",
        settings=lms.switches.now(),
        kid=lms.keys.kid,
        columns=lms.store.line_items(tools_only=True),
    )


@blueprint.post("/switches")
def switch() -> ResponseReturnValue:
    """Set switches by JSON or form; `rotate_keys` changes the platform's key."""
    lms = current_lms()
    sent = request.get_json(silent=True)
    wishes: dict[str, Any] = sent if isinstance(sent, dict) else request.form.to_dict()
    rotate = wishes.pop("rotate_keys", False) in (True, "true", "1")
    try:
        lms.switches.change(wishes)
    except ValueError as error:
        return jsonify(error=str(error)), 400
    if rotate:
        lms.keys.rotate()
    return _done(asdict(lms.switches.now()) | {"kid": lms.keys.kid})


@blueprint.post("/reset")
def reset() -> ResponseReturnValue:
    """Grades, scores and switches as on the first day; the key stays."""
    lms = current_lms()
    lms.store.reset()
    lms.switches.repair()
    lms.log.clear()
    return _done(_state(lms))


def _done(answer: dict[str, Any]) -> ResponseReturnValue:
    """A page for a browser's form, JSON for everybody else."""
    if request.accept_mimetypes.best == "text/html":
        return redirect(url_for("control.switches"))
    return jsonify(answer)


def _state(lms: Lms) -> dict[str, Any]:
    """All that a test or `make run` needs to know, as JSON."""
    addresses = lms.addresses
    return {
        "issuer": addresses.issuer,
        "client_id": lms.current_tool().client_id,
        "deployment_id": DEPLOYMENT_ID,
        "auth_url": addresses.auth,
        "token_url": addresses.token,
        "jwks_url": addresses.jwks,
        "kid": lms.keys.kid,
        "tool": addresses.tool,
        "courses": [_course_state(lms, one) for one in school.COURSES.values()],
        "links": [_link_state(lms, one) for one in lms.store.links()],
        "users": [_user_state(one) for one in school.PEOPLE.values()],
        "line_items": [
            {
                "id": addresses.line_item(one["course"], one["id"]),
                "label": one["label"],
                "made_by": one["made_by"],
            }
            for one in lms.store.line_items()
        ],
        "gradebook": [_grade_state(lms, one) for one in lms.store.grades() if one["made_by"] != "school"],
        "posts": [
            {name: one[name] for name in ("received_at", "line_item", "status", "body")}
            for one in lms.store.received_scores()
        ],
        "tools": [
            {"client_id": one.client_id, "name": one.name, "active": one.active, "custom": dict(one.custom)}
            for one in lms.tools()
        ],
        "configuration_url": addresses.configuration,
        "switches": asdict(lms.switches.now()),
    }


def _course_state(lms: Lms, course: school.Course) -> dict[str, Any]:
    return {
        "id": course.id,
        "title": course.title,
        "line_items_url": lms.addresses.line_items(course.id),
        "memberships_url": lms.addresses.memberships(course.id),
    }


def _link_state(lms: Lms, link: school.Link) -> dict[str, Any]:
    column = lms.store.line_item(link.course, link.id)
    return {
        "id": link.id,
        "title": link.title,
        "course": link.course,
        "slug": link.slug,
        "custom": dict(link.custom),
        "maximum": link.maximum,
        "line_item": lms.addresses.line_item(link.course, link.id) if column else None,
    }


def _user_state(person: school.Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "roles": list(person.roles),
        "courses": list(person.courses),
    }


def _grade_state(lms: Lms, grade: Row) -> dict[str, Any]:
    return {
        "user": grade["user"],
        "line_item": lms.addresses.line_item(grade["course"], grade["line_item"]),
        "score_given": grade["score"],
        "maximum": grade["maximum"],
        "comment": grade["comment"],
        "timestamp": grade["timestamp"],
        "activity_progress": grade["activity"],
        "grading_progress": grade["grading"],
        "submitted_at": grade["submitted_at"],
        "overridden": bool(grade["overridden"]),
    }
