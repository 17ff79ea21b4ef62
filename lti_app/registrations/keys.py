"""The tool's RSA keys: made on first need, kept encrypted, loaded once per process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import current_app
from jwcrypto.jwk import JWK
from sqlalchemy import select

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.registrations.models import ToolKey


class ToolKeyLocked(RuntimeError):
    """GONGYU_KEY_ENCRYPTION_KEY is not the one that the stored keys were encrypted with."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A loaded private key: signing with it costs 0.3 ms, loading its PEM 30 ms."""

    kid: str
    private_key: rsa.RSAPrivateKey


def signing_key() -> SigningKey:
    """The newest key that is not retired. Raises ToolKeyLocked, or RuntimeError when there is none."""
    row = db.session.scalar(
        select(ToolKey).where(ToolKey.retired_at.is_(None)).order_by(ToolKey.id.desc()).limit(1)
    )
    if row is None:
        raise RuntimeError("no tool key yet: `flask keys ensure` makes one")
    loaded: dict[str, SigningKey] = current_app.extensions.setdefault("tool_keys", {})
    if row.kid not in loaded:
        loaded[row.kid] = SigningKey(row.kid, _decrypt(row.private_key_encrypted))
    return loaded[row.kid]


def ensure_key() -> bool:
    """Make the first key if there is none; returns whether it did."""
    if db.session.scalar(select(ToolKey.id).where(ToolKey.retired_at.is_(None)).limit(1)):
        return False
    add_key()
    return True


def add_key() -> ToolKey:
    """Make a new key. It signs from now on; older ones stay published until they are retired."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = JWK.from_pyca(key.public_key())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # A letter first: an operator types kids, and a thumbprint may begin like an option, with "-".
    kid = f"k{jwk.thumbprint()}"
    public = {**json.loads(jwk.export_public()), "kid": kid, "alg": "RS256", "use": "sig"}
    row = ToolKey(kid=kid, private_key_encrypted=_fernet().encrypt(pem), public_jwk=public)
    db.session.add(row)
    return row


def retire_key(kid: str) -> bool:
    """Stop publishing a key; returns False when it is unknown, retired, or the only one."""
    active = db.session.scalars(select(ToolKey).where(ToolKey.retired_at.is_(None))).all()
    row = next((key for key in active if key.kid == kid), None)
    if row is None or len(active) < 2:
        return False
    row.retired_at = utc_now()
    return True


def published_keys() -> list[dict[str, Any]]:
    """The public keys that platforms may verify us with, newest first."""
    rows = db.session.scalars(
        select(ToolKey.public_jwk).where(ToolKey.retired_at.is_(None)).order_by(ToolKey.id.desc())
    )
    return list(rows)


def _decrypt(encrypted: bytes) -> rsa.RSAPrivateKey:
    try:
        pem = _fernet().decrypt(encrypted)
    except InvalidToken as error:
        raise ToolKeyLocked(
            "GONGYU_KEY_ENCRYPTION_KEY does not open the tool keys in this database; "
            "use the one they were made with"
        ) from error
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ToolKeyLocked("a stored tool key is not an RSA key")
    return key


def _fernet() -> Fernet:
    return Fernet(current_app.config["SETTINGS"].key_encryption_key)
