"""`/lti/register`: an LMS's administrator connects it by one address (Dynamic Registration 1.0).

Two steps. The first reads the platform's configuration and shows who asks, for which school, and what will be
asked for; the second asks. The platform's registration token stays in the page's form between them: it is of
use for an hour and once, and the browser has it already, so keeping it here would only add a place where it
lies. It stands in no address of ours and in no log.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flask import Blueprint, current_app, render_template, request
from flask_babel import gettext
from marshmallow import ValidationError
from sqlalchemy.exc import IntegrityError

from integrations.errors import IntegrationError
from integrations.lti.registration import (
    fetch_configuration,
    platform_of,
    register_tool,
    registration_request,
    scopes_for,
)
from integrations.platforms.base import Platform, host_of
from integrations.platforms.registry import KINDS, family_hint, platform_for
from integrations.terms import PlatformConfiguration, RegisteredTool, RegistrationWishes
from lti_app.errors import AppError
from lti_app.extensions import db, platform_services
from lti_app.registrations import invitations, keys
from lti_app.registrations.invitations import Admission, admitted
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.registrations.onboarding import Newcomer, neighbours, record, tool_description
from lti_app.registrations.refusals import refused, refused_by, whom_to_ask
from lti_app.registrations.schemas import ConfirmSchema, RegisterSchema
from lti_app.registrations.services import forget_frame_origins
from lti_app.registrations.words import PLACEMENTS, PLACES, permissions, steps
from lti_app.security import allow_framing, is_origin, origin_of

bp = Blueprint("dynamic_registration", __name__)

_START, _CONFIRM = RegisterSchema(), ConfirmSchema()
_TRIES = 3


@bp.get("/register")
@bp.get("/register/<invitation>")
def register(invitation: str = "") -> Any:
    """Show what will be asked for; without `openid_configuration`, where to enter this address."""
    values = _start(invitation)
    embedder = _embedder()
    allow_framing([origin_of(values["openid_configuration"]), embedder])
    admission = _admitted(values["invitation"])
    if not values["openid_configuration"]:
        return _where_to_enter(admission)
    db.session.close()  # nobody waits for what the platform takes
    try:
        configuration = _configuration(values, admission)
    except IntegrationError as error:
        raise refused_by(error) from error
    platform = platform_of(configuration)
    scopes = scopes_for(configuration)
    granted, missing = permissions(scopes)
    return render_template(
        "registrations/register.html",
        values=values,
        embedder=embedder,
        admission=admission,
        configuration=configuration,
        platform=platform,
        called=_called(configuration),
        offers=[(offer, PLACEMENTS[offer.name]) for offer in platform.offered_placements(configuration)],
        permissions=granted,
        missing=missing,
        scopes=scopes,
        neighbours=neighbours(configuration.issuer, admission.school_id),
        tool=tool_description(),
        whom_to_ask=whom_to_ask(),
    )


@bp.post("/register")
def confirm() -> Any:
    """Register at the platform and keep what it answers. The result is shown at once and has no address."""
    values = _confirmed()
    allow_framing([origin_of(values["openid_configuration"]), values["embedder"]])
    admission = _admitted(values["invitation"])
    if admission.invitation_id is not None and not invitations.take(admission.invitation_id):
        raise refused("busy-invitation")
    keys.ensure_key()  # the platform may fetch it at once
    db.session.commit()
    db.session.close()
    try:
        configuration, registered = _register(values, admission)
    except IntegrationError as error:
        _give_back(admission)
        raise refused_by(error) from error
    except AppError:
        _give_back(admission)
        raise
    newcomer = Newcomer(configuration, values["openid_configuration"], registered, values["embedder"])
    registration, is_new = _kept(newcomer, admission)
    name, waits = registration.name, registration.status is RegistrationStatus.PENDING
    db.session.commit()
    forget_frame_origins()
    return render_template(
        "registrations/registered.html",
        name=name,
        is_new=is_new,
        waits=waits,
        admission=admission,
        registered=registered,
        configuration=configuration,
        called=_called(configuration),
        steps=steps(platform_of(configuration).steps_after_registration),
        whom_to_ask=whom_to_ask(),
    )


def _start(invitation: str) -> dict[str, Any]:
    try:
        values: dict[str, Any] = _START.load(request.args.to_dict())
        if invitation:
            values["invitation"] = _START.load({"invitation": invitation})["invitation"]
    except ValidationError as error:
        raise refused("incomplete") from error
    return values


def _confirmed() -> dict[str, Any]:
    try:
        values: dict[str, Any] = _CONFIRM.load(
            {**request.form.to_dict(), "placements": request.form.getlist("placements")}
        )
    except ValidationError as error:
        raise refused("incomplete") from error
    return values


def _admitted(code: str) -> Admission:
    return admitted(code, open_district=current_app.config["SETTINGS"].open_registration)


def _embedder() -> str:
    """The origin of the page that frames ours: a platform's pages may stand on another host than its
    configuration. Whoever knows the invitation may frame the page that asks for it; nobody else gets it."""
    if request.headers.get("Sec-Fetch-Dest", "iframe") not in ("iframe", "frame"):
        return ""
    origin = origin_of(request.headers.get("Referer", ""))
    own = origin_of(current_app.config["SETTINGS"].public_url)
    return origin if is_origin(origin) and origin != own else ""


def _where_to_enter(admission: Admission) -> Any:
    address = current_app.config["SETTINGS"].public_url + request.path
    if request.args.get("invitation") and "/register/" not in request.path:
        address += f"/{request.args['invitation']}"
    return render_template(
        "registrations/start.html",
        admission=admission,
        address=address,
        places=[_place(platform_for(kind)) for kind in KINDS if platform_for(kind).registration_place],
    )


def _place(platform: Platform) -> tuple[str, Any]:
    """Which LMS, and where to enter the address there; the standard's words are for all others."""
    other = platform.registration_place == Platform.registration_place
    return gettext("其他平台") if other else platform.title, PLACES[platform.registration_place]


def _called(configuration: PlatformConfiguration) -> str:
    """The product's name, else the host: "connect it to LTI 1.3" would tell nobody anything."""
    known = family_hint(configuration.family)
    return platform_for(known).title if known else host_of(configuration.issuer)


def _configuration(values: dict[str, Any], admission: Admission) -> PlatformConfiguration:
    return fetch_configuration(
        platform_services().http,
        values["openid_configuration"],
        values["registration_token"] or None,
        admission.policy,
    )


def _register(values: dict[str, Any], admission: Admission) -> tuple[PlatformConfiguration, RegisteredTool]:
    """Read the configuration again, because a form can be changed, and register."""
    configuration = _configuration(values, admission)
    wishes = RegistrationWishes(values["names"] == "names", frozenset(values["placements"]))
    offered = {offer.name for offer in platform_of(configuration).offered_placements(configuration)}
    if offered and not offered & wishes.placements:
        raise refused("no-place")
    registered = register_tool(
        platform_services().http,
        configuration,
        values["registration_token"] or None,
        registration_request(tool_description(), configuration, wishes),
        admission.policy,
    )
    return configuration, registered


def _kept(newcomer: Newcomer, admission: Admission) -> tuple[Registration, bool]:
    """The registration and whether it is new, with the invitation used up; nothing when it is refused."""
    for _ in range(_TRIES):
        with suppress(IntegrityError):
            return _recorded(newcomer, admission)
        db.session.rollback()  # another one of that name, or of that client id, was quicker: look again
    _give_back(admission)
    raise refused("busy")


def _recorded(newcomer: Newcomer, admission: Admission) -> tuple[Registration, bool]:
    try:
        registration, is_new = record(newcomer, admission)
        if admission.invitation_id is not None and not invitations.use(admission.invitation_id, registration):
            raise refused("used-invitation")
    except AppError:
        db.session.rollback()
        _give_back(admission)
        raise
    return registration, is_new


def _give_back(admission: Admission) -> None:
    if admission.invitation_id is not None:
        invitations.give_back(admission.invitation_id)
        db.session.commit()
