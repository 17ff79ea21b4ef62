"""The key cache: rotation, outages, visitors who invent key ids, and many launches at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests

from integrations.errors import BadMessage, PlatformError, PlatformUnavailable
from integrations.http import AddressPolicy, PlatformHttp
from integrations.lti.jwks import JwksCache
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, jwk, rsa_key

URL = "https://lms.example/jwks"
POLICY = AddressPolicy()


class Platform:
    """A key set endpoint whose answer can be changed, and caches in front of it."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.reply = Reply(200, {"keys": list(keys)})
        self.network = Network(lambda request: self.reply)
        self.clock = Clock()
        self.shared = MemoryCache()

    def cache(self, shared: bool = False) -> JwksCache:
        http = PlatformHttp(adapter=self.network)
        return JwksCache(http, self.shared if shared else None, self.clock)

    def publish(self, *keys: dict[str, Any]) -> None:
        self.reply = Reply(200, {"keys": list(keys)})

    @property
    def fetches(self) -> int:
        return len(self.network.requests)


OLD, NEW = jwk("old", "old"), jwk("new", "new")


def test_a_key_is_fetched_once_an_hour() -> None:
    platform = Platform(OLD)
    cache = platform.cache()
    for _ in range(3):
        (key,) = cache.keys(URL, "old", POLICY)
        assert key.public_numbers() == rsa_key("old").public_key().public_numbers()
    assert platform.fetches == 1
    platform.clock.now += 3601
    cache.keys(URL, "old", POLICY)
    assert platform.fetches == 2


def test_a_rotated_key_is_met_at_once() -> None:
    platform = Platform(OLD)
    cache = platform.cache()
    cache.keys(URL, "old", POLICY)
    platform.publish(NEW)
    assert cache.keys(URL, "new", POLICY)
    with pytest.raises(BadMessage):
        cache.keys(URL, "old", POLICY)


def test_invented_key_ids_refetch_at_most_every_thirty_seconds() -> None:
    platform = Platform(OLD)
    cache = platform.cache()
    cache.keys(URL, "old", POLICY)
    for number in range(20):
        with pytest.raises(BadMessage) as refusal:
            cache.keys(URL, f"invented-{number}", POLICY)
        assert refusal.value.code == "unknown-key"
    assert platform.fetches == 2
    assert cache.keys(URL, "old", POLICY)
    platform.clock.now += 31
    platform.publish(OLD, NEW)
    assert cache.keys(URL, "new", POLICY)
    assert platform.fetches == 3


BROKEN = [
    Reply(503, {"keys": [OLD]}),
    Reply(302, b"", {"Location": "https://evil.example/jwks"}),
    Reply(200, {"error": "maintenance"}),
    Reply(200, {"keys": []}),
    Reply(200, {"keys": {"kid": "old"}}),
    Reply(200, [OLD]),
    Reply(200, b"<html>Maintenance</html>"),
    Reply(200, b'{"keys": [' + b" " * 300_000 + b"]}"),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_key_set_is_never_kept(broken: Reply) -> None:
    platform = Platform(OLD)
    good, platform.reply = platform.reply, broken
    cache = platform.cache(shared=True)
    with pytest.raises(PlatformUnavailable):
        cache.keys(URL, "old", POLICY)
    assert platform.shared.values == {}
    platform.reply = good
    assert cache.keys(URL, "old", POLICY)


@pytest.mark.parametrize("broken", BROKEN)
def test_known_keys_outlive_an_outage_for_a_day(broken: Reply) -> None:
    platform = Platform(OLD)
    cache = platform.cache()
    cache.keys(URL, "old", POLICY)
    platform.reply = broken
    platform.clock.now += 7200
    for _ in range(5):
        assert cache.keys(URL, "old", POLICY)
    assert platform.fetches == 2, "an outage is not asked about at every launch"
    with pytest.raises(BadMessage):
        cache.keys(URL, "new", POLICY)
    platform.clock.now += 86_400
    with pytest.raises(PlatformError):
        cache.keys(URL, "old", POLICY)


def test_an_unreachable_platform_is_an_error_of_its_own() -> None:
    def down(request: requests.PreparedRequest) -> Reply:
        raise requests.ConnectionError("refused")

    cache = JwksCache(PlatformHttp(adapter=Network(down)), clock=Clock())
    with pytest.raises(PlatformUnavailable) as failure:
        cache.keys(URL, "old", POLICY)
    assert failure.value.code == "unreachable"


def test_processes_share_what_one_has_fetched() -> None:
    platform = Platform(OLD)
    first, second = platform.cache(shared=True), platform.cache(shared=True)
    first.keys(URL, "old", POLICY)
    assert second.keys(URL, "old", POLICY)
    assert platform.fetches == 1
    platform.publish(OLD, NEW)
    platform.clock.now += 40
    assert first.keys(URL, "new", POLICY)
    assert second.keys(URL, "new", POLICY)
    assert platform.fetches == 2


@pytest.mark.parametrize("stored", ["", "null", "[]", '{"at": "x", "keys": []}', '{"keys": []}', b"\x00", 5])
def test_a_spoilt_shared_cache_costs_a_request(stored: object) -> None:
    platform = Platform(OLD)
    platform.cache(shared=True).keys(URL, "old", POLICY)
    platform.shared.values = dict.fromkeys(platform.shared.values, stored)
    assert platform.cache(shared=True).keys(URL, "old", POLICY)
    assert platform.fetches == 2


def test_only_strong_rsa_signing_keys_are_used() -> None:
    weak = {**OLD, "kid": "weak", "n": "AQAB" * 20}
    odd: list[Any] = [
        {**OLD, "kid": "encryption", "use": "enc"},
        {**OLD, "kid": "other-alg", "alg": "RS512"},
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA"},
        {**OLD, "kid": "no-modulus", "n": "!!"},
        {**OLD, "kid": 5},
        weak,
        "not a key",
        None,
    ]
    private = rsa_key("leaked").private_numbers()
    leaked = {**jwk("leaked", "leaked"), "d": "AQAB", "p": str(private.p)}
    platform = Platform(*odd, {**OLD, "use": None, "alg": None}, leaked)
    cache = platform.cache()
    assert cache.keys(URL, "old", POLICY)
    (public,) = cache.keys(URL, "leaked", POLICY)
    assert not hasattr(public, "private_numbers")
    for kid in ("encryption", "other-alg", "secret", "curve", "no-modulus", "weak", "5"):
        with pytest.raises(BadMessage):
            cache.keys(URL, kid, POLICY)


def launches(cache: JwksCache, kid: str, number: int) -> list[str]:
    """What `number` launches at the same moment get."""
    results: list[str] = []
    barrier = threading.Barrier(number)

    def launch() -> None:
        barrier.wait(10)
        try:
            results.append(f"{len(cache.keys(URL, kid, POLICY))} key")
        except (PlatformError, BadMessage) as error:
            results.append(error.code)

    threads = [threading.Thread(target=launch) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_many_launches_at_once_fetch_once() -> None:
    platform = Platform(OLD)
    cache = platform.cache()
    assert launches(cache, "old", 16) == ["1 key"] * 16
    assert platform.fetches == 1
    platform.publish(OLD, NEW)
    assert launches(cache, "new", 16) == ["1 key"] * 16
    assert platform.fetches == 2


def test_launches_during_an_outage_ask_one_after_the_other() -> None:
    platform = Platform(OLD)
    asking = threading.Semaphore(1)

    def failure(request: requests.PreparedRequest) -> Reply:
        assert asking.acquire(blocking=False), "two requests at the same time"
        asking.release()
        return Reply(503)

    platform.network.answer = failure
    assert launches(platform.cache(), "old", 8) == ["key-set-unavailable"] * 8
    assert platform.fetches <= 8
