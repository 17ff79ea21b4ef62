"""Services that tests find by the environment, and databases of their own on them."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url


def service(name: str, variable: str) -> str:
    """The address of a service for tests; skips (or, with REQUIRE_SERVICES=1, fails) without one."""
    url = os.environ.get(variable)
    if not url:
        absent(f"{name} is absent ({variable} is not set)")
    return str(url)


def absent(why: str) -> None:
    """Skip the test, or fail it where services are required."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(why)
    pytest.skip(why)


@contextlib.contextmanager
def new_database(server_url: str, *, template: str | None = None, locale: str | None = None) -> Iterator[str]:
    """A PostgreSQL database until the block ends, empty or a copy of `template`; gives SQLAlchemy's URL.

    `locale` instead of the server's own, for instance C.
    """
    server = make_url(server_url).set(drivername="postgresql")
    database = f"gongyu_{uuid.uuid4().hex[:12]}"
    name = sql.Identifier(database)
    create: sql.Composable = sql.SQL("CREATE DATABASE {}").format(name)
    if template:
        create += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    if locale:
        create += sql.SQL(" TEMPLATE template0 ENCODING 'UTF8' LOCALE {}").format(sql.Literal(locale))
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(create)
        try:
            url = server.set(drivername="postgresql+psycopg", database=database)
            yield url.render_as_string(hide_password=False)
        finally:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
