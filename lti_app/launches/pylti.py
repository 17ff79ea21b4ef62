"""PyLTI1p3 with its holes closed: the only module that touches the library's Flask parts.

What it keeps of the library is the order of the checks, the deployment look-up and the message validators.
Everything that trusted an unverified body, a client-side session or a reusable nonce is replaced (the audit
behind each replacement: docs/decisions/0002-launch.md).
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any, cast

from flask import Request
from pylti1p3.contrib.flask import FlaskMessageLaunch, FlaskOIDCLogin, FlaskRequest
from pylti1p3.cookie import CookieService
from pylti1p3.deployment import Deployment as PyltiDeployment
from pylti1p3.exception import LtiException, OIDCException
from pylti1p3.registration import Registration as PyltiRegistration
from pylti1p3.session import SessionService
from pylti1p3.tool_config import ToolConfAbstract

from integrations.errors import BadMessage, PlatformError
from integrations.lti.claims import LTI, parse_launch
from integrations.lti.tokens import verify_id_token
from integrations.platforms.registry import platform_for
from integrations.terms import Launch, MessageType
from lti_app.clock import utc_now
from lti_app.errors import LaunchRefused
from lti_app.extensions import platform_services
from lti_app.launches.models import LoginState
from lti_app.launches.refusals import refused
from lti_app.registrations.deployments import met, note_platform
from lti_app.registrations.models import Deployment, DeploymentStatus, Registration
from lti_app.registrations.services import (
    address_policy,
    find_for_login,
    find_waiting,
    known_frame_origins,
)
from lti_app.security import allow_framing


class DatabaseToolConf(ToolConfAbstract):
    """Registrations and deployments from our tables; remembers the rows it gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.registration: Registration | None = None
        self.deployment: Deployment | None = None
        self.refused_as: DeploymentStatus | None = None

    def check_iss_has_one_client(self, iss: str) -> bool:
        return False

    def check_iss_has_many_clients(self, iss: str) -> bool:
        return True

    def find_registration_by_issuer(self, iss: str, *args: Any, **kwargs: Any) -> PyltiRegistration:
        raise NotImplementedError("registrations are found by issuer and client id")

    def find_deployment(self, iss: str, deployment_id: str) -> PyltiDeployment | None:
        raise NotImplementedError("deployments are found by issuer, client id and deployment id")

    def find_registration_by_params(  # type: ignore[override]
        self, iss: str, client_id: str | None = None, *args: Any, **kwargs: Any
    ) -> PyltiRegistration | None:
        self.registration = self.registration or find_for_login(iss, client_id)
        return as_pylti(self.registration) if self.registration else None

    def find_deployment_by_params(
        self, iss: str, deployment_id: str, client_id: str, *args: Any, **kwargs: Any
    ) -> PyltiDeployment | None:
        assert self.registration is not None
        row = met(self.registration, deployment_id)
        if row is None or row.status is not DeploymentStatus.ACTIVE:
            self.refused_as = row.status if row else None
            return None
        self.deployment = row
        return PyltiDeployment().set_deployment_id(deployment_id)


class NoCookies(CookieService):
    """State cookies are set by the login view, partitioned; the library sets none."""

    def get_cookie(self, name: str) -> str | None:
        return None

    def set_cookie(self, name: str, value: Any, exp: int | None = 3600) -> None:
        return None


class NoSession(SessionService):
    """Nothing of a launch is kept by the library; the nonce goes into our login row."""

    def __init__(self, request: Any) -> None:
        self.nonce: str | None = None

    def save_nonce(self, nonce: str) -> None:
        self.nonce = nonce

    def set_data_storage(self, data_storage: Any) -> None:
        raise NotImplementedError("launches are kept in LaunchSession")


class Login(FlaskOIDCLogin):
    """A third-party-initiated login: which registration, which state and nonce, which address next."""

    def __init__(self, parameters: dict[str, str]) -> None:
        request = FlaskRequest(cookies={}, session={}, request_data=parameters, request_is_secure=True)
        self.conf = DatabaseToolConf()
        self.state = secrets.token_urlsafe(24)
        super().__init__(request, self.conf, NoSession(request), NoCookies())

    def _get_uuid(self) -> str:
        return self.state

    def _generate_nonce(self) -> str:
        return secrets.token_urlsafe(24)

    def authorization_url(self, redirect_uri: str) -> tuple[str, str, str]:
        """(address at the platform, state, nonce). Raises LaunchRefused for an unknown platform."""
        try:
            url = self._prepare_redirect_url(redirect_uri)
        except OIDCException as error:  # no registration: everything else the schema has checked
            raise self._unknown_platform() from error
        base = self._registration.get_auth_login_url()
        assert base is not None
        if "?" in base:  # the library always joins with "?"
            url = base + "&" + url[len(base) + 1 :]
        nonce = self._session_service.nonce
        return url, f"state-{self.state}", nonce

    def _unknown_platform(self) -> LaunchRefused:
        waiting = find_waiting(self._get_request_param("iss"), self._get_request_param("client_id") or None)
        if waiting is None:
            return refused("unknown-platform")
        allow_framing([*known_frame_origins(), *waiting.frame_origins])
        return refused("pending-platform")


class StrictLaunch(FlaskMessageLaunch):
    """The answer to a login that we began: nothing is read of it before its signature is good."""

    def __init__(self, incoming: Request, login: LoginState, registration: Registration, token: str) -> None:
        request = FlaskRequest(
            cookies={},
            session={},
            request_data={"state": login.state, "id_token": token},
            request_is_secure=True,
        )
        self.login = login
        self.row = registration
        self.token = token
        self.conf = DatabaseToolConf()
        self.conf.registration = registration
        self.launch: Launch | None = None
        super().__init__(request, self.conf, NoSession(request), NoCookies(), requests_session=object())

    def verified(self) -> tuple[Launch, Deployment]:
        """Run all checks and return the typed launch with its deployment. Raises LaunchRefused."""
        try:
            self.validate()
        except BadMessage as error:
            refusal = refused(error.code)
            refusal.leaves_note = self.conf.refused_as is DeploymentStatus.PENDING
            raise refusal from error
        except PlatformError as error:
            raise refused("platform-keys") from error
        except LtiException as error:
            raise refused("bad-message") from error
        assert self.launch is not None
        assert self.conf.deployment is not None
        note_platform(self.conf.deployment, self.launch.platform)
        return self.launch, self.conf.deployment

    def validate_state(self) -> StrictLaunch:
        return self  # the view took the login row by state and compared the browser's secret

    def validate_jwt_format(self) -> StrictLaunch:
        return self  # the library would read the unverified body here

    def validate_nonce(self) -> StrictLaunch:
        return self  # compared below, once the body is verified

    def validate_registration(self) -> StrictLaunch:
        self._registration = as_pylti(self.row)  # ours, from the login; never from the message
        return self

    def validate_jwt_signature(self) -> StrictLaunch:
        claims = verify_id_token(
            self.token,
            jwks=platform_services().jwks,
            issuer=self.row.issuer,
            client_id=self.row.client_id,
            jwks_url=self.row.jwks_url,
            policy=address_policy(self.row),
            now=utc_now(),
        )
        if not hmac.compare_digest(
            str(claims.get("nonce", "")).encode("utf-8", "replace"), self.login.nonce.encode()
        ):
            raise BadMessage("wrong-nonce")
        self._jwt = {"body": cast(Any, claims)}
        return self

    def get_client_id(self) -> str:
        return self.row.client_id

    def validate_deployment(self) -> StrictLaunch:
        # Types first: the library's own look-ups would stumble over lists and objects.
        self.launch = parse_launch(self._jwt["body"], platform=platform_for(self.row.kind))
        try:
            super().validate_deployment()
        except LtiException as error:
            raise BadMessage(f"{self.conf.refused_as or 'unknown'}-deployment") from error
        return self

    def validate_message(self) -> StrictLaunch:
        """The library's checks, but where it wants more than the standard: a `sub`, and of a request for content
        that it takes links and names targets (a page says so). `parse_launch` has looked at those itself."""
        body = self._jwt["body"]
        wants_content = body.get(f"{LTI}message_type") == MessageType.DEEP_LINKING
        if body.get("sub") is not None and not wants_content:
            super().validate_message()
        return self

    def save_launch_data(self) -> StrictLaunch:
        return self


def as_pylti(row: Registration) -> PyltiRegistration:
    """Our row in the library's words."""
    registration = PyltiRegistration()
    registration.set_issuer(row.issuer).set_client_id(row.client_id).set_auth_login_url(row.auth_url)
    registration.set_auth_token_url(row.token_url).set_key_set_url(row.jwks_url)
    return registration
