"""An LMS that exists only as a requests adapter: it signs launches and answers keys, tokens and scores.

It proves nothing about real platforms (tests/platforms and tests/contract do); it makes the product's own
behaviour quick to reach through the front door.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwcrypto.jwk import JWK
from requests.adapters import BaseAdapter

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
AGS = "https://purl.imsglobal.org/spec/lti-ags/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
SCOPES = [f"{AGS}scope/{name}" for name in ("lineitem", "result.readonly", "score")]
MEMBERSHIP_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"

_KEYS: list[rsa.RSAPrivateKey] = []


def _key(index: int) -> rsa.RSAPrivateKey:
    while len(_KEYS) <= index:  # making a key takes a tenth of a second: the tests share two
        _KEYS.append(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return _KEYS[index]


@dataclass
class User:
    """Somebody of the platform. `sub` None: an anonymous visitor."""

    sub: str | None
    name: str | None = None
    roles: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)


USERS = {
    "teacher": User("u-teacher", "王老师", [MEMBERSHIP + "Instructor"]),
    "assistant": User(
        "u-assistant",
        "李助教",
        [
            "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant",
            MEMBERSHIP + "Instructor",
        ],
    ),
    "parent": User("u-parent", "陈妈妈", [MEMBERSHIP + "Learner"]),
    "father": User("u-father", "刘爸爸", [MEMBERSHIP + "Learner"]),
    "observer": User("u-observer", "赵奶奶", [MEMBERSHIP + "Mentor"], ["u-pupil"]),
    "pupil": User("u-pupil", "陈小雨", [MEMBERSHIP + "Learner"]),
    "admin": User("u-admin", "周管理员", [ADMINISTRATOR]),
    "nameless": User("u-nameless", None, [MEMBERSHIP + "Learner"]),
    "test-student": User("u-test", "测试学生", [MEMBERSHIP + "Learner", TEST_USER]),
    "anonymous": User(None, None, [MEMBERSHIP + "Learner"]),
}


class FakePlatform(BaseAdapter):
    """`kind` and `host` tell several apart; `scores` is the exact list of accepted score posts."""

    def __init__(self, host: str = "lms.test", *, kind: str = "generic") -> None:
        super().__init__()
        self.host = host
        self.kind = kind
        self.issuer = f"https://{host}"
        self.client_id = f"client-of-{host}"
        self.deployment_id = "1"
        self.key_index = 0
        self.users = dict(USERS)
        self.scores: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Callable[[requests.PreparedRequest], tuple[int, Any] | Exception]] = []
        self.ungraded: set[str] = set()
        self.configuration: dict[str, Any] = {}
        self.registration_token: str | None = "reg-token"
        self.registered: list[dict[str, Any]] = []
        self.registration_answer: dict[str, Any] = {}
        self.rosters: dict[str, list[dict[str, Any]]] = {}
        """Members by class. Only classes that are here tell their launches where the roster is."""
        self.may_open: dict[str, set[str]] = {}
        """Who may open a link (`rlid`), where not everybody of the class."""
        self.roster_faults: list[Callable[[requests.PreparedRequest], Any] | None] = []
        """Each meets one page of a roster (None: that one is answered): an error, or status, body, headers."""
        self.differences: str | None = None
        """Where rosters say that their changes are."""

    # -- what an operator types ---------------------------------------------------------------------

    @property
    def add_arguments(self) -> list[str]:
        """The arguments of `flask platforms add` for this platform."""
        return [
            *("--kind", self.kind, "--url", self.issuer, "--issuer", self.issuer),
            *("--client-id", self.client_id, "--deployment-id", self.deployment_id),
            *("--auth-url", f"{self.issuer}/auth", "--token-url", f"{self.issuer}/token"),
            *("--jwks-url", f"{self.issuer}/jwks", "--name", self.host),
        ]

    # -- launches -----------------------------------------------------------------------------------

    def login_parameters(self, user: str, link: str) -> dict[str, str]:
        return {
            "iss": self.issuer,
            "client_id": self.client_id,
            "login_hint": user,
            "lti_message_hint": link,
            "target_link_uri": "https://tool.test/lti/launch",
            "lti_deployment_id": self.deployment_id,
        }

    def claims(self, user: str, link: str, nonce: str, **changes: Any) -> dict[str, Any]:
        """The claims of a launch; `link` is "course-slug", "course-slug/class" or "/class" (no course)."""
        slug, _, class_ = link.partition("/")
        class_ = class_ or "class-1"
        somebody = self.users[user]
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "jti": uuid.uuid4().hex,
            "locale": "zh-CN",
            LTI + "message_type": "LtiResourceLinkRequest",
            LTI + "version": "1.3.0",
            LTI + "deployment_id": self.deployment_id,
            LTI + "target_link_uri": "https://tool.test/lti/launch",
            LTI + "roles": somebody.roles,
            LTI + "context": {"id": class_, "title": f"{class_} 家长班", "label": class_},
            LTI + "resource_link": {"id": f"link-{slug}-{class_}", "title": f"微课 {slug}"},
            LTI + "custom": {"gongyu_course": slug} if slug else {},
            LTI + "launch_presentation": {
                "locale": "zh-CN",
                "document_target": "iframe",
                "return_url": f"{self.issuer}/course/{class_}",
            },
            AGS + "claim/endpoint": self._endpoint(link, slug, class_),
        }
        if class_ in self.rosters:
            address = f"{self.issuer}/nrps/{class_}"
            claims[NRPS] = {"context_memberships_url": address, "service_versions": ["2.0"]}
        if somebody.sub is not None:
            claims["sub"] = somebody.sub
        if somebody.name:
            claims["name"] = somebody.name
        if somebody.children:
            claims[LTI + "role_scope_mentor"] = somebody.children
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not ...}

    def _endpoint(self, link: str, slug: str, class_: str) -> dict[str, Any]:
        endpoint = {"scope": SCOPES, "lineitems": f"{self.issuer}/ags/{class_}/lineitems"}
        if link not in self.ungraded:
            endpoint["lineitem"] = f"{self.issuer}/ags/{class_}/lineitems/{slug or 'none'}"
        return endpoint

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        kid = f"key-{self.key_index}"
        return jwt.encode(claims, _key(self.key_index), "RS256", headers={"kid": kid, **headers})

    # -- services -----------------------------------------------------------------------------------

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        path = urlsplit(request.url or "").path
        self.requests.append((request.method or "", path))
        if self.faults:
            fault = self.faults.pop(0)(request)
            if isinstance(fault, Exception):
                raise fault
            return _response(request, *fault)
        if path.startswith("/nrps/"):
            return self._members(request, path)
        return _response(request, *self._answer(request, path))

    def close(self) -> None:
        return None

    def _members(self, request: requests.PreparedRequest, path: str) -> requests.Response:
        """A page of a roster, of at most 100 members."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.url or "").query).items()}
        if not (request.headers.get("Authorization") or "").startswith("Bearer "):
            return _response(request, 401, {})
        fault = self.roster_faults.pop(0) if self.roster_faults else None
        if fault is not None:
            status, content, links = fault(request)
            return _response(request, status, content, **links)
        members = self.rosters[path.removeprefix("/nrps/")]
        if "rlid" in query:
            allowed = self.may_open.get(query["rlid"])
            members = [one for one in members if allowed is None or one["user_id"] in allowed]
        limit, start = min(int(query.get("limit", 100)), 100), int(query.get("from", 0))
        links = []
        if start + limit < len(members):
            following = {**query, "limit": str(limit), "from": str(start + limit)}
            links.append(f'<{self.issuer}{path}?{urlencode(following)}>; rel="next"')
        if self.differences:
            links.append(f'<{self.differences}>; rel="differences"')
        headers = {"Link": ", ".join(links)} if links else {}
        body = {"id": request.url, "context": {"id": "x"}, "members": members[start : start + limit]}
        return _response(request, 200, body, **headers)

    def _answer(self, request: requests.PreparedRequest, path: str) -> tuple[int, Any]:
        if path == "/jwks":
            public = JWK.from_pyca(_key(self.key_index).public_key()).export_public(as_dict=True)
            return 200, {"keys": [{**public, "kid": f"key-{self.key_index}", "alg": "RS256", "use": "sig"}]}
        if path == "/token":
            form = parse_qs(request.body.decode() if isinstance(request.body, bytes) else request.body or "")
            return 200, {"access_token": uuid.uuid4().hex, "expires_in": 3600, "scope": form["scope"][0]}
        if path in ("/openid-configuration", "/register"):
            return self._registering(request, path)
        if path.endswith("/scores"):
            self.scores.append({"url": request.url, **json.loads(request.body or b"{}")})
            return 200, b""
        return 404, {"error": "no such address"}

    # -- dynamic registration -----------------------------------------------------------------------

    def _registering(self, request: requests.PreparedRequest, path: str) -> tuple[int, Any]:
        """Both need the token, where this platform has one; where it has none, none may be made up."""
        wanted = f"Bearer {self.registration_token}" if self.registration_token else None
        if request.headers.get("Authorization") != wanted:
            return 401, b"token_already_used"
        if path == "/openid-configuration":
            return 200, {name: value for name, value in self._configuration().items() if value is not ...}
        self.registered.append(json.loads(request.body or b"{}"))
        answer = {"client_id": self.client_id, **self.registered[-1], **self.registration_answer}
        return 201, {name: value for name, value in answer.items() if value is not ...}

    def _configuration(self) -> dict[str, Any]:
        family = {"moodle": "moodle", "canvas": "canvas", "brightspace": "desire2learn"}.get(
            self.kind, "other"
        )
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "registration_endpoint": f"{self.issuer}/register",
            "scopes_supported": [*SCOPES, f"{AGS}scope/lineitem.readonly", MEMBERSHIP_SCOPE],
            "https://purl.imsglobal.org/spec/lti-platform-configuration": {
                "product_family_code": family,
                "version": "5.0",
                "messages_supported": [{"type": "LtiResourceLinkRequest"}, {"type": "LtiDeepLinkingRequest"}],
            },
            **self.configuration,
        }


def _response(request: requests.PreparedRequest, status: int, body: Any, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.request = request
    response.url = request.url or ""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.raw = io.BytesIO(content)
    response.headers.update({"Content-Type": "application/json", **headers})
    return response
