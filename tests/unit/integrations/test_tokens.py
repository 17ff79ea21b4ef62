"""Service tokens: shared, renewed in time, asked for once by many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests

from integrations.errors import PlatformError, PlatformRejected, PlatformUnavailable
from integrations.http import PlatformHttp
from integrations.lti.tokens import TokenSource
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to

SITE = "https://lms.example"
ACCESS = access_to(SITE)
SCORE, ITEM = "https://x.example/scope/score", "https://x.example/scope/lineitem"


class Endpoint:
    """A token endpoint that numbers its tokens."""

    def __init__(self, **fields: Any) -> None:
        self.fields = {"token_type": "Bearer", "expires_in": 3600, **fields}
        self.answer: Callable[[requests.PreparedRequest], Reply] = self.grant
        self.network = Network(lambda request: self.answer(request))
        self.cache = MemoryCache()
        self.clock = Clock()

    def grant(self, request: requests.PreparedRequest) -> Reply:
        number = len(self.network.requests)
        return Reply(200, {"access_token": f"t{number}", **self.fields})

    def source(self) -> TokenSource:
        return TokenSource(PlatformHttp(adapter=self.network), self.cache, self.clock)

    @property
    def asked_scopes(self) -> list[str]:
        return [parse_qs(one.body.decode())["scope"][0] for one in self.network.requests]  # type: ignore[union-attr]


def test_a_token_serves_all_workers_until_a_minute_before_its_end() -> None:
    endpoint = Endpoint()
    first, second = endpoint.source(), endpoint.source()
    assert [first.token(ACCESS, [SCORE]), second.token(ACCESS, [SCORE])] == ["t1", "t1"]
    endpoint.clock.now += 3539
    assert second.token(ACCESS, [SCORE]) == "t1"
    endpoint.clock.now += 2
    assert [second.token(ACCESS, [SCORE]), first.token(ACCESS, [SCORE])] == ["t2", "t2"]


def test_the_order_of_scopes_does_not_matter_and_their_set_does() -> None:
    endpoint = Endpoint()
    source = endpoint.source()
    assert source.token(ACCESS, [SCORE, ITEM]) == source.token(ACCESS, (ITEM, SCORE)) == "t1"
    assert source.token(ACCESS, {SCORE}) == "t2"
    assert endpoint.asked_scopes == [f"{ITEM} {SCORE}", SCORE]


@pytest.mark.parametrize(
    "changes", [{"registration_key": "r2"}, {"client_id": "school-b"}, {"token_url": f"{SITE}/other"}]
)
def test_no_registration_is_given_anothers_token(changes: dict[str, str]) -> None:
    source = Endpoint().source()
    assert source.token(ACCESS, [SCORE]) == "t1"
    assert source.token(access_to(SITE, **changes), [SCORE]) == "t2"


def test_a_forgotten_token_is_asked_for_again() -> None:
    source = Endpoint().source()
    source.token(ACCESS, [SCORE])
    source.forget(ACCESS, [SCORE])
    assert source.token(ACCESS, [SCORE]) == "t2"


@pytest.mark.parametrize(("expires_in", "lasts"), [(100, 50), (None, 240), (3600.0, 3540), (9e99, 10**9)])
def test_how_long_a_token_is_kept(expires_in: float | None, lasts: float) -> None:
    endpoint = Endpoint(expires_in=expires_in)
    source = endpoint.source()
    source.token(ACCESS, [SCORE])
    endpoint.clock.now += lasts - 1
    assert source.token(ACCESS, [SCORE]) == "t1"
    endpoint.clock.now += 2
    assert source.token(ACCESS, [SCORE]) == ("t2" if lasts < 10**9 else "t1")


@pytest.mark.parametrize("expires_in", [0, -5])
def test_a_token_without_a_life_is_used_once(expires_in: int) -> None:
    source = Endpoint(expires_in=expires_in).source()
    assert [source.token(ACCESS, [SCORE]), source.token(ACCESS, [SCORE])] == ["t1", "t2"]


def test_many_workers_ask_once() -> None:
    endpoint = Endpoint()
    source, tokens, barrier = endpoint.source(), [], threading.Barrier(12)

    def work() -> None:
        barrier.wait(10)
        tokens.append(source.token(ACCESS, [SCORE]))

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert tokens == ["t1"] * 12
    assert len(endpoint.network.requests) == 1


@pytest.mark.parametrize("scope", ["", None, f"{SCORE} {ITEM}", SCORE])
def test_what_counts_as_granted(scope: str | None) -> None:
    assert Endpoint(scope=scope).source().token(ACCESS, [SCORE]) == "t1"


def test_a_partial_grant_is_not_kept() -> None:
    endpoint = Endpoint(scope=ITEM)
    with pytest.raises(PlatformRejected) as refusal:
        endpoint.source().token(ACCESS, [SCORE])
    assert refusal.value.code == "scope-not-granted"
    assert endpoint.cache.values == {}


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (Reply(200, b"<html>"), "broken-answer", True),
        (Reply(200, {}), "broken-answer", True),
        (Reply(200, {"access_token": None}), "broken-answer", True),
        (Reply(200, {"access_token": "line\r\nbreak"}), "broken-answer", True),
        (Reply(200, {"access_token": "t", "expires_in": "soon"}), "broken-answer", True),
        (Reply(200, []), "broken-answer", True),
        (Reply(429, b"", {"Retry-After": "7"}), "token-endpoint-busy", True),
        (Reply(503, b"", {"Retry-After": "7"}), "token-endpoint-busy", True),
        (Reply(302, b"", {"Location": "https://evil.example/"}), "token-refused", False),
        (Reply(403, b"Forbidden"), "token-refused", False),
        (Reply(401, {"error": "invalid_client"}), "invalid-client", False),
        (Reply(400, {"error": "invalid_grant"}), "invalid-grant", False),
        (Reply(400, {"error": {"a": 1}}), "token-refused", False),
        (Reply(400, b"\xff\xfe"), "token-refused", False),
    ],
)
def test_what_the_endpoint_may_answer(reply: Reply, code: str, retryable: bool) -> None:
    endpoint = Endpoint()
    endpoint.answer = lambda request: reply
    with pytest.raises(PlatformError) as failure:
        endpoint.source().token(ACCESS, [SCORE])
    assert (failure.value.code, failure.value.retryable) == (code, retryable)
    assert failure.value.retry_after == (7 if "busy" in code else None)
    assert endpoint.cache.values == {}


def test_a_platform_that_is_down() -> None:
    endpoint = Endpoint()

    def down(request: requests.PreparedRequest) -> Reply:
        raise requests.ReadTimeout("slow")

    endpoint.answer = down
    with pytest.raises(PlatformUnavailable) as failure:
        endpoint.source().token(ACCESS, [SCORE])
    assert failure.value.code == "timeout"
    endpoint.answer = endpoint.grant
    assert endpoint.source().token(ACCESS, [SCORE]) == "t2"


@pytest.mark.parametrize("stored", ["", "null", '{"token": "t"}', '{"token": "t", "until": "x"}', b"\x00"])
def test_a_spoilt_cache_costs_a_request(stored: object) -> None:
    endpoint = Endpoint()
    endpoint.source().token(ACCESS, [SCORE])
    endpoint.cache.values = dict.fromkeys(endpoint.cache.values, stored)
    assert endpoint.source().token(ACCESS, [SCORE]) == "t2"


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_platform_with_another_clock_is_asked_again_with_its_own_time(ahead: int) -> None:
    endpoint = Endpoint()
    theirs = endpoint.clock() + ahead

    def judge(request: requests.PreparedRequest) -> Reply:
        assertion = parse_qs(request.body.decode())["client_assertion"][0]  # type: ignore[union-attr]
        claims = jwt.decode(assertion, options={"verify_signature": False})
        if claims["iat"] <= theirs <= claims["exp"]:
            return endpoint.grant(request)
        return Reply(400, {"error": "Expired token"}, {"Date": formatdate(theirs, usegmt=True)})

    endpoint.answer = judge
    assert endpoint.source().token(ACCESS, [SCORE]) == "t2"


def test_a_platform_that_refuses_its_own_time_is_asked_twice() -> None:
    endpoint = Endpoint()
    date = formatdate(endpoint.clock(), usegmt=True)
    endpoint.answer = lambda _: Reply(400, {"error": "Expired token"}, {"Date": date})
    with pytest.raises(PlatformRejected) as refusal:
        endpoint.source().token(ACCESS, [SCORE])
    assert refusal.value.code == "clock-differs"
    assert len(endpoint.network.requests) == 2


def test_the_shared_cache_is_asked_once_by_each_process() -> None:
    endpoint = Endpoint()
    endpoint.source().token(ACCESS, [SCORE])
    source = endpoint.source()
    assert source.token(ACCESS, [SCORE]) == "t1"
    endpoint.cache.values.clear()
    assert source.token(ACCESS, [SCORE]) == "t1"


def test_a_refused_token_does_not_take_another_ones_successor_along() -> None:
    endpoint = Endpoint()
    one, other = endpoint.source(), endpoint.source()
    refused = one.token(ACCESS, [SCORE])
    assert other.token(ACCESS, [SCORE]) == refused
    one.forget(ACCESS, [SCORE], refused)
    assert one.token(ACCESS, [SCORE]) == "t2"
    other.forget(ACCESS, [SCORE], refused)
    assert other.token(ACCESS, [SCORE]) == "t2"
    other.forget(ACCESS, [SCORE], refused)
    assert len(endpoint.network.requests) == 2
