"""The network, the clock and the cache as tests replace them; everything above them is the real thing."""

from __future__ import annotations

import functools
import io
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import requests
import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter

from integrations.http import AddressPolicy
from integrations.terms import ServiceAccess

LOCAL = AddressPolicy(allow_http=True, allow_private_network=True)


@dataclass
class Reply:
    status: int = 200
    body: bytes | str | list[Any] | dict[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class Network(HTTPAdapter):
    """Hands every request to `answer` and keeps it; an exception of `answer` is the network's failure."""

    def __init__(self, answer: Callable[[requests.PreparedRequest], Reply]) -> None:
        super().__init__()
        self.answer = answer
        self.requests: list[requests.PreparedRequest] = []
        self._lock = threading.Lock()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        with self._lock:
            self.requests.append(request)
        reply = self.answer(request)
        raw = urllib3.HTTPResponse(
            io.BytesIO(reply.encoded()), dict(reply.headers), reply.status, preload_content=False
        )
        return self.build_response(request, raw)

    @property
    def urls(self) -> list[str]:
        return [str(request.url) for request in self.requests]


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self, now: float = 1_795_444_331.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MemoryCache:
    """A cache that several "processes" of a test share."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, timeout: int | None = None) -> Any:
        self.values[key] = value

    def delete(self, key: str) -> Any:
        self.values.pop(key, None)


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key per name and run: making one takes a tenth of a second."""
    return rsa.generate_private_key(65537, 2048)


def jwk(name: str, kid: str, **members: Any) -> dict[str, Any]:
    key = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True)
    return {**key, "kid": kid, "use": "sig", "alg": "RS256", **members}


def access_to(site: str, **changes: Any) -> ServiceAccess:
    """Service access to a platform of this machine's test network."""
    settings: dict[str, Any] = {
        "registration_key": "r1",
        "client_id": "TeDKigL2RtgDhoE",
        "token_url": f"{site}/token",
        "token_audience": f"{site}/token",
        "kid": "tool-key",
        "private_key": rsa_key("tool"),
        "policy": LOCAL,
    }
    return ServiceAccess(**{**settings, **changes})
