from __future__ import annotations

from datetime import UTC, datetime

import pytest
import requests

from integrations.http import PlatformHttp
from integrations.lti.jwks import JwksCache
from tests.unit.integrations.network import LOCAL, Network, Reply


def _nobody(request: requests.PreparedRequest) -> Reply:
    raise AssertionError(f"no request was expected: {request.url}")


@pytest.fixture
def unasked_jwks() -> JwksCache:
    """Keys of a platform that must not be asked for them."""
    return JwksCache(PlatformHttp(adapter=Network(_nobody)))


@pytest.fixture
def verify_settings() -> dict[str, object]:
    return {
        "issuer": "http://127.0.0.1:8100",
        "client_id": "TeDKigL2RtgDhoE",
        "jwks_url": "http://127.0.0.1:8100/mod/lti/certs.php",
        "policy": LOCAL,
        "now": datetime(2026, 11, 23, 14, 30, tzinfo=UTC),
    }
