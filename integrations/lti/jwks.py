"""Platforms' public keys: fetched rarely, shared between processes, kept over an outage.

A platform that rotates its keys is met at once (an unknown kid refetches), one that is down does not stop
launches (stale keys serve for a day), and a visitor who invents key ids cannot make us hammer it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import PyJWTError
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.errors import BadMessage, PlatformError, PlatformUnavailable
from integrations.http import AddressPolicy, HttpAnswer, PlatformHttp, json_object
from integrations.terms import SharedCache

_FRESH = 3600.0
_STALE = 86_400.0
_PAUSE = 30.0
_MAX_BYTES = 262_144
_KEY_BITS = range(2048, 8193)


class _KeySchema(Schema):
    """The members of an RSA public key that we use (RFC 7517 and 7518, 6.3.1)."""

    class Meta:
        unknown = EXCLUDE

    kty = fields.String(required=True, validate=validate.Equal("RSA"))
    kid = fields.String(required=True, validate=validate.Length(1, 255))
    n = fields.String(required=True, validate=validate.Length(1, 2048))
    e = fields.String(required=True, validate=validate.Length(1, 16))
    alg = fields.String(load_default=None, allow_none=True, validate=validate.OneOf([None, "RS256"]))
    use = fields.String(load_default=None, allow_none=True, validate=validate.OneOf([None, "sig"]))


@dataclass(frozen=True, slots=True)
class _KeySet:
    fetched_at: float
    keys: Mapping[str, tuple[RSAPublicKey, ...]]


class JwksCache:
    """Keys by key set URL and key id; safe in threads. `clock` gives seconds since the epoch."""

    def __init__(
        self, http: PlatformHttp, shared: SharedCache | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._shared = shared
        self._clock = clock
        self._sets: dict[str, _KeySet] = {}
        self._tried_at: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._failures: dict[str, Callable[[], PlatformError]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def keys(self, url: str, kid: str, policy: AddressPolicy) -> tuple[RSAPublicKey, ...]:
        """The RSA keys with this id, usually one.

        Raises BadMessage("unknown-key") when the platform has no such key, PlatformError when it could not
        be asked and nothing is known.
        """
        known = self._sets.get(url)
        if known is None or not self._answers(known, kid):
            arrived = self._attempts.get(url, 0)
            with self._locks.setdefault(url, threading.Lock()):
                known = self._current(url, kid, policy, arrived)
        found = known.keys.get(kid)
        if not found:
            raise BadMessage("unknown-key")
        return found

    def _answers(self, known: _KeySet, kid: str) -> bool:
        return kid in known.keys and self._clock() - known.fetched_at < _FRESH

    def _current(self, url: str, kid: str, policy: AddressPolicy, arrived: int) -> _KeySet:
        """Under the URL's lock: what another thread, another process or the platform knows by now."""
        known = self._newest(url)
        if known is not None and (self._answers(known, kid) or self._paused(url)):
            return known
        failure = self._failures.get(url)
        if known is None and failure is not None and self._attempts[url] != arrived:
            # Somebody asked in vain while we waited: asking again one by one would only pile up.
            raise failure()
        if known is not None and kid not in known.keys:
            self._tried_at[url] = self._clock()
        try:
            known = self._fetch(url, policy)
        except PlatformError as error:
            self._tried_at[url] = self._clock()
            self._attempts[url] = self._attempts.get(url, 0) + 1
            # A recipe, not the exception: that would keep its frames alive.
            self._failures[url] = partial(type(error), error.code, str(error), status=error.status)
            if known is None:
                raise
        return known

    def _paused(self, url: str) -> bool:
        tried_at = self._tried_at.get(url)
        return tried_at is not None and 0 <= self._clock() - tried_at < _PAUSE

    def _newest(self, url: str) -> _KeySet | None:
        known, shared = self._sets.get(url), self._from_shared(url)
        if shared is not None and (known is None or shared.fetched_at > known.fetched_at):
            known = self._sets[url] = shared
        if known is not None and self._clock() - known.fetched_at >= _STALE:
            return None
        return known

    def _fetch(self, url: str, policy: AddressPolicy) -> _KeySet:
        answer = self._http.request(
            "GET", url, policy=policy, headers={"Accept": "application/json"}, max_bytes=_MAX_BYTES
        )
        usable = _key_entries(answer)
        if not usable:
            raise PlatformUnavailable("broken-answer", "no usable RSA key", status=200)
        now = self._clock()
        self._sets[url] = _KeySet(now, _loaded(usable))
        self._failures.pop(url, None)
        if self._shared is not None:
            self._shared.set(_cache_key(url), json.dumps({"at": now, "keys": usable}), timeout=int(_STALE))
        return self._sets[url]

    def _from_shared(self, url: str) -> _KeySet | None:
        text = self._shared.get(_cache_key(url)) if self._shared is not None else None
        if not isinstance(text, str):
            return None
        try:
            stored = json.loads(text)
            return _KeySet(float(stored["at"]), _loaded(_usable(stored["keys"])))
        except (ValueError, TypeError, KeyError):
            return None


def signing_keys(answer: HttpAnswer) -> int:
    """How many RSA keys in a fetched key set can verify messages. Raises PlatformUnavailable (
    key-set-unavailable, broken-answer) where it is no key set at all."""
    return len(_key_entries(answer))


def _key_entries(answer: HttpAnswer) -> list[dict[str, Any]]:
    if answer.status != 200:
        raise PlatformUnavailable("key-set-unavailable", status=answer.status)
    return _usable(json_object(answer).get("keys"))


def _cache_key(url: str) -> str:
    return f"lti-jwks:{hashlib.sha256(url.encode()).hexdigest()}"


def _usable(listed: object) -> list[dict[str, Any]]:
    """The members of RSA signing keys in a key list; everything else in it is left out."""
    usable = []
    for entry in listed if isinstance(listed, list) else ():
        try:
            key = _KeySchema().load(entry)
        except ValidationError:
            continue
        if _rsa_key(key) is not None:
            usable.append(key)
    return usable


def _loaded(usable: list[dict[str, Any]]) -> dict[str, tuple[RSAPublicKey, ...]]:
    by_kid: dict[str, tuple[RSAPublicKey, ...]] = {}
    for entry in usable:
        key = _rsa_key(entry)
        if key is not None:
            by_kid[entry["kid"]] = (*by_kid.get(entry["kid"], ()), key)
    return by_kid


def _rsa_key(entry: Mapping[str, Any]) -> RSAPublicKey | None:
    """The public key alone: a key set that leaks private members must not make us hold them."""
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": entry["n"], "e": entry["e"]})
    except (PyJWTError, ValueError, TypeError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size in _KEY_BITS else None
