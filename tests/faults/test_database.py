"""PostgreSQL goes away under running workers and comes back: they go on by themselves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.conftest import prepare
from tests.faults.stage import COMMAND, EMBEDDED, Stage, stage
from tests.platforms.faulty.running import Faulty
from tests.private_services import PrivatePostgres, private_postgres

NUMBERS = itertools.count()
pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    with private_postgres() as running:
        yield running


@pytest.fixture(params=[EMBEDDED, COMMAND], ids=["embedded", "command"])
def play(
    request: pytest.FixtureRequest, server: PrivatePostgres, tmp_path: Path, faulty: Faulty
) -> Iterator[Stage]:
    # Not `new_database`: its connection would not live through a restart. The whole server goes at the end.
    name = f"gongyu_{next(NUMBERS)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_url(server.url).set(drivername="postgresql+psycopg", database=name).render_as_string()
    prepare(tmp_path, url)
    with stage(url, tmp_path, faulty, request.param) as playing:
        yield playing


def test_postgresql_is_restarted_twice(play: Stage, server: PrivatePostgres) -> None:
    groups = [
        play.add_class(f"{kind}-{play.argv is EMBEDDED}", kind, people=80, latency=0.05)
        for kind in ("generic", "moodle")
    ]
    for group in groups:
        play.want(group)
    workers = [play.start_worker(), play.start_worker()]
    for _ in range(2):
        play.until_more(groups, 20)
        server.stop()
        time.sleep(1.5)
        server.start()
        for group in groups:
            play.want(group)
    play.settle()
    assert [worker.poll() for worker in workers] == [None, None], "nobody had to start them again"
    for group in groups:
        counts = play.proof(group)
        print(group.name, dict(counts))
