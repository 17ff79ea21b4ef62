"""What the load platform says: its people, and the launches it signs.

Two hundred parents in four classes, each with one link to a course, as Moodle would describe them.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization

CLIENT_ID = "load-client"
DEPLOYMENT_ID = "1"
KID = "load-key"
USERS = 200
CLASSES = 4
COURSES = ("bedtime-talk", "family-meeting", "fathers-time", "homework-habits", "screen-free-meals")

_LTI = "https://purl.imsglobal.org/spec/lti/claim/"
_AGS = "https://purl.imsglobal.org/spec/lti-ags/"
AGS_SCOPES = [f"{_AGS}scope/{name}" for name in ("lineitem", "result.readonly", "score")]
_LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"


def load_key(folder: Path) -> Any:
    """The private key, loaded: signing with it costs 0.25 ms, with its PEM text 30 ms."""
    return serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)


@dataclass(frozen=True, slots=True)
class Parent:
    """One of the people who launch."""

    number: int

    @property
    def name(self) -> str:
        return f"家长{self.number:03d}"

    @property
    def class_(self) -> str:
        return f"class-{self.number % CLASSES}"

    @property
    def course(self) -> str:
        return COURSES[self.number % len(COURSES)]


def login_form(parent: Parent, issuer: str, launch_url: str) -> bytes:
    """A third-party-initiated login (LTI Core 1.3, 5.1.1), form encoded."""
    return urlencode(
        {
            "iss": issuer,
            "client_id": CLIENT_ID,
            "login_hint": str(parent.number),
            "lti_message_hint": f"{parent.class_}-{parent.course}",
            "target_link_uri": launch_url,
            "lti_deployment_id": DEPLOYMENT_ID,
        }
    ).encode()


def id_token(parent: Parent, issuer: str, launch_url: str, nonce: str, key: Any) -> str:
    """The signed launch of a parent."""
    return jwt.encode(_claims(parent, issuer, launch_url, nonce), key, "RS256", headers={"kid": KID})


def _claims(parent: Parent, issuer: str, launch_url: str, nonce: str) -> dict[str, Any]:
    now = int(time.time())
    place = f"{issuer}/ags/{parent.class_}/lineitems"
    return {
        "iss": issuer,
        "aud": CLIENT_ID,
        "sub": f"parent-{parent.number}",
        "iat": now,
        "exp": now + 300,
        "nonce": nonce,
        "jti": uuid.uuid4().hex,
        "name": parent.name,
        "given_name": parent.name[2:],
        "family_name": parent.name[:2],
        "email": f"parent-{parent.number}@example.org",
        "locale": "zh-CN",
        _LTI + "message_type": "LtiResourceLinkRequest",
        _LTI + "version": "1.3.0",
        _LTI + "deployment_id": DEPLOYMENT_ID,
        _LTI + "target_link_uri": launch_url,
        _LTI + "roles": [_LEARNER],
        _LTI + "context": {"id": parent.class_, "title": f"{parent.class_} 家长班", "label": parent.class_},
        _LTI + "resource_link": {"id": f"{parent.class_}-{parent.course}", "title": parent.course},
        _LTI + "custom": {"gongyu_course": parent.course},
        _LTI + "tool_platform": {"product_family_code": "load", "guid": "load", "name": "Load platform"},
        _LTI + "launch_presentation": {
            "locale": "zh-CN",
            "document_target": "iframe",
            "return_url": f"{issuer}/course/{parent.class_}",
        },
        _AGS + "claim/endpoint": {
            "scope": AGS_SCOPES,
            "lineitems": place,
            "lineitem": f"{place}/{parent.course}/lineitem",
        },
    }
