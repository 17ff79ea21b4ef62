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
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NoReturn

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from integrations.addresses import AddressPolicy as AddressPolicy
from integrations.addresses import check_url, connected
from integrations.answers import HttpAnswer as HttpAnswer
from integrations.answers import clock_ahead as clock_ahead
from integrations.answers import http_date as http_date
from integrations.answers import json_list as json_list
from integrations.answers import json_object as json_object
from integrations.answers import rate_pause as rate_pause
from integrations.answers import retry_after as retry_after
from integrations.errors import AddressRefused, Exchange, PlatformError, PlatformUnavailable

USER_AGENT = "Gongyu/0.1 (+LTI)"
MEGABYTE = 1_000_000
_CHUNK = 65_536
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
# Platforms whose connections are kept open.
_HOSTS = 200
_BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
_NETWORK = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError)


class PlatformHttp:
    """Makes requests to platforms; one per process, safe in threads.

    `timeouts` are those of connecting and of each read in seconds, `seconds` is the whole time an answer may
    take, `stream_seconds` that of a streamed one. `ca_file` replaces the public certificate authorities
    (intranet schools). `adapter` replaces the network in tests.
    """

    def __init__(
        self,
        *,
        timeouts: tuple[float, float] = (3.05, 10.0),
        seconds: float = 30.0,
        stream_seconds: float = 80.0,
        pool_size: int = 20,
        ca_file: str | None = None,
        adapter: BaseAdapter | None = None,
    ) -> None:
        self._timeouts = timeouts
        # Two pools, so that a connection to a private address is never lent to a registration that must not
        # have one.
        self._adapters = {
            private: adapter or _GuardedAdapter(private, seconds, pool_size) for private in (False, True)
        }
        self._verify = ca_file or True
        self._streaming = {
            private: adapter or _GuardedAdapter(private, stream_seconds, pool_size)
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
        try:
            prepared = _prepared(method, url, {**_HEADERS, **(headers or {})}, body)
            response = self._adapters[policy.allow_private_network].send(
                prepared, stream=True, timeout=self._timeouts, verify=self._verify, proxies={}
            )
            with closing(response):
                content = _limited_body(response, max_bytes)
        except _NETWORK as error:
            _raise_ours(error, Exchange(method, url, body or b""))
        except PlatformError as error:
            error.exchange = Exchange(method, url, body or b"", error.status)
            raise
        return HttpAnswer(response.status_code, response.headers, content, (method, url, body or b""))

    @contextmanager
    def stream(
        self,
        url: str,
        *,
        policy: AddressPolicy,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 64 * MEGABYTE,
    ) -> Iterator[HttpStream]:
        """The answer to a GET, read bit by bit within the block. Raises what `request` raises; so does reading."""
        check_url(url, policy)
        try:
            prepared = _prepared("GET", url, {**_HEADERS, **(headers or {})}, None)
            response = self._streaming[policy.allow_private_network].send(
                prepared, stream=True, timeout=self._timeouts, verify=self._verify, proxies={}
            )
        except _NETWORK as error:
            _raise_ours(error, Exchange("GET", url))
        with closing(response):
            yield HttpStream(response, url, max_bytes)


class HttpStream:
    """An answer of any status whose body is still on its way."""

    def __init__(self, response: requests.Response, url: str, max_bytes: int) -> None:
        self.url = url
        self.status = response.status_code
        self.headers = response.headers
        self._chunks = response.iter_content(_CHUNK)
        self._left = max_bytes

    def read(self, size: int = _CHUNK) -> bytes:
        """The next bytes of the body, whatever `size` above zero is; b"" at its end."""
        if size == 0:
            return b""
        try:
            chunk = next(self._chunks, b"")
        except _NETWORK as error:
            _raise_ours(error, self.exchange)
        self._left -= len(chunk)
        if self._left < 0:
            raise PlatformUnavailable("too-large", status=self.status, exchange=self.exchange)
        return chunk

    @property
    def exchange(self) -> Exchange:
        """The call without its body, for who has to explain it."""
        return Exchange("GET", self.url, b"", self.status, self.headers.get("Content-Type", ""))

    def head(self) -> HttpAnswer:
        """Status and headers; of what is no success also the beginning of the body, which says why."""
        body = b"" if 200 <= self.status < 300 else self.read()
        return HttpAnswer(self.status, self.headers, body, ("GET", self.url, b""))


def _prepared(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> requests.PreparedRequest:
    """Past the session: it takes as much time as all the rest, for things that none of these requests needs."""
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = method, _prepared_url(url)
    prepared.prepare_headers(headers)
    prepared.prepare_body(body, None)
    return prepared


@functools.lru_cache(4096)
def _prepared_url(url: str) -> str:
    prepared = requests.PreparedRequest()
    prepared.prepare_url(url, None)
    return prepared.url or ""


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


def _raise_ours(error: Exception, exchange: Exchange | None = None) -> NoReturn:
    """Only class names reach our message: the library's texts hold whole URLs with their queries."""
    inner = error.args[0] if error.args else None
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
        raise AddressRefused("bad-address", exchange=exchange) from error
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
    raise PlatformUnavailable(code, type(error).__name__, exchange=exchange) from error


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
        super().__init__(pool_connections=_HOSTS, pool_maxsize=pool_size)

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
