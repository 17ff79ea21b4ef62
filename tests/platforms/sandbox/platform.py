"""Glue to `lti1p3platform`: the one registration, its key and its tokens.

The library checks client assertions and access tokens and signs every message. Added here is what it leaves
to its host: where the key is kept, and whom an assertion is from and for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Request as FlaskRequest
from lti1p3platform.constants import LTI_1P3_ACCESS_TOKEN_SCOPES
from lti1p3platform.exceptions import LtiException, LtiServiceException
from lti1p3platform.ltiplatform import JWKS, LTI1P3PlatformConfAbstract
from lti1p3platform.registration import Registration
from lti1p3platform.request import Request

from .store import Store
from .tools import CLAIM, PERSONAL_CLAIMS, ToolEntry

CLIENT_ID = "gongyu-sandbox"
DEPLOYMENT_ID = "1"
ASSERTION_LIFE = 300
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class Addresses:
    """Where the sandbox and the tool are, without trailing slashes."""

    issuer: str
    tool: str

    @property
    def auth(self) -> str:
        return f"{self.issuer}/lti/auth"

    @property
    def token(self) -> str:
        return f"{self.issuer}/lti/token"

    @property
    def jwks(self) -> str:
        return f"{self.issuer}/lti/jwks.json"

    @property
    def launch(self) -> str:
        """The tool's address for launches: its one redirect_uri and every link's target_link_uri."""
        return f"{self.tool}/lti/launch"

    @property
    def configuration(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    @property
    def registration(self) -> str:
        return f"{self.issuer}/lti/register"

    def content(self, course: str) -> str:
        """Where a tool answers a deep linking request of the course."""
        return f"{self.issuer}/lti/courses/{course}/content"

    def by_hand(self) -> ToolEntry:
        """The tool that the operator connected by copying addresses, as `make run` does."""
        return ToolEntry(
            client_id=CLIENT_ID,
            name="共育",
            login=f"{self.tool}/lti/login",
            launch=self.launch,
            redirects=(self.launch,),
            key_set=f"{self.tool}/lti/jwks.json",
            claims=frozenset(PERSONAL_CLAIMS),
            scopes=frozenset(LTI_1P3_ACCESS_TOKEN_SCOPES),
            custom={},
            active=True,
        )

    def course(self, course: str) -> str:
        return f"{self.issuer}/courses/{course}"

    def line_items(self, course: str) -> str:
        return f"{self.issuer}/lti/courses/{course}/lineitems"

    def line_item(self, course: str, item: str) -> str:
        return f"{self.line_items(course)}/{item}"

    def memberships(self, course: str) -> str:
        return f"{self.issuer}/lti/courses/{course}/memberships"


class Keyring:
    """The platform's one RSA key, made at the first start and kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        pem = store.key()
        if pem is None:
            self.rotate()
        else:
            self._load(pem)

    def rotate(self) -> None:
        """A new key at once, under a new kid; what the old one signed is worth nothing from now on."""
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = fresh.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self._load(pem)
        self._store.set_key(self.kid, pem)

    def _load(self, pem: str) -> None:
        self.private = serialization.load_pem_private_key(pem.encode(), None)
        self.public_pem = (
            self.private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self.kid: str = Registration.get_jwk(self.public_pem)["kid"]


class SandboxRegistration(Registration):
    """A tool's registration. The loaded key object is used, because reading a PEM takes 30 ms each time."""

    def __init__(self, addresses: Addresses, keys: Keyring, tool: ToolEntry) -> None:
        self._keys = keys
        self.set_iss(addresses.issuer).set_client_id(tool.client_id).set_deployment_id(DEPLOYMENT_ID)
        self.set_launch_url(tool.launch).set_oidc_login_url(tool.login)
        self.set_deeplink_launch_url(tool.launch)
        self.set_tool_key_set_url(tool.key_set)
        self.set_platform_public_key(keys.public_pem)

    def get_platform_private_key(self) -> Any:
        return self._keys.private

    def get_kid(self) -> str:
        return self._keys.kid


class SandboxPlatform(LTI1P3PlatformConfAbstract):
    """One per request: the library keeps the token that it is reading in the object."""

    def init_platform_config(self, **kwargs: Any) -> None:
        self._registration = kwargs["registration"]
        self._client_id: str = self._registration.get_client_id() or ""
        self._token_url: str = kwargs["token_url"]
        self._store: Store = kwargs["store"]
        self._tokens_expired: bool = kwargs["tokens_expired"]
        self._jwt_verify_options["require"] = ["iss", "sub", "aud", "iat", "exp", "jti"]
        self._answers_content = False

    def get_registration_by_params(self, **kwargs: Any) -> Registration:
        return self._registration

    def fetch_public_key(self, key_set_url: str) -> JWKS:
        keys = super().fetch_public_key(key_set_url)
        if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
            raise LtiException(f"{key_set_url} did not answer with a JWKS")
        return keys

    def validate_jwt_format(self, jwt_token_string: str) -> None:
        super().validate_jwt_format(jwt_token_string)
        if not all(isinstance(part, dict) for part in self._jwt.values()):
            raise LtiException("A JWT's header and body must be JSON objects")

    def tool_validate_and_decode(self, jwt_token_string: str) -> dict[str, Any]:
        """The library checks signature, kid and times; here whom it is from and for, and that it is new."""
        claims = super().tool_validate_and_decode(jwt_token_string)
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if self._answers_content:
            return _checked_content(claims, audience, self._client_id, self._registration.get_iss())
        if claims["iss"] != self._client_id or claims["sub"] != self._client_id:
            raise LtiException("iss and sub must be the client id")
        if self._token_url not in audience:
            raise LtiException("aud must be the token address")
        if claims["iat"] < time.time() - ASSERTION_LIFE:
            raise LtiException("The assertion is older than five minutes")
        if not self._store.first_time(str(claims["jti"])):
            raise LtiException("This jti was used before")
        return claims

    def content_of(self, token: str) -> dict[str, Any]:
        """The claims of a deep linking response, its items checked for their type by the library.

        Raises LtiException or a PyJWT error.
        """
        self._answers_content = True
        self._jwt_verify_options["require"] = ["iss", "aud", "iat", "exp", "nonce"]
        self.set_accepted_deeplinking_types(["ltiResourceLink"])
        self.validate_deeplinking_resp({"JWT": token})
        claims: dict[str, Any] = self._jwt["body"]
        return claims

    def validate_token(
        self, token: str, allowed_scopes: list[str] | None = None, audience: str | None = None
    ) -> bool:
        if self._tokens_expired:
            raise LtiServiceException("Access token expired", 401)
        try:
            return super().validate_token(token, allowed_scopes, audience)
        except (jwt.PyJWTError, LtiException) as error:
            raise LtiServiceException(f"Invalid access token: {error}", 401) from error


def _checked_content(
    claims: dict[str, Any], audience: list[Any], client_id: str, issuer: str | None
) -> dict[str, Any]:
    """Deep Linking 2.0, 4.5: from the tool, for this platform, about its deployment."""
    if claims["iss"] != client_id or issuer not in audience:
        raise LtiException("iss must be the client id and aud the platform's issuer")
    if claims.get(f"{CLAIM}deployment_id") != DEPLOYMENT_ID or claims.get(f"{CLAIM}version") != "1.3.0":
        raise LtiException("deployment_id or version is wrong")
    if claims["iat"] < time.time() - ASSERTION_LIFE:
        raise LtiException("The answer is older than five minutes")
    return claims


class LibraryRequest(Request):
    """A Flask request in the library's words. Counts are numbers, for the library adds one to `page`."""

    def __init__(self, request: FlaskRequest, query: Mapping[str, Any] | None = None) -> None:
        self._query = dict(request.args if query is None else query)
        super().__init__(request)

    def build_metadata(self, request: FlaskRequest) -> Any:
        body = request.get_json(force=True, silent=True) if request.method in ("POST", "PUT") else None
        return {
            "method": request.method,
            "form_data": request.form.to_dict(),
            "get_data": self._query,
            "headers": request.headers,
            "content_type": request.mimetype,
            "path": request.path,
            "json": body if isinstance(body, dict) else {},
        }
