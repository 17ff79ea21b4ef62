"""Genuine, false and strange id_tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from integrations.errors import BadMessage, PlatformUnavailable
from integrations.http import AddressPolicy, PlatformHttp
from integrations.lti.jwks import JwksCache
from integrations.lti.tokens import verify_id_token
from tests.unit.integrations.network import Clock, Network, Reply, jwk, rsa_key

ISSUER = "https://lms.example"
CLIENT = "client-1"
NOW = 1_795_444_300
KEYS = [jwk("platform", "k1"), jwk("other", "k2"), jwk("third", "twice"), jwk("platform", "twice")]


def network() -> Network:
    return Network(lambda request: Reply(200, {"keys": KEYS}))


def verify(token: str, net: Network | None = None) -> dict[str, Any]:
    return verify_id_token(
        token,
        jwks=JwksCache(PlatformHttp(adapter=net or network()), clock=Clock(NOW)),
        issuer=ISSUER,
        client_id=CLIENT,
        jwks_url="https://lms.example/jwks",
        policy=AddressPolicy(),
        now=datetime.fromtimestamp(NOW, UTC),
    )


def payload(**changes: Any) -> dict[str, Any]:
    whole = {"iss": ISSUER, "aud": CLIENT, "sub": "u1", "nonce": "n1", "iat": NOW - 2, "exp": NOW + 58}
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def part(value: Any) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(
    claims: Any = None, header: dict[str, Any] | None = None, key: str = "platform", **changes: Any
) -> str:
    """A token put together by hand, so that it can be wrong in ways that a library does not write."""
    whole = {"typ": "JWT", "alg": "RS256", "kid": "k1", **(header or {})}
    head = {name: value for name, value in whole.items() if value is not ...}
    message = part(head) + b"." + part(payload(**changes) if claims is None else claims)
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(message, rsa_key(key))
    return (message + b"." + part(signature)).decode()


def code_of(token: str) -> str:
    with pytest.raises(BadMessage) as refusal:
        verify(token)
    return refusal.value.code


def test_a_genuine_token_gives_its_claims() -> None:
    assert verify(signed(extra={"a": ["字"]})) == payload(extra={"a": ["字"]})


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT], "azp": CLIENT},
        {"aud": ["other", CLIENT], "azp": CLIENT},
        {"azp": CLIENT},
        {"sub": ...},
        {"sub": 5},
        {"nbf": NOW + 59},
        # Clocks may differ by a minute, and a launch may take some minutes.
        {"iat": NOW + 59, "exp": NOW + 119},
        {"iat": NOW - 119, "exp": NOW - 59},
        {"iat": NOW - 650, "exp": NOW + 3000},
        {"iat": float(NOW), "exp": NOW + 86_400.0},
    ],
)
def test_what_is_accepted(changes: dict[str, Any]) -> None:
    assert verify(signed(**changes)) == payload(**changes)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": NOW - 61}, "expired"),
        ({"exp": NOW - 60}, "expired"),
        ({"iat": NOW - 700, "exp": NOW + 60}, "expired"),
        ({"iat": NOW + 61, "exp": NOW + 120}, "not-yet-valid"),
        ({"nbf": NOW + 61}, "not-yet-valid"),
        ({"exp": NOW + 90_000}, "lifetime-too-long"),
        ({"exp": ...}, "missing-claim"),
        ({"iat": ...}, "missing-claim"),
        ({"nonce": ...}, "missing-claim"),
        ({"iss": ...}, "missing-claim"),
        ({"aud": ...}, "missing-claim"),
        ({"exp": "soon"}, "bad-claim"),
        ({"exp": None}, "bad-claim"),
        ({"iat": float("nan")}, "bad-claim"),
        ({"exp": float("inf")}, "bad-claim"),
        ({"nonce": ""}, "bad-claim"),
        ({"nonce": 5}, "bad-claim"),
        ({"aud": []}, "bad-claim"),
        ({"aud": [CLIENT, 5]}, "bad-claim"),
        ({"aud": {CLIENT: 1}}, "bad-claim"),
        ({"iss": "https://lms.example/"}, "wrong-issuer"),
        ({"iss": "https://evil.example"}, "wrong-issuer"),
        ({"aud": "client-2"}, "wrong-audience"),
        ({"aud": ["client-2"], "azp": CLIENT}, "wrong-audience"),
        ({"aud": [CLIENT, "client-2"]}, "wrong-audience"),
        ({"aud": [CLIENT, "client-2"], "azp": "client-2"}, "wrong-audience"),
        ({"aud": [CLIENT, "client-2"], "azp": ""}, "wrong-audience"),
        ({"aud": CLIENT, "azp": "client-2"}, "wrong-audience"),
    ],
)
def test_signed_but_wrong(changes: dict[str, Any], code: str) -> None:
    assert code_of(signed(**changes)) == code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"alg": "none"}, "bad-algorithm"),
        ({"alg": "HS256"}, "bad-algorithm"),
        ({"alg": "RS512"}, "bad-algorithm"),
        ({"alg": "rs256"}, "bad-algorithm"),
        ({"alg": ["RS256"]}, "bad-algorithm"),
        ({"alg": ...}, "bad-algorithm"),
        ({"kid": ...}, "missing-kid"),
        ({"kid": ""}, "missing-kid"),
        ({"kid": "k" * 300}, "missing-kid"),
        ({"kid": "nobody"}, "unknown-key"),
        ({"kid": "k2"}, "bad-signature"),
        ({"jwk": jwk("attacker", "k1")}, "embedded-key"),
        ({"jku": "https://evil.example/jwks"}, "embedded-key"),
        ({"x5u": "https://evil.example/x5u"}, "embedded-key"),
        ({"x5c": ["AAAA"]}, "embedded-key"),
        ({"crit": ["exp"]}, "critical-header"),
    ],
)
def test_headers_that_are_refused(header: dict[str, Any], code: str) -> None:
    assert code_of(signed(header=header)) == code


def test_a_stranger_with_a_known_key_id() -> None:
    assert code_of(signed(key="attacker")) == "bad-signature"
    assert code_of(signed(key="attacker", header={"jwk": jwk("attacker", "k1")})) == "embedded-key"


def test_one_of_two_keys_with_the_same_id_is_enough() -> None:
    assert verify(signed(header={"kid": "twice"}))["sub"] == "u1"
    assert verify(signed(header={"kid": "twice"}, key="third"))["sub"] == "u1"
    assert code_of(signed(header={"kid": "twice"}, key="attacker")) == "bad-signature"


def test_the_public_key_as_a_shared_secret() -> None:
    pem = (
        rsa_key("platform")
        .public_key()
        .public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    )
    message = part({"typ": "JWT", "alg": "HS256", "kid": "k1"}) + b"." + part(payload())
    token = message + b"." + part(hmac.new(pem, message, hashlib.sha256).digest())
    assert code_of(token.decode()) == "bad-algorithm"


def test_an_unsigned_token() -> None:
    assert (
        code_of((part({"alg": "none", "kid": "k1"}) + b"." + part(payload()) + b".").decode())
        == "bad-algorithm"
    )


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, signature = signed().split(".")
    forged = part(payload(sub="somebody else")).decode()
    assert code_of(f"{head}.{forged}.{signature}") == "bad-signature"


@pytest.mark.parametrize("claims", [b"[]", b"5", b"not json", b"\xff", b"[" * 20_000])
def test_a_signed_payload_that_is_no_object(claims: bytes) -> None:
    assert code_of(signed(claims)) == "malformed-token"


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "字.字.字", "\ud800.a.b", "e30.e30.e30"]
)
def test_garbage(token: str) -> None:
    assert code_of(token) in {"malformed-token", "bad-algorithm"}


def test_nothing_is_fetched_for_a_token_that_is_wrong_on_its_face() -> None:
    net = network()
    for token in ("x" * 1_000_000, signed(header={"alg": "none"}), signed(header={"kid": ...}), "a.b.c"):
        with pytest.raises(BadMessage):
            verify(token, net)
    assert net.requests == []


def test_a_token_of_a_megabyte() -> None:
    assert code_of(signed(filler="x" * 1_000_000)) == "token-too-large"


def test_a_platform_that_cannot_be_asked_is_not_the_visitors_fault() -> None:
    with pytest.raises(PlatformUnavailable):
        verify(signed(), Network(lambda request: Reply(503)))


@given(st.text(max_size=300) | st.lists(st.text(max_size=40), min_size=3, max_size=3).map(".".join))
def test_no_text_is_a_token(token: str) -> None:
    assert code_of(token) in {"malformed-token", "bad-algorithm", "missing-kid"}


_json = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.lists(st.text(max_size=5))
)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), _json),
    st.dictionaries(
        st.sampled_from(["iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "jti"]), _json, min_size=1
    ),
)
def test_odd_values_raise_nothing_but_bad_message(header: dict[str, Any], changes: dict[str, Any]) -> None:
    check: Callable[[str], Any] = verify
    try:
        claims = check(signed(header=header, **changes))
    except BadMessage as refusal:
        claims = {"code": refusal.code}
    assert claims.get("code") or claims["iss"] == ISSUER
