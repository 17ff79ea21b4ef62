"""The way of a launch through the sandbox: the page that starts a login, and the authentication endpoint."""

from __future__ import annotations

from typing import Any

import jwt
from flask import Blueprint, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from lti1p3platform.constants import LTI_1P3_ACCESS_TOKEN_SCOPES
from lti1p3platform.exceptions import (
    LtiDeepLinkingResponseException,
    LtiException,
    PreflightRequestValidationException,
)

from . import school
from .lms import current_lms
from .messages import LoginRefused, SandboxLaunch, SandboxLogin
from .platform import Addresses, LibraryRequest
from .store import LONGEST_LIFE
from .tools import ToolEntry, Unusable, picked
from .visitor import current_language, current_person

DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/"

blueprint = Blueprint("launches", __name__)


@blueprint.get("/launch/<link>")
def start(link: str) -> ResponseReturnValue:
    """Start a login for the visitor. `?review=<user>` asks for a submission review, also of others:
    real platforms sign that too, so the tool has to decide."""
    known = current_lms().store.link(link)
    if known is None:
        abort(404)
    return _login(_wish(known.course, known.id, current_person()))


@blueprint.get("/launch/content/<course>")
def pick(course: str) -> ResponseReturnValue:
    """Ask the tool's picker for links, as a teacher of the course."""
    if course not in school.COURSES or not current_person().is_staff:
        abort(404)
    return _login(_wish(course, None, current_person()) | {"content": True})


@blueprint.post("/lti/courses/<course>/content")
def take_content(course: str) -> ResponseReturnValue:
    """A deep linking response: all of its items become links of the course, or none."""
    lms = current_lms()
    try:
        tool, claims = _content_claims(request.form.get("JWT", ""))
        asked = lms.store.take_hint(str(claims.get(f"{DEEP_LINKING}data", "")), LONGEST_LIFE)
        if asked is None or asked.get("course") != course or asked.get("client_id") != tool.client_id:
            return _refuse("data is not that of an open request of this course")
        items = picked(claims.get(f"{DEEP_LINKING}content_items") or [], tool.launch)
    except (LtiException, LtiDeepLinkingResponseException, jwt.PyJWTError, Unusable) as error:
        return _refuse(f"{type(error).__name__}: {error}")
    added = lms.store.add_links(course, items)
    said = claims.get(f"{DEEP_LINKING}msg") or claims.get(f"{DEEP_LINKING}errormsg") or ""
    return render_template(
        "content.html", course=school.COURSES[course], links=[lms.store.link(one) for one in added], said=said
    )


def _content_claims(token: str) -> tuple[ToolEntry, dict[str, Any]]:
    """The verified claims of the answer of the tool that it says it is from."""
    issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    tool = current_lms().tool(issuer) if isinstance(issuer, str) else None
    if tool is None:
        raise LtiException("iss is no tool of this school")
    return tool, current_lms().platform(tool).content_of(token)


def _login(wish: dict[str, Any]) -> ResponseReturnValue:
    login = SandboxLogin(LibraryRequest(request), current_lms().platform())
    login.by_get = request.args.get("method") == "get"
    login.storage_target = current_lms().storage_target()
    login.set_lti_message_hint(hint=current_lms().store.add_hint(wish))
    return login.initiate_login(wish["user"])


@blueprint.route("/lti/auth", methods=["GET", "POST"])
def authenticate() -> ResponseReturnValue:
    lms = current_lms()
    tool = lms.tool(request.values.get("client_id", "")) or lms.current_tool()
    launch = SandboxLaunch(LibraryRequest(request), lms.platform(tool), lms.addresses, lms.store, tool)
    launch.storage_target = lms.storage_target()
    try:
        return launch.lti_launch()
    except PreflightRequestValidationException:
        return _refuse("nonce, state, redirect_uri and the right client_id are required")
    except LoginRefused as refusal:
        if not refusal.to_tool:
            return _refuse(str(refusal))
        fields = {
            "error": refusal.code,
            "error_description": str(refusal),
            "state": launch.get_preflight_response()["state"],
        }
        return render_template("post.html", action=tool.launch, fields=fields)


@blueprint.get("/.well-known/openid-configuration")
def configuration() -> Any:
    return jsonify(_configuration(current_lms().addresses))


def _wish(course: str, link: str | None, person: school.Person) -> dict[str, Any]:
    """What the launch will say, kept under the hint until the tool asks for it."""
    return {
        "user": person.id,
        "course": course,
        "link": link,
        "locale": "en" if current_language() == "en" else "zh-CN",
        "target": "window" if request.args.get("target") == "window" else "iframe",
        "review": request.args.get("review"),
        "line_item": request.args.get("line_item"),
    }


def _refuse(reason: str) -> tuple[str, int]:
    return render_template("error.html", reason=reason), 400


def _configuration(addresses: Addresses) -> dict[str, Any]:
    """OpenID configuration with the part that LTI Dynamic Registration 1.0 adds."""
    return {
        "issuer": addresses.issuer,
        "authorization_endpoint": addresses.auth,
        "token_endpoint": addresses.token,
        "jwks_uri": addresses.jwks,
        "registration_endpoint": addresses.registration,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", *LTI_1P3_ACCESS_TOKEN_SCOPES],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["sub", "iss", "name", "given_name", "family_name", "email"],
        "https://purl.imsglobal.org/spec/lti-platform-configuration": {
            "product_family_code": "gongyu-sandbox",
            "version": "1",
            "variables": ["Context.id.history"],
            "messages_supported": [
                {"type": "LtiResourceLinkRequest"},
                {"type": "LtiDeepLinkingRequest", "placements": ["ContentArea"]},
                {"type": "LtiSubmissionReviewRequest"},
            ],
        },
    }
