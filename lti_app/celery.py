"""Delivery on several machines: `celery -A lti_app.celery worker` and `… beat`, over Redis or RabbitMQ.

The database is the truth; a message only says where to look. The lease of a registration and
`DeliverySlot.offered_until` make a message that is lost, late or doubled, a second beat and a dead worker
harmless: the next look offers again what is still due. The web process never talks to the broker.

Acknowledging late (`task_acks_late`) with a prefetch of one keeps no message in a worker that is busy while
another one is idle.
"""

from __future__ import annotations

import gc
import threading
import warnings
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import click
import structlog
from celery import Celery, signals
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from celery.exceptions import CPendingDeprecationWarning
from flask import Flask
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError as BrokerUnavailable
from kombu.transport.redis import Channel as RedisChannel

from lti_app import create_app
from lti_app.config import BadSettings, Settings, read_settings
from lti_app.delivery.offers import offer
from lti_app.delivery.turns import log_error, serve_turn
from lti_app.delivery.worker import LOOK_SECONDS
from lti_app.logs import init_library_logging, init_logging

LOOKS, SCORES, REST = "gongyu.look", "gongyu.scores", "gongyu.rest"
EXCHANGE = Exchange("gongyu")
QUEUES = {name: Queue(name, EXCHANGE, routing_key=name) for name in (LOOKS, SCORES, REST)}
LOOK_EXPIRES = 5.0
OFFER_SECONDS = 10.0
ENOUGH = 1000
"""Offers waiting in one queue; while there are so many, no worker takes them, and more would only pile up."""

# A worker that loses its Redis would try to put back what it has not acknowledged, into the connection that
# it lost, and end with "Unrecoverable error" (kombu 5.7.0, restore_unacked).
RedisChannel.do_restore = False

log = structlog.get_logger()
app = Celery("gongyu")
_stopping = threading.Event()
_making = threading.Lock()


def _configuration() -> dict[str, Any]:
    settings = _settings()
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": _transport_options(settings.broker_url or ""),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_connection_timeout": 5,
        "broker_heartbeat": 10,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_acks_late": True,
        "task_default_delivery_mode": "transient",
        "task_queues": list(QUEUES.values()),
        "task_default_queue": REST,
        "task_default_exchange": EXCHANGE.name,
        "task_routes": {"gongyu.look": {"queue": LOOKS}},
        "worker_pool": "threads",
        "worker_concurrency": settings.delivery_threads,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "beat_scheduler": "lti_app.celery:Beat",
        "beat_schedule": {
            "look": {
                "task": "gongyu.look",
                "schedule": LOOK_SECONDS,
                "options": {"queue": LOOKS, "expires": LOOK_EXPIRES},
            }
        },
    }


def _settings() -> Settings:
    try:
        settings = read_settings()
    except BadSettings as error:
        raise click.ClickException(str(error)) from error
    if settings.broker_url is None:
        raise click.ClickException("GONGYU_BROKER_URL: needed by Celery (redis://… or amqp://…)")
    return replace(settings, worker="celery")


app.add_defaults(_configuration)


def _transport_options(broker_url: str) -> dict[str, Any]:
    """No call to a broker that has gone silent may take longer than 15 s."""
    if urlsplit(broker_url).scheme.startswith("redis"):
        return {
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            # Taken is gone: what a dead worker took is offered again.
            "ack_emulation": False,
        }
    return {"read_timeout": 15, "write_timeout": 15, "confirm_publish": True}


@app.task(name="gongyu.look")
def look() -> None:
    """Offer the workers what is due and not yet offered. Whatever goes wrong, the next look is soon."""
    try:
        flask = _flask()
        troubled = max(flask.config["SETTINGS"].delivery_threads // 2, 1)
        pairs = offer(flask, flask.extensions["works"], OFFER_SECONDS, in_trouble=troubled)
        if pairs:
            with app.producer_or_acquire() as producer:
                full = {name for name in (SCORES, REST) if _waiting(producer, name) >= ENOUGH}
                for work_name, registration_id in pairs:
                    if _queue(work_name) not in full:
                        _enqueue(work_name, registration_id, producer)
    except BrokerUnavailable as error:
        log.warning("broker unavailable", error=str(error))
    except Exception as error:
        log_error(error, task="look")


@app.task(name="gongyu.serve")
def serve(work_name: str, registration_id: int) -> None:
    """Serve one registration one turn, and get in line again when it was not enough."""
    try:
        flask = _flask()
        work = next((work for work in flask.extensions["works"] if work.name == work_name), None)
        if work is None:
            log.warning("unknown work", work=work_name)  # from another version of the program
            return
        if serve_turn(flask, work, registration_id, stopping=_stopping.is_set).more:
            _enqueue(work_name, registration_id)
    except BrokerUnavailable as error:
        log.warning("broker unavailable", error=str(error))  # the next look finds it
    except Exception as error:
        log_error(error, task="serve", registration=registration_id)


class Beat(Scheduler):
    """Asks for a look every second, unless an earlier one still waits. It keeps no file."""

    def apply_entry(self, entry: ScheduleEntry, producer: Producer | None = None) -> None:
        try:
            if producer is None or not _waiting(producer, LOOKS):
                self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            log.warning("broker unavailable", error=str(error))


def _queue(work_name: str) -> str:
    return SCORES if work_name == "scores" else REST


def _enqueue(work_name: str, registration_id: int, producer: Producer | None = None) -> None:
    message = (work_name, registration_id)
    serve.apply_async(message, producer=producer, queue=_queue(work_name), expires=OFFER_SECONDS)


def _waiting(producer: Producer, queue: str) -> int:
    """How many messages nobody has taken; 0 when the broker cannot be asked now (publishing reconnects)."""
    try:
        count: int = QUEUES[queue].bind(producer.channel).queue_declare().message_count
    except Exception:
        return 0
    return count


def _flask() -> Flask:
    """The application of this process. Made by its first task, so after a pool of processes has forked:
    no database connection is shared with a parent."""
    with _making:
        return _make_flask()


@cache
def _make_flask() -> Flask:
    made = create_app(_settings())
    gc.freeze()  # as in wsgi.py
    return made


@signals.setup_logging.connect
def _log_as_json(**_: object) -> None:
    """Instead of Celery's own set-up of the root logger."""
    init_logging(_settings().log_level)
    init_library_logging(_settings().log_level)
    # Said with each lost connection: a later Celery will cancel tasks then, as a default.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


@signals.worker_shutting_down.connect
def _end_turns(**_: object) -> None:
    _stopping.set()
