"""The tool's RSA keys: made on first need, kept encrypted, loaded once per process.

A new key is published at once and signs only when platforms had time to fetch it; the one before stays
published a while longer, for platforms that keep a key set for days. Nobody has to tidy up: what a key does
now follows from the clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import current_app
from jwcrypto.jwk import JWK
from sqlalchemy import bindparam, or_, select

from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.registrations.models import ToolKey

OVERLAP = timedelta(days=7)
"""How long a key stays published after its successor began to sign."""

# Made once: every token request and deep linking answer runs it.
_SIGNING = (
    select(ToolKey)
    .where(
        ToolKey.retired_at.is_(None),
        or_(ToolKey.signs_from.is_(None), ToolKey.signs_from <= bindparam("now")),
    )
    .order_by(ToolKey.id.desc())
    .limit(1)
)


class ToolKeyLocked(RuntimeError):
    """GONGYU_KEY_ENCRYPTION_KEY is not the one that the stored keys were encrypted with."""


class KeyRefused(ValueError):
    """Says in a sentence why a key cannot be changed as asked."""


class KeyState(StrEnum):
    """`waiting`: published, signs later. `replaced`: published still, because a newer one has just begun to
    sign. `over`: its overlap has passed, nobody is shown it any more."""

    WAITING = "waiting"
    SIGNING = "signing"
    REPLACED = "replaced"
    OVER = "over"
    RETIRED = "retired"


_PUBLISHED = frozenset({KeyState.WAITING, KeyState.SIGNING, KeyState.REPLACED})


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A loaded private key: signing with it costs 0.3 ms, loading its PEM 30 ms."""

    kid: str
    private_key: rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What a key does now. `until` is when that ends by itself, if it does."""

    kid: str
    public_jwk: dict[str, Any]
    state: KeyState
    until: datetime | None


def signing_key() -> SigningKey:
    """The newest published key whose time has come. Raises ToolKeyLocked, or RuntimeError when there is none."""
    row = db.session.scalar(_SIGNING, {"now": utc_now()})
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


def add_key(signs_from: datetime | None = None) -> ToolKey:
    """Make a new key and publish it. It signs from then on (None: from now on)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = JWK.from_pyca(key.public_key())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # A letter first: an operator types kids, and a thumbprint may begin like an option, with "-".
    kid = f"k{jwk.thumbprint()}"
    public = {**json.loads(jwk.export_public()), "kid": kid, "alg": "RS256", "use": "sig"}
    row = ToolKey(
        kid=kid, private_key_encrypted=_fernet().encrypt(pem), public_jwk=public, signs_from=signs_from
    )
    db.session.add(row)
    return row


def rotate_key(wait: timedelta) -> ToolKey:
    """Publish a new key that signs after `wait`. Raises KeyRefused while another one waits."""
    waiting = next((key for key in known_keys() if key.state is KeyState.WAITING), None)
    if waiting is not None:
        raise KeyRefused(f"{waiting.kid} already waits to sign; retire it first, or let it begin")
    return add_key(utc_now() + wait if wait else None)


def retire_key(kid: str) -> None:
    """Stop publishing a key. Raises KeyRefused when it is not published, or is the one that signs."""
    known = _published(kid)
    if known.state is KeyState.SIGNING:
        raise KeyRefused(
            "it is the only one that can sign now; rotate first, or if it is not safe any more, revoke it"
        )
    _retire(kid)


def revoke_key(kid: str) -> ToolKey | None:
    """Stop publishing a key at once; if it signs, a new one signs at once, which is returned.

    Service tokens that were had with it are not used again: they are kept by key id. Raises KeyRefused.
    """
    known = _published(kid)
    _retire(kid)
    return add_key() if known.state is KeyState.SIGNING else None


def known_keys() -> list[KnownKey]:
    """All keys, newest first, and what each does now."""
    now = utc_now()
    rows = db.session.scalars(select(ToolKey).order_by(ToolKey.id.desc())).all()
    found: list[KnownKey] = []
    successor_since: datetime | None = None
    has_signer = False
    for row in rows:
        state, until = _state(row, now, has_signer, successor_since)
        found.append(KnownKey(row.kid, row.public_jwk, state, until))
        if state is KeyState.SIGNING:
            has_signer, successor_since = True, row.signs_from or row.created_at
    return found


def published_keys() -> list[dict[str, Any]]:
    """The public keys that platforms may verify us with, newest first."""
    return [key.public_jwk for key in known_keys() if key.state in _PUBLISHED]


def _state(
    row: ToolKey, now: datetime, has_signer: bool, successor_since: datetime | None
) -> tuple[KeyState, datetime | None]:
    if row.retired_at is not None:
        return KeyState.RETIRED, None
    if row.signs_from is not None and row.signs_from > now:
        return KeyState.WAITING, row.signs_from
    if not has_signer:
        return KeyState.SIGNING, None
    assert successor_since is not None
    ends = successor_since + OVERLAP
    return (KeyState.REPLACED, ends) if now < ends else (KeyState.OVER, None)


def _published(kid: str) -> KnownKey:
    known = next((key for key in known_keys() if key.kid == kid), None)
    if known is None or known.state not in _PUBLISHED:
        raise KeyRefused("no such published key; `flask keys list` shows them")
    return known


def _retire(kid: str) -> None:
    row = db.session.scalars(select(ToolKey).where(ToolKey.kid == kid)).one()
    row.retired_at = utc_now()
    row.private_key_encrypted = b""  # of no more use to us, and so to nobody


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
