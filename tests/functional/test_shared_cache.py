"""Redis as the shared cache: several processes ask a platform for one token and its keys once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.extensions import platform_services
from lti_app.registrations.services import find_by_name, service_access
from tests.browsing import Visitor
from tests.conftest import run, settings_for
from tests.databases import service
from tests.fake_platform import SCOPES, FakePlatform

pytestmark = pytest.mark.redis


@pytest.fixture
def two_processes(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[Flask, Flask, FakePlatform]]:
    platform = FakePlatform(f"{uuid.uuid4().hex}.test")  # keys of the cache of its own
    url = service("Redis", "TEST_REDIS_URL")
    settings = settings_for(tmp_path, sqlite_url, redis_url=url)
    first, second = (create_app(settings, http=PlatformHttp(adapter=platform)) for _ in range(2))
    run(first, "platforms", "add", *platform.add_arguments)
    yield first, second, platform
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter("gongyu:*"):
            client.delete(key)


def test_one_token_serves_both(two_processes: tuple[Flask, Flask, FakePlatform]) -> None:
    *apps, platform = two_processes
    tokens = []
    for app in apps:
        with app.app_context():
            registration = find_by_name(platform.host)
            assert registration is not None
            tokens.append(platform_services().tokens.token(service_access(registration), SCOPES))
    assert tokens[0] == tokens[1]
    assert platform.requests.count(("POST", "/token")) == 1


def test_one_fetch_of_the_keys_serves_both(two_processes: tuple[Flask, Flask, FakePlatform]) -> None:
    *apps, platform = two_processes
    for app in apps:
        assert Visitor(app, platform).launch("admin").status_code == 303
    assert platform.requests.count(("GET", "/jwks")) == 1
