"""Limits and addresses, against real sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from integrations.addresses import is_refused
from integrations.errors import AddressRefused, PlatformUnavailable
from integrations.http import (
    USER_AGENT,
    AddressPolicy,
    HttpAnswer,
    PlatformHttp,
    json_list,
    json_object,
    retry_after,
)
from tests.unit.integrations.network import LOCAL, Network, Reply

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A TCP server that does to each connection what `behave` says."""

    def __init__(self, behave: Callable[[socket.socket, int], None]) -> None:
        self.behave = behave
        self.connections = 0
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/x"
        self.stop = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.stop.is_set():
                connection.close()
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, self.connections))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            self.behave(connection, number)

    def request_of(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return b""
            data += part
        self.received.append(data)
        return data

    def close(self) -> None:
        self.stop.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[..., None]], Server]]:
    servers: list[Server] = []

    def start(behave: Callable[..., None]) -> Server:
        server = Server(lambda connection, number: behave(server, connection, number))
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def replying(*parts: bytes) -> Callable[[Server, socket.socket, int], None]:
    """Answer every request of a connection with the parts."""

    def behave(server: Server, connection: socket.socket, number: int) -> None:
        while server.request_of(connection):
            for part in parts:
                connection.sendall(part)

    return behave


@pytest.fixture
def http() -> PlatformHttp:
    return PlatformHttp(timeouts=(2, 2), seconds=2)


Serve = Callable[[Callable[..., None]], Server]


def code_of(http: PlatformHttp, url: str, *, policy: AddressPolicy = LOCAL, max_bytes: int = 1000) -> str:
    with pytest.raises((PlatformUnavailable, AddressRefused)) as failure:
        http.request("GET", url, policy=policy, max_bytes=max_bytes)
    return failure.value.code


def test_one_connection_serves_many_requests_in_our_name(http: PlatformHttp, serve: Serve) -> None:
    server = serve(replying(OK))
    for _ in range(5):
        assert http.request("GET", server.url, policy=LOCAL).body == b"ok"
    assert server.connections == 1
    assert f"User-Agent: {USER_AGENT}".encode() in server.received[0]


def test_threads_share_the_pool(http: PlatformHttp, serve: Serve) -> None:
    server = serve(replying(OK))
    answers: list[bytes] = []

    def work() -> None:
        for _ in range(10):
            answers.append(http.request("POST", server.url, policy=LOCAL, body=b"{}").body)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"ok"] * 80
    assert server.connections <= 8


@pytest.mark.parametrize("status", [301, 404, 422, 500, 503])
def test_every_complete_answer_is_an_answer(http: PlatformHttp, serve: Serve, status: int) -> None:
    server = serve(
        replying(f"HTTP/1.1 {status} No\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nbody".encode())
    )
    answer = http.request("GET", server.url, policy=LOCAL)
    assert (answer.status, answer.header("x-why"), answer.body) == (status, "because", b"body")


def test_a_redirect_is_not_followed(http: PlatformHttp, serve: Serve) -> None:
    target = serve(replying(OK))
    moved = f"HTTP/1.1 302 Found\r\nLocation: {target.url}\r\nContent-Length: 5\r\n\r\nmoved".encode()
    server = serve(replying(moved))
    answer = http.request("GET", server.url, policy=LOCAL)
    assert (answer.status, answer.header("Location"), answer.body) == (302, target.url, b"moved")
    assert target.connections == 0


def test_the_body_of_a_redirect_is_limited_like_any_other(http: PlatformHttp, serve: Serve) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 99999999\r\n\r\n"
    # Nobody may even begin to read what never ends.
    assert code_of(http, serve(replying(moved, b"x" * 100)).url) == "too-large"


def test_cookies_of_a_platform_are_not_kept(http: PlatformHttp, serve: Serve) -> None:
    server = serve(replying(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n"))
    for _ in range(2):
        http.request("GET", server.url, policy=LOCAL)
    assert not any(b"ookie" in request for request in server.received)


def test_a_dripping_body_ends_at_the_deadline(serve: Serve) -> None:
    def drip(server: Server, connection: socket.socket, number: int) -> None:
        server.request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not server.stop.wait(0.1):
            connection.sendall(b"x")

    server, started = serve(drip), time.monotonic()
    assert code_of(PlatformHttp(timeouts=(2, 1), seconds=0.5), server.url) == "timeout"
    assert time.monotonic() - started < 2


def test_dripping_headers_end_at_the_deadline(serve: Serve) -> None:
    def drip(server: Server, connection: socket.socket, number: int) -> None:
        server.request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not server.stop.wait(0.1):
            connection.sendall(b"x")

    server, started = serve(drip), time.monotonic()
    assert code_of(PlatformHttp(timeouts=(2, 1), seconds=0.5), server.url) == "timeout"
    assert time.monotonic() - started < 2


def test_a_silent_server_times_out_and_the_next_request_is_served(serve: Serve) -> None:
    def second_time(server: Server, connection: socket.socket, number: int) -> None:
        server.request_of(connection)
        if number == 1:
            server.stop.wait(5)
        else:
            connection.sendall(OK)

    server, http = serve(second_time), PlatformHttp(timeouts=(1, 0.3), seconds=5)
    assert code_of(http, server.url) == "timeout"
    assert http.request("GET", server.url, policy=LOCAL).body == b"ok"
    server.stop.set()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too-large"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000, "too-large"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
            + gzip.compress(b"0" * 10**6),
            "too-large",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "broken-answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broken-answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", "broken-answer"),
        (b"SSH-2.0-OpenSSH\r\n", "broken-answer"),
        (b"", "unreachable"),
    ],
)
def test_bad_answers(http: PlatformHttp, serve: Serve, answer: bytes, code: str) -> None:
    def once(server: Server, connection: socket.socket, number: int) -> None:
        server.request_of(connection)
        connection.sendall(answer)

    assert code_of(http, serve(once).url) == code


def test_nobody_listening_is_unreachable(http: PlatformHttp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert code_of(http, f"http://127.0.0.1:{port}/") == "unreachable"


def test_tls_that_is_none(http: PlatformHttp, serve: Serve) -> None:
    def greet(server: Server, connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert code_of(http, serve(greet).url.replace("http:", "https:")) == "tls-failed"


HTTP_ONLY = AddressPolicy(allow_http=True)


def test_a_private_address_is_not_even_connected_to(http: PlatformHttp, serve: Serve) -> None:
    server = serve(replying(OK))
    assert code_of(http, server.url, policy=HTTP_ONLY) == "private-address"
    assert code_of(http, server.url.replace("127.0.0.1", "localhost"), policy=HTTP_ONLY) == "private-address"
    assert server.connections == 0


def test_a_pooled_private_connection_is_not_lent_to_others(http: PlatformHttp, serve: Serve) -> None:
    server = serve(replying(OK))
    assert http.request("GET", server.url, policy=LOCAL).status == 200
    assert code_of(http, server.url, policy=HTTP_ONLY) == "private-address"


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:0a00:0001::1]",
        "[fd00::1]",
    ],
)
def test_private_addresses_in_every_spelling(http: PlatformHttp, host: str) -> None:
    assert code_of(http, f"http://{host}/", policy=HTTP_ONLY) == "private-address"


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "224.0.0.1", "0.0.0.0", "240.0.0.1", "[::ffff:169.254.169.254]"]
)
def test_cloud_metadata_and_their_like_are_refused_to_everybody(http: PlatformHttp, host: str) -> None:
    assert code_of(http, f"http://{host}/", policy=LOCAL) == "private-address"


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:0808:0808::1"]
)
def test_public_addresses_also_those_that_carry_a_public_one(address: str) -> None:
    assert not is_refused(address, allow_private=False)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://lms.example/", "not-https"),
        ("ftp://lms.example/", "bad-address"),
        ("lms.example", "bad-address"),
        ("", "bad-address"),
        ("https://", "bad-address"),
        ("https://user@lms.example/", "bad-address"),
        ("https://lms.example\\@evil.example/", "bad-address"),
        ("https://lms.example/a b", "bad-address"),
        ("https://lms.example/\r\nX: y", "bad-address"),
        ("https://lms.example:99999/", "bad-address"),
        ("https://[::1/", "bad-address"),
        ("https://lms.example/" + "a" * 5000, "bad-address"),
        ("https://" + "a" * 70 + ".example/", "bad-address"),
    ],
)
def test_what_is_no_address(http: PlatformHttp, url: str, code: str) -> None:
    assert code_of(http, url, policy=AddressPolicy()) == code


def test_tests_may_replace_the_network_alone() -> None:
    network = Network(lambda request: Reply(200, {"a": 1}))
    answer = PlatformHttp(adapter=network).request("GET", "https://lms.example/x", policy=AddressPolicy())
    assert json_object(answer) == {"a": 1}
    assert network.urls == ["https://lms.example/x"]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"[1]"],
)
def test_a_body_that_is_no_json_object(body: bytes) -> None:
    with pytest.raises(PlatformUnavailable) as failure:
        json_object(HttpAnswer(200, {}, body))
    assert (failure.value.code, failure.value.status) == ("broken-answer", 200)


def test_json_with_a_byte_order_mark_is_json() -> None:
    assert json_object(HttpAnswer(200, {}, b'\xef\xbb\xbf{"a": "\xe5\xad\x97"}')) == {"a": "字"}
    with pytest.raises(PlatformUnavailable):
        json_list(HttpAnswer(200, {}, b"{}"))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "99999999999999"}, 86_400.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "²"}, None),
        (
            {"Retry-After": "Mon, 23 Nov 2026 14:31:30 GMT", "Date": "Mon, 23 Nov 2026 14:30:00 GMT"},
            90.0,
        ),
        ({"Retry-After": "Mon, 23 Nov 2026 14:29:00 GMT", "Date": "Mon, 23 Nov 2026 14:30:00 GMT"}, 0.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(HttpAnswer(503, headers)) == seconds


def test_a_date_without_the_platforms_clock_is_measured_on_ours() -> None:
    later = datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)
    wait = retry_after(HttpAnswer(503, {"Retry-After": later.strftime("%a, %d %b %Y %H:%M:%S GMT")}))
    assert wait is not None
    assert 0 < wait <= 86_400
