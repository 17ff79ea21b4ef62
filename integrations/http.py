"""Every request to a platform: pooled, with time and size limits, and only to addresses we may talk to.

The one module that uses `requests`. What `requests` would do on its own and a launch-driven server must not:
follow redirects, keep a platform's cookies, read proxies and netrc from the environment, wait for ever, read
bodies of any size, call private addresses.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NoReturn

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from integrations.addresses import AddressPolicy as AddressPolicy
from integrations.addresses import check_url, connected
from integrations.answers import HttpAnswer as HttpAnswer
from integrations.answers import json_list as json_list
from integrations.answers import json_object as json_object
from integrations.answers import retry_after as retry_after
from integrations.errors import AddressRefused, PlatformUnavailable

USER_AGENT = "Gongyu/0.1 (+LTI)"
MEGABYTE = 1_000_000
_CHUNK = 65_536
_BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)


class PlatformHttp:
    """Makes requests to platforms; one per process, safe in threads.

    `timeouts` are those of connecting and of each read in seconds, `seconds` is the whole time an answer may
    take. `ca_file` replaces the public certificate authorities (intranet schools). `adapter` replaces the
    network in tests.
    """

    def __init__(
        self,
        *,
        timeouts: tuple[float, float] = (3.05, 10.0),
        seconds: float = 30.0,
        pool_size: int = 20,
        ca_file: str | None = None,
        adapter: BaseAdapter | None = None,
    ) -> None:
        self._timeouts = timeouts
        # Two pools, so that a connection to a private address is never lent to a registration that must not
        # have one.
        self._sessions = {
            private: _session(adapter or _GuardedAdapter(private, seconds, pool_size), ca_file)
            for private in (False, True)
        }

    def request(
        self,
        method: str,
        url: str,
        *,
        policy: AddressPolicy,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = 5 * MEGABYTE,
    ) -> HttpAnswer:
        """The answer, whatever its status; a redirect is an answer.

        Raises AddressRefused (not-https, private-address, bad-address) before anything is sent, and
        PlatformUnavailable (timeout, unreachable, tls-failed, too-large, broken-answer).
        """
        check_url(url, policy)
        session = self._sessions[policy.allow_private_network]
        try:
            response = session.request(
                method,
                url,
                headers=dict(headers or {}),
                data=body,
                timeout=self._timeouts,
                stream=True,
                allow_redirects=False,
            )
            with closing(response):
                content = _limited_body(response, max_bytes)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            _raise_ours(error)
        return HttpAnswer(response.status_code, response.headers, content)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None always: `requests` would read a redirect's body whole, without any limit."""


def _session(adapter: BaseAdapter, ca_file: str | None) -> requests.Session:
    session = _Session()
    session.trust_env = False
    session.verify = ca_file or True
    session.headers["User-Agent"] = USER_AGENT
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _limited_body(response: requests.Response, max_bytes: int) -> bytes:
    announced = response.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > max_bytes:
        raise PlatformUnavailable("too-large", status=response.status_code)
    content = bytearray()
    for chunk in response.iter_content(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise PlatformUnavailable("too-large", status=response.status_code)
    return bytes(content)


def _raise_ours(error: Exception) -> NoReturn:
    """Only class names reach our message: the library's texts hold whole URLs with their queries."""
    inner = error.args[0] if error.args else None
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
        raise AddressRefused("bad-address") from error
    if isinstance(error, requests.exceptions.SSLError):
        code = "tls-failed"
    elif isinstance(error, requests.Timeout | TimeoutError) or isinstance(
        inner, urllib3.exceptions.TimeoutError
    ):
        code = "timeout"
    elif isinstance(error, _BROKEN) or _is_protocol_breach(inner):
        code = "broken-answer"
    else:
        code = "unreachable"
    raise PlatformUnavailable(code, type(error).__name__) from error


def _is_protocol_breach(inner: object) -> bool:
    """Something answered, but not HTTP (a peer that merely hung up is `unreachable`)."""
    if not isinstance(inner, urllib3.exceptions.ProtocolError):
        return False
    cause = inner.args[-1]
    return isinstance(cause, http.client.HTTPException) and not isinstance(cause, ConnectionError)


class _GuardedAdapter(HTTPAdapter):
    """Connects only where it may, and gives each answer `seconds` in all."""

    def __init__(self, allow_private: bool, seconds: float, pool_size: int) -> None:
        self._pool_classes = _pool_classes(allow_private, seconds)
        super().__init__(pool_connections=pool_size, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes


def _pool_classes(allow_private: bool, seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    class Guarded(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connected(self.host, self.port, float(self.timeout or seconds), allow_private)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            # A total, because a peer that sends one byte before each read timeout would hold us for ever.
            until = time.monotonic() + seconds
            self.response_class = functools.partial(_TimedResponse, until=until)  # type: ignore[assignment]
            return super().getresponse()

    class GuardedTls(Guarded, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Guarded

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = GuardedTls

    return {"http": Pool, "https": TlsPool}


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, until: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock, until))


class _TimedReader(io.RawIOBase):
    """Reads a socket until `until` (monotonic) and not longer, whatever the peer drips."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._until = until
        self._each = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left if self._each is None else min(self._each, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
