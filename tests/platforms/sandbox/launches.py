"""The way of a launch through the sandbox: the page that starts a login, and the authentication endpoint."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from lti1p3platform.constants import LTI_1P3_ACCESS_TOKEN_SCOPES
from lti1p3platform.exceptions import PreflightRequestValidationException

from . import school
from .lms import current_lms
from .messages import LoginRefused, SandboxLaunch, SandboxLogin
from .platform import Addresses, LibraryRequest
from .visitor import current_language, current_person

blueprint = Blueprint("launches", __name__)


@blueprint.get("/launch/<link>")
def start(link: str) -> ResponseReturnValue:
    """Start a login for the visitor. `?review=<user>` asks for a submission review, also of others:
    real platforms sign that too, so the tool has to decide."""
    if link not in school.LINKS:
        abort(404)
    person = current_person()
    wish = _wish(school.LINKS[link], person)
    login = SandboxLogin(LibraryRequest(request), current_lms().platform())
    login.by_get = request.args.get("method") == "get"
    login.set_lti_message_hint(hint=current_lms().store.add_hint(wish))
    return login.initiate_login(person.id)


@blueprint.route("/lti/auth", methods=["GET", "POST"])
def authenticate() -> ResponseReturnValue:
    lms = current_lms()
    launch = SandboxLaunch(LibraryRequest(request), lms.platform(), lms.addresses, lms.store)
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
        return render_template("post.html", action=lms.addresses.launch, fields=fields)


@blueprint.get("/.well-known/openid-configuration")
def configuration() -> Any:
    return jsonify(_configuration(current_lms().addresses))


def _wish(link: school.Link, person: school.Person) -> dict[str, Any]:
    """What the launch will say, kept under the hint until the tool asks for it."""
    return {
        "user": person.id,
        "course": link.course,
        "link": link.id,
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
            "messages_supported": [
                {"type": "LtiResourceLinkRequest"},
                {"type": "LtiSubmissionReviewRequest"},
            ],
        },
    }
