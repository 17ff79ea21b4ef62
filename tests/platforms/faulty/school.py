"""One school of the platform: a gradebook behind tokens, with a script of faults and an exact ledger."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from tests.platforms.faulty.faults import Fault
from tests.platforms.faulty.gradebook import Answer, Gradebook

_NO_KEY = b'{ "error" : ""kid" invalid, unable to lookup correct key" }'
_SORTS = {"scores": "score", "results": "results", "token": "token"}


@dataclass
class School(Gradebook):
    """`arrivals` has every score in the order of arrival: the score, `stored` (the gradebook took it),
    `answered` (status sent back, None when the connection was cut) and `at` (seconds)."""

    client_id: str = "client"
    faults: list[Fault] = field(default_factory=list)
    latency: float = 0.0
    expires_in: int = 3600
    jwks: dict[str, Any] | None = None
    """The tool's public keys: with them each assertion is verified, without them only counted."""
    tokens: dict[str, float] = field(default_factory=dict)
    tokens_issued: int = 0
    assertions_refused: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    arrivals: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    _used: set[str] = field(default_factory=set)

    @contextmanager
    def call(self, url: str) -> Iterator[tuple[str, Fault | None]]:
        """Count a call while the block handles it; gives its sort and what goes wrong with it."""
        sort = _SORTS.get(urlsplit(url).path.rpartition("/")[2], "columns")
        with self.lock:
            self.calls[sort] = self.calls.get(sort, 0) + 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            fault = self._next_fault(sort)
        try:
            yield sort, fault
        finally:
            with self.lock:
                self.in_flight -= 1

    def arrived(self, sort: str, score: dict[str, Any]) -> dict[str, Any]:
        """A new line of the ledger."""
        line = {**score, "stored": False, "answered": None, "at": time.time()}
        if sort == "score":
            with self.lock:
                self.arrivals.append(line)
        return line

    def handle(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """What the school answers when nothing goes wrong."""
        if urlsplit(url).path.endswith("/token"):
            return self._token(body)
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        with self.lock:
            good = self.tokens.get(token, 0.0) > self.now().timestamp()
        if not good:
            status = 403 if self.kind == "open-edx" else 401
            return status, {"error": "Access token expired"}, {}
        return self.serve(method, url, body, headers)

    def revoke(self) -> None:
        """Every token given so far is no longer good."""
        with self.lock:
            self.tokens.clear()

    def _next_fault(self, sort: str) -> Fault | None:
        for fault in self.faults:
            if fault.at not in (sort, "any") or random.random() >= fault.chance:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
            return fault
        return None

    def _token(self, body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if self.jwks is not None:
            refusal = self._refusal(form.get("client_assertion", ""))
            if refusal is not None:
                return 400, refusal, {}
        token = uuid.uuid4().hex
        until = self.now() + timedelta(seconds=self.expires_in)
        with self.lock:
            self.tokens[token] = until.timestamp()
            self.tokens_issued += 1
        granted = {"access_token": token, "token_type": "Bearer", "scope": form.get("scope", "")}
        return 200, {**granted, "expires_in": self.expires_in}, {}

    def _refusal(self, assertion: str) -> bytes | None:
        """As Moodle says it, without any leeway (captures 20): None for a good assertion."""
        said: bytes | None = _NO_KEY
        try:
            kid = jwt.get_unverified_header(assertion).get("kid")
            key = next(one for one in jwt.PyJWKSet.from_dict(self.jwks or {}).keys if one.key_id == kid)
            claims = jwt.decode(
                assertion,
                key.key,
                algorithms=["RS256"],
                audience=f"{self.url}/token",
                issuer=self.client_id,
                options={"verify_exp": False, "verify_iat": False},
            )
            said = self._untimely(claims)
        except jwt.PyJWTError:
            said = b'{"error": "Signature verification failed"}'
        except StopIteration:
            pass
        if said is not None:
            with self.lock:
                self.assertions_refused.append(said.decode())
        return said

    def _untimely(self, claims: dict[str, Any]) -> bytes | None:
        now = self.now().timestamp()
        if claims["iat"] > now:
            return b'{"error": "Cannot handle token with iat prior to now"}'
        if claims["exp"] < now:
            return b'{"error": "Expired token"}'
        with self.lock:
            fresh = claims["jti"] not in self._used
            self._used.add(claims["jti"])
        return None if fresh else b'{"error": "invalid_client"}'

    def change(self, wanted: dict[str, Any]) -> None:
        """Carry out an order of a test (see `Faulty.change`)."""
        with self.lock:
            for name in ("kind", "client_id", "latency", "expires_in", "jwks", "clock_ahead", "page_size"):
                if name in wanted:
                    setattr(self, name, wanted[name])
            if wanted.get("revoke"):
                self.revoke()
            for name in ("swallowing", "deleted"):
                if name in wanted:
                    setattr(self, name, {self.column_url(column) for column in wanted[name]})
            for user, points, column in wanted.get("teacher", ()):
                self.teacher_sets(user, points, column)
            for user, column in wanted.get("frees", ()):
                self.teacher_frees(user, column)
            for user, points, column in wanted.get("grades", ()):
                self.grades[self.column_url(column), user] = points
            with suppress(KeyError):
                self.faults = wanted["faults"]

    def state(self) -> dict[str, Any]:
        """All that is known, as JSON."""
        with self.lock:
            return {
                "arrivals": list(self.arrivals),
                "grades": [
                    [column.rpartition("/")[2], user, value] for (column, user), value in self.grades.items()
                ],
                "columns": list(self.columns),
                "edits": list(self.edits),
                "calls": dict(self.calls),
                "tokens_issued": self.tokens_issued,
                "assertions_refused": list(self.assertions_refused),
                "in_flight": self.in_flight,
                "most_in_flight": self.most_in_flight,
                "faults_left": len(self.faults),
            }
