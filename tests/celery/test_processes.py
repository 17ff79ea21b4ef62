"""The commands themselves: how they start, log, share the work and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from kombu import Connection

from lti_app.celery import LOOKS, QUEUES
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from tests.celery.brokers import Broker
from tests.celery.conftest import Site
from tests.platforms.process import ROOT, python

pytestmark = pytest.mark.postgres
ONLY_REDIS = pytest.mark.parametrize(
    "broker", [pytest.param("redis", marks=pytest.mark.redis)], indirect=True
)
PEOPLE = 40


def test_a_worker_that_is_asked_to_end_writes_down_and_gives_back(site: Site) -> None:
    school = site.school("a")
    site.want(school, 10 * PEOPLE, 50)
    beat, worker = site.start("beat"), site.start("worker")
    site.wait_for_posts(20)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(60) == 0
    sent = site.posts()
    assert site.unsent() == 10 * PEOPLE - sent, "every call that was made is written down"
    with site.desk.work():
        assert [slot.holder for slot in db.session.query(DeliverySlot)] == [None]
    os.kill(beat.pid, signal.SIGTERM)
    assert beat.wait(60) == 0
    for process in (beat, worker):
        lines = [line for line in site.log(process).splitlines() if line]
        events = [json.loads(line) for line in lines if not line.startswith("worker: Warm shutdown")]
        assert [event for event in events if event.get("logger") == "py.warnings"] == []
        assert [event for event in events if event["level"] in ("error", "critical")] == []


@ONLY_REDIS
def test_a_pool_of_processes_and_a_worker_for_one_queue(site: Site) -> None:
    schools = [site.school(name) for name in ("a", "b")]
    site.start("beat")
    site.start("worker", "-n", "looks", "-Q", "gongyu.look")
    site.start("worker", "-n", "grades", "-Q", "gongyu.scores", "-P", "processes", "-c", "2")
    for school in schools:
        site.want(school, PEOPLE, 75)
    assert site.settle() == 0


def test_nothing_piles_up_while_no_worker_runs(site: Site, broker: Broker) -> None:
    with Connection(broker.url) as connection:
        looks = QUEUES[LOOKS].bind(connection.default_channel)
        looks.queue_declare()
        looks.purge()
        site.start("beat")
        site.wait(lambda: looks.queue_declare().message_count > 0, "a first look")
        time.sleep(4)  # four more are due by now
        assert looks.queue_declare().message_count == 1


@ONLY_REDIS
@pytest.mark.parametrize("command", ["worker", "beat"])
def test_without_a_broker_the_command_says_which_setting_is_missing(site: Site, command: str) -> None:
    environment = {**os.environ, **site.environment, "GONGYU_WORKER": "none", "GONGYU_BROKER_URL": ""}
    done = subprocess.run(
        python("-m", "celery", "-A", "lti_app.celery", command),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "GONGYU_BROKER_URL" in done.stderr
    assert "Traceback" not in done.stderr
