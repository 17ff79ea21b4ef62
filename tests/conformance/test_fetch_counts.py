"""How often we ask a platform for its keys: hardly ever, whatever visitors invent (Security Framework 1.0, 6.4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.extensions import db
from tests.browsing import BASE, Visitor
from tests.conftest import settings_for
from tests.fake_platform import FakePlatform

MANY = 1000
FEW = 3


@pytest.fixture
def live(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[Flask, FakePlatform]]:
    """As it runs in a server: several threads at once."""
    platform = FakePlatform()
    app = create_app(settings_for(tmp_path, sqlite_url), http=PlatformHttp(adapter=platform))
    yield app, platform
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def fetches(platform: FakePlatform) -> int:
    return sum(path == "/jwks" for _, path in platform.requests)


def with_kid(token: str, number: int) -> str:
    """The token under a key id of its own: its signature is never reached, so one serves all."""
    header = json.dumps({"alg": "RS256", "kid": f"k{number}"}).encode()
    return base64.urlsafe_b64encode(header).rstrip(b"=").decode() + token[token.index(".") :]


def at_once(ask: Callable[[int], int]) -> set[int]:
    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(ask, range(MANY)))


def test_a_thousand_launches_with_invented_key_ids(live: tuple[Flask, FakePlatform]) -> None:
    app, platform = live
    visit = Visitor(app, platform)
    forged = platform.sign(platform.claims("parent", "demo", "a nonce"))

    def launch(number: int) -> int:
        client = app.test_client()
        state, _nonce = visit.begin(client, "parent")
        return visit.finish(client, state, with_kid(forged, number)).status_code

    assert at_once(launch) == {401}
    assert fetches(platform) <= FEW
    assert visit("parent").status == 200, "honest launches go on"


def test_a_thousand_notices_with_invented_key_ids(live: tuple[Flask, FakePlatform]) -> None:
    """Nobody's browser brings these: whoever knows the address can send them."""
    app, platform = live
    forged = platform.sign(platform.claims("parent", "demo", "a nonce"))

    def notify(number: int) -> int:
        body = {"notices": [{"jwt": with_kid(forged, 10 * number + one)} for one in range(5)]}
        return app.test_client().post("/lti/notices", json=body, base_url=BASE).status_code

    assert at_once(notify) == {200}
    assert fetches(platform) <= FEW
    assert Visitor(app, platform)("parent").status == 200


def test_honest_launches_of_a_day_fetch_once_an_hour(lite_app: Flask, platform: FakePlatform) -> None:
    visit = Visitor(lite_app, platform)
    with time_machine.travel(utc_now(), tick=False) as clock:
        for _ in range(24):
            for _ in range(4):
                assert visit("observer").status == 200
            clock.shift(timedelta(hours=1))
    assert fetches(platform) <= 24


def test_an_outage_of_the_keys_stops_no_launch(lite_app: Flask, platform: FakePlatform) -> None:
    """What was fetched serves for a day, and a platform that is down is not asked at each launch."""
    visit = Visitor(lite_app, platform)
    with time_machine.travel(utc_now(), tick=False) as clock:
        visit("observer")
        before = fetches(platform)
        clock.shift(timedelta(hours=2))
        platform.faults = [lambda _: (503, {})] * 99
        assert {visit("observer").status for _ in range(20)} == {200}
        assert fetches(platform) - before == 1


def test_a_new_key_of_the_platform_is_fetched_by_its_first_launch(
    lite_app: Flask, platform: FakePlatform
) -> None:
    visit = Visitor(lite_app, platform)
    visit("teacher")
    platform.key_index = 1
    assert {visit(user).status for user in ("parent", "father", "observer")} == {200}
    assert fetches(platform) == 2
