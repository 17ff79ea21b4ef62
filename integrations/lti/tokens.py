"""Service tokens: one per registration and set of scopes, shared by all workers until it is nearly over.

OAuth 2.0 client credentials with a signed assertion (LTI Security Framework 1.0, 4.1; RFC 7523).
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Collection
from typing import Any, NoReturn
from urllib.parse import urlencode

import jwt
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.errors import PlatformError, PlatformRejected, PlatformUnavailable
from integrations.http import HttpAnswer, PlatformHttp, http_date, json_object, retry_after
from integrations.lti.id_token import verify_id_token as verify_id_token
from integrations.terms import ServiceAccess, SharedCache

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 300
# Some platforms allow no leeway at all: an `iat` three seconds ahead of their clock is refused.
_BACKDATED = 5
_MARGIN = 60
_DEFAULT_SECONDS = 300
_MAX_BYTES = 65_536

# What refusals say, in lower case: error codes of RFC 6749, 5.2, and the words of the platforms' JWT
# libraries, which some platforms put in the place of the code.
_REFUSALS = (
    ("invalid_scope", "scope-not-granted"),
    ("invalid_client", "invalid-client"),
    ("invalid_grant", "invalid-grant"),
    ("unauthorized_client", "invalid-client"),
    ("unsupported_grant_type", "unsupported-grant"),
    ("signature verification failed", "signature-refused"),
    ("expired token", "clock-differs"),
    ("iat prior to", "clock-differs"),
    ('kid" invalid', "key-unknown-to-platform"),
    ("kid must be provided", "key-unknown-to-platform"),
    ("invalid_request", "invalid-request"),
)


class _TokenSchema(Schema):
    """An access token response (RFC 6749, 5.1); `scope` may be missing, which means all that was asked."""

    class Meta:
        unknown = EXCLUDE

    access_token = fields.String(required=True, validate=validate.Regexp(r"[\x21-\x7e]{1,8192}\Z"))
    expires_in = fields.Float(load_default=None, allow_none=True, allow_nan=False)
    scope = fields.String(load_default="", allow_none=True)


class TokenSource:
    """Gives access tokens; safe in threads. `clock` gives seconds since the epoch."""

    def __init__(
        self, http: PlatformHttp, cache: SharedCache, clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._cache = cache
        self._clock = clock
        self._locks: dict[str, threading.Lock] = {}
        self._memory: dict[str, tuple[str, float]] = {}

    def token(self, access: ServiceAccess, scopes: Collection[str]) -> str:
        """A token with all of `scopes`, valid for a while yet.

        Raises PlatformRejected (scope-not-granted, invalid-client, invalid-grant, signature-refused,
        key-unknown-to-platform, clock-differs, token-endpoint-cannot-reach-us, token-refused, …) and
        PlatformUnavailable (token-endpoint-busy, broken-answer and those of PlatformHttp).
        """
        key = _cache_key(access, scopes)
        token = self._remembered(key)
        if token is None:
            with self._locks.setdefault(key, threading.Lock()):
                token = self._remembered(key) or self._cached(key) or self._fetch(access, scopes, key)
        return token

    def forget(self, access: ServiceAccess, scopes: Collection[str], refused: str | None = None) -> None:
        """Drop a token that the platform did not accept; one that came to the cache since stays there."""
        key = _cache_key(access, scopes)
        with self._locks.setdefault(key, threading.Lock()):
            if refused is not None and self._remembered(key) not in (refused, None):
                return
            if refused is None or self._cached(key) in (refused, None):
                self._memory.pop(key, None)
                self._cache.delete(key)

    def _remembered(self, key: str) -> str | None:
        """This process's own copy, so that the shared cache is not asked for every call."""
        token, until = self._memory.get(key, ("", 0.0))
        return token if until > self._clock() else None

    def _cached(self, key: str) -> str | None:
        text = self._cache.get(key)
        if not isinstance(text, str):
            return None
        try:
            stored = json.loads(text)
            token, until = str(stored["token"]), float(stored["until"])
        except (ValueError, TypeError, KeyError):
            return None
        if until <= self._clock():
            return None
        self._memory[key] = (token, until)
        return token

    def ask(self, access: ServiceAccess, scopes: Collection[str], now: float | None = None) -> HttpAnswer:
        """The token endpoint's answer of any status to a new request, past every cache: `granted_scopes` and
        `refusal_code` say what it means. `now` (seconds since the epoch) replaces our own clock. Raises what
        PlatformHttp raises."""
        return self._http.request(
            "POST",
            access.token_url,
            policy=access.policy,
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            body=urlencode(self._form(access, scopes, self._clock() if now is None else now)).encode(),
            max_bytes=_MAX_BYTES,
        )

    def _fetch(self, access: ServiceAccess, scopes: Collection[str], key: str) -> str:
        answer = self.ask(access, scopes)
        if answer.status not in (200, 201) and refusal_code(answer) == "clock-differs":
            # Its clock may be far from ours: once more, with the time that it says itself.
            now = http_date(answer.header("Date"))
            answer = answer if now is None else self.ask(access, scopes, now.timestamp())
        if answer.status not in (200, 201):
            _raise_refusal(answer)
        granted = _granted(answer, frozenset(scopes))
        lifetime = granted["expires_in"] if granted["expires_in"] is not None else _DEFAULT_SECONDS
        seconds = max(lifetime - _MARGIN, lifetime / 2)
        token, until = str(granted["access_token"]), self._clock() + seconds
        self._memory[key] = (token, until)
        stored = json.dumps({"token": token, "until": until})
        self._cache.set(key, stored, timeout=max(int(min(seconds, 86_400)), 1))
        return token

    def _form(self, access: ServiceAccess, scopes: Collection[str], clock: float) -> dict[str, str]:
        now = int(clock)
        assertion: dict[str, Any] = {
            "iss": access.client_id,
            "sub": access.client_id,
            "aud": access.token_audience,
            "iat": now - _BACKDATED,
            "exp": now + _ASSERTION_SECONDS,
            "jti": uuid.uuid4().hex,
        }
        private_key: Any = access.private_key
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": jwt.encode(assertion, private_key, "RS256", headers={"kid": access.kid}),
            "scope": " ".join(sorted(scopes)),
        }


def _cache_key(access: ServiceAccess, scopes: Collection[str]) -> str:
    # With the key's id: a token that was had with a revoked key is never used again.
    return _digest(access.registration_key, access.client_id, access.token_url, access.kid, *sorted(scopes))


@functools.lru_cache(4096)
def _digest(*parts: str) -> str:
    return f"lti-token:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def granted_scopes(answer: HttpAnswer, wanted: Collection[str]) -> frozenset[str]:
    """Which of `wanted` a token holds, by the answer's own list; all of them when it has none (RFC 6749,
    5.1). Raises PlatformUnavailable when the answer holds no token."""
    listed = (_token(answer)["scope"] or "").split()
    return frozenset(wanted) & frozenset(listed) if listed else frozenset(wanted)


def refusal_code(answer: HttpAnswer) -> str:
    """What a token endpoint's refusal (any status but 200 and 201) says: the codes of `TokenSource.token`."""
    if _is_busy(answer):
        return "token-endpoint-busy"
    if answer.status == 404:
        # A wrong address, or a platform that may not fetch our key set (it does so in this very request).
        return "token-endpoint-cannot-reach-us"
    text = _words(answer)
    return next((code for words, code in _REFUSALS if words in text), "token-refused")


def _token(answer: HttpAnswer) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = _TokenSchema().load(json_object(answer))
    except ValidationError as error:
        raise PlatformUnavailable("broken-answer", "no access token", status=answer.status) from error
    return loaded


def _granted(answer: HttpAnswer, wanted: frozenset[str]) -> dict[str, Any]:
    granted = _token(answer)
    # A registration may promise more than the token holds: the token's own list is the truth.
    scopes = (granted["scope"] or "").split()
    if scopes and not wanted <= set(scopes):
        raise PlatformRejected("scope-not-granted", status=answer.status, exchange=answer.exchange)
    return granted


def _raise_refusal(answer: HttpAnswer) -> NoReturn:
    """Told by status and words; some refusals are no JSON, or look like it and are not."""
    code = refusal_code(answer)
    if _is_busy(answer):
        wait = retry_after(answer)
        raise PlatformUnavailable(code, status=answer.status, retry_after=wait, exchange=answer.exchange)
    raise PlatformRejected(code, status=answer.status, exchange=answer.exchange)


def _is_busy(answer: HttpAnswer) -> bool:
    return answer.status in (408, 425, 429) or answer.status >= 500


def _words(answer: HttpAnswer) -> str:
    try:
        return str(json_object(answer).get("error", "")).lower()
    except PlatformError:
        return answer.text[:500].lower()
