"""The addresses of the platform's services: key set, token, columns, scores, results, memberships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
from flask import Blueprint, Response, jsonify, request
from lti1p3platform.exceptions import LtiException, MissingRequiredClaim, UnsupportedGrantType
from lti1p3platform.response import Response as LibraryResponse
from lti1p3platform.response import generate_next_link

from . import school
from .gradebook import PER_PAGE, PER_PAGE_AT_MOST, Gradebook, Roster
from .lms import current_lms
from .platform import JWT_BEARER, LibraryRequest, SandboxPlatform

LINE_ITEM = "application/vnd.ims.lis.v2.lineitem+json"
SCORE = "application/vnd.ims.lis.v1.score+json"

blueprint = Blueprint("services", __name__)


@blueprint.before_request
def break_things() -> Response | None:
    """Be slow, or refuse, as the switches say. Only AGS and NRPS count as service calls; the key set always answers."""
    switches = current_lms().switches
    if request.endpoint == "services.jwks":
        return None
    switches.wait()
    trouble = None if request.endpoint == "services.token" else switches.trouble()
    if trouble is None:
        return None
    status, retry_after = trouble
    refusal = _refusal(status, "Trouble on purpose")
    if retry_after is not None:
        refusal.headers["Retry-After"] = str(retry_after)
    return refusal


@blueprint.after_request
def remember_scores(response: Response) -> Response:
    if request.endpoint == "services.scores":
        lms = current_lms()
        address = lms.addresses.line_item(**(request.view_args or {}))
        lms.store.note_score(address, response.status_code, request.get_json(force=True, silent=True))
    return response


@blueprint.get("/lti/jwks.json")
def jwks() -> Any:
    return jsonify(current_lms().platform().get_jwks())


@blueprint.post("/lti/token")
def token() -> Any:
    if request.form.get("client_assertion_type") != JWT_BEARER:
        return _no_token("invalid_request", "client_assertion_type must be jwt-bearer")
    try:
        granted = _platform().get_access_token(request.form.to_dict())
    except MissingRequiredClaim as error:
        return _no_token("invalid_request", str(error))
    except UnsupportedGrantType:
        return _no_token("unsupported_grant_type", "grant_type must be client_credentials")
    except (LtiException, jwt.PyJWTError) as error:
        return _no_token("invalid_client", str(error))
    if not granted["scope"]:
        return _no_token("invalid_scope", "None of these scopes can be granted")
    return jsonify(granted)


@blueprint.get("/lti/courses/<course>/lineitems")
def line_items(course: str) -> Response:
    service = _gradebook(
        course, None, ("lineitem", "lineitem.readonly"), "resource_link_id", "resource_id", "tag"
    )
    return _answer(service.handle_resp(service.handle_get_lineitems))


@blueprint.post("/lti/courses/<course>/lineitems")
def create_line_item(course: str) -> Response:
    service = _gradebook(course, None, ("lineitem",))
    return _typed(LINE_ITEM, service, service.handle_create_lineitem)


@blueprint.get("/lti/courses/<course>/lineitems/<item>")
def line_item(course: str, item: str) -> Response:
    service = _gradebook(course, item, ("lineitem", "lineitem.readonly"))
    return _answer(service.handle_resp(service.handle_get_lineitem, line_item_id=item))


@blueprint.put("/lti/courses/<course>/lineitems/<item>")
def update_line_item(course: str, item: str) -> Response:
    service = _gradebook(course, item, ("lineitem",))
    return _typed(LINE_ITEM, service, service.handle_update_lineitem, line_item_id=item)


@blueprint.delete("/lti/courses/<course>/lineitems/<item>")
def delete_line_item(course: str, item: str) -> Response:
    service = _gradebook(course, item, ("lineitem",))
    return _answer(service.handle_resp(service.handle_delete_lineitem, line_item_id=item))


@blueprint.post("/lti/courses/<course>/lineitems/<item>/scores")
def scores(course: str, item: str) -> Response:
    service = _gradebook(course, item, ("score",))
    return _typed(SCORE, service, service.handle_update_score, line_item_id=item)


@blueprint.get("/lti/courses/<course>/lineitems/<item>/results")
def results(course: str, item: str) -> Response:
    service = _gradebook(course, item, ("result.readonly",), "user_id")
    return _answer(service.handle_resp(service.handle_get_results, line_item_id=item))


@blueprint.get("/lti/courses/<course>/memberships")
def memberships(course: str) -> Response:
    if course not in school.COURSES:
        return _refusal(404, "No such course")
    asked = LibraryRequest(request, _query("role", "rlid"))
    service = Roster(asked, current_lms(), school.COURSES[course])
    return _answer(service.handle_resp(service.handle_get_members))


def _platform() -> SandboxPlatform:
    """For the tool that the assertion says it is from; what it says is checked with that tool's keys."""
    claims = jwt.decode(request.form.get("client_assertion", ""), options={"verify_signature": False})
    return current_lms().platform(current_lms().tool(str(claims.get("iss"))))


def _gradebook(course: str, item: str | None, scopes: tuple[str, ...], *wanted: str) -> Gradebook:
    return Gradebook(LibraryRequest(request, _query(*wanted)), current_lms(), course, scopes, item)


def _typed(media_type: str, service: Gradebook, handle: Callable[..., Any], **named: str) -> Response:
    if request.mimetype != media_type:
        return _refusal(415, f"Content-Type must be {media_type}")
    return _answer(service.handle_resp(handle, **named))


def _query(*wanted: str) -> dict[str, Any]:
    """The query parameters that a service knows, with a page size: the library passes all of them on."""
    query: dict[str, Any] = {name: request.args[name] for name in wanted if name in request.args}
    limit = request.args.get("limit", PER_PAGE, type=int)
    query["limit"] = min(max(limit, 1), PER_PAGE_AT_MOST)
    query["page"] = max(request.args.get("page", 1, type=int), 1)
    return query


def _answer(result: LibraryResponse) -> Response:
    """A Flask response from the library's, with the address of the next page as a Link header."""
    if result.code >= 400:
        return _refusal(result.code, result.message)
    body = result.result
    if body is None:
        empty = Response(status=result.code)
        del empty.headers["Content-Type"]
        return empty
    link = body.pop("next", None)
    answer = jsonify(body["content"] if "has_next" in body else body)
    answer.status_code = result.code
    answer.mimetype = result.media_type
    if link:
        answer.headers["Link"] = generate_next_link(link).replace("rel=next", 'rel="next"')
    return answer


def _refusal(status: int, message: str) -> Response:
    kinds = {401: "unauthorized", 404: "not_found", 409: "conflict", 422: "unprocessable_entity"}
    answer = jsonify(errors={"type": kinds.get(status, "error"), "message": message})
    answer.status_code = status
    return answer


def _no_token(code: str, description: str) -> tuple[Response, int]:
    return jsonify(error=code, error_description=description), 400
