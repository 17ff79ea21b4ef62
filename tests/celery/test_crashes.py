"""Workers, brokers, beats and database connections go away in mid-flight, and no grade is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from celery import Celery
from sqlalchemy.engine import make_url

from lti_app.celery import QUEUES, SCORES
from tests.celery.brokers import Broker
from tests.celery.conftest import Site, opened
from tests.celery.school import School
from tests.conftest import prepare
from tests.private_services import private_postgres

pytestmark = pytest.mark.postgres

PEOPLE = 60


def test_a_worker_killed_in_mid_flight(site: Site) -> None:
    schools = [site.school(name) for name in ("a", "b", "c")]
    for school in schools:
        site.want(school, PEOPLE, 50)
    site.start("beat")
    doomed = site.start("worker")
    site.wait_for_posts(40)
    os.killpg(doomed.pid, signal.SIGKILL)
    for school in schools:
        site.want(school, PEOPLE, 80)
    other = site.start("worker", "-n", "other")
    site.wait_for_posts(site.posts() + 40)
    os.killpg(other.pid, signal.SIGKILL)
    site.start("worker", "-n", "third")
    repeated = site.settle()
    # What was sent and not yet written down when its worker died: at most a second's worth of each school.
    assert repeated <= 2 * 3 * PEOPLE


def test_the_broker_dies_and_comes_back_empty(site: Site, broker: Broker) -> None:
    schools = [site.school(name) for name in ("a", "b")]
    beat, worker = site.start("beat"), site.start("worker")
    for school in schools:
        site.want(school, PEOPLE, 30)
    site.wait_for_posts(20)
    broker.kill()
    broker.empty()
    for school in schools:
        site.want(school, PEOPLE, 70)
    broker.start()
    assert site.settle() == 0
    for school in schools:
        site.want(school, PEOPLE, 90)
    assert site.settle() == 0
    assert (beat.poll(), worker.poll()) == (None, None), "they went on by themselves"


def test_two_beats_and_doubled_messages_send_each_value_once(site: Site, broker: Broker) -> None:
    schools = [site.school(name) for name in ("a", "b", "c")]
    for number in (1, 2):
        site.start("beat")
        site.start("worker", "-n", f"w{number}")
    for given in (40, 60):
        for school in schools:
            site.want(school, PEOPLE, given)
        _send_serves(site, broker, schools, times=8)
        site.wait(lambda given=given: given in site.shown().values(), "a first one")  # type: ignore[misc]
        _send_serves(site, broker, schools, times=8)
    assert site.settle() == 0


def _send_serves(site: Site, broker: Broker, schools: Sequence[School], times: int) -> None:
    with site.desk.work():
        numbers = [site.desk.registration(school).id for school in schools]  # type: ignore[arg-type]
    with Celery("doubler", broker=broker.url) as doubler:
        for _ in range(times):
            for number in numbers:
                doubler.send_task("gongyu.serve", ("scores", number), queue=QUEUES[SCORES])


def test_every_database_connection_is_cut(site: Site) -> None:
    schools = [site.school(name) for name in ("a", "b")]
    for school in schools:
        site.want(school, 2 * PEOPLE, 50)
    site.start("beat")
    worker = site.start("worker")
    for posts in (20, 80):
        site.wait_for_posts(posts)
        _cut_connections(site)
    site.settle()
    assert worker.poll() is None


@pytest.mark.parametrize("broker", [pytest.param("redis", marks=pytest.mark.redis)], indirect=True)
def test_the_database_server_dies_and_comes_back(broker: Broker, tmp_path: Path) -> None:
    with private_postgres() as server:
        url = server.url.replace("postgresql://", "postgresql+psycopg://")
        prepare(tmp_path, url)
        with opened(broker.url, url, tmp_path) as site:
            schools = [site.school(name) for name in ("a", "b")]
            for school in schools:
                site.want(school, 2 * PEOPLE, 50)
            beat, worker = site.start("beat"), site.start("worker")
            site.wait_for_posts(40)
            server.stop()
            site.wait(lambda: "delivery failed" in site.log(worker), "the worker's notice of it")
            server.start()
            site.settle()
            assert (beat.poll(), worker.poll()) == (None, None)


def _cut_connections(site: Site) -> None:
    url = make_url(site.environment["GONGYU_DATABASE_URL"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
