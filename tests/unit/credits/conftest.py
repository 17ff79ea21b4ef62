"""The bank alone: an application context on a migrated database, nobody registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from lti_app import create_app
from lti_app.extensions import db
from tests.conftest import settings_for


@pytest.fixture
def bank(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """On SQLite and on PostgreSQL."""
    app = create_app(settings_for(tmp_path, database_url))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
