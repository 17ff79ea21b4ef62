"""Answers that are read bit by bit keep every limit, against real sockets."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable

import pytest

from integrations.errors import AddressRefused, PlatformUnavailable
from integrations.http import AddressPolicy, PlatformHttp
from tests.unit.integrations import test_http
from tests.unit.integrations.network import LOCAL
from tests.unit.integrations.test_http import Server, replying

serve = test_http.serve
http = test_http.http
Serve = Callable[[Callable[..., None]], Server]


def read(http: PlatformHttp, url: str, *, max_bytes: int = 1000) -> bytes:
    with http.stream(url, policy=LOCAL, headers={"Accept": "x/y"}, max_bytes=max_bytes) as answer:
        return b"".join(iter(answer.read, b""))


def code_of(http: PlatformHttp, url: str, *, max_bytes: int = 1000) -> str:
    with pytest.raises(PlatformUnavailable) as failure:
        read(http, url, max_bytes=max_bytes)
    assert failure.value.exchange is not None
    assert failure.value.exchange.url == url
    return failure.value.code


def test_a_connection_is_used_again_after_a_whole_answer(http: PlatformHttp, serve: Serve) -> None:
    body = gzip.compress(b"[]" * 50_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    server = serve(replying(head, body))
    for _ in range(2):
        assert len(read(http, server.url, max_bytes=100_000)) == 100_000
    assert server.connections == 1
    assert b"Accept: x/y" in server.received[0]


def test_what_is_packed_small_is_measured_unpacked(http: PlatformHttp, serve: Serve) -> None:
    body = gzip.compress(b" " * 5_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert code_of(http, serve(replying(head, body)).url, max_bytes=1_000_000) == "too-large"


def test_an_answer_that_breaks_off_is_no_answer(http: PlatformHttp, serve: Serve) -> None:
    def half(server: Server, connection: socket.socket, number: int) -> None:
        server.request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1, 2")

    assert code_of(http, serve(half).url) in ("unreachable", "broken-answer")


def test_a_dripping_answer_ends_at_the_deadline(serve: Serve) -> None:
    def drip(server: Server, connection: socket.socket, number: int) -> None:
        server.request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not server.stop.wait(0.05):
            connection.sendall(b" ")

    http = PlatformHttp(timeouts=(1.0, 1.0), stream_seconds=0.5)
    assert code_of(http, serve(drip).url) == "timeout"


def test_a_refusal_says_why_and_a_redirect_is_not_followed(http: PlatformHttp, serve: Serve) -> None:
    refusing = serve(replying(b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy"))
    with http.stream(refusing.url, policy=LOCAL) as answer:
        head = answer.head()
    assert (head.status, head.body) == (403, b"why")
    moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    server = serve(replying(moved))
    with http.stream(server.url, policy=LOCAL) as answer:
        assert answer.head().status == 302
    assert len(server.received) == 1


def test_a_private_address_is_not_connected_to(http: PlatformHttp, serve: Serve) -> None:
    server = serve(replying(b""))
    with pytest.raises(AddressRefused), http.stream(server.url, policy=AddressPolicy(allow_http=True)):
        pass
    assert server.connections == 0
