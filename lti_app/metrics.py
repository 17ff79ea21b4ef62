"""`/metrics` for Prometheus: how the sending is going, read from the database when it is asked for.

So the figures are true for all processes together, and any one of them may be asked. docs/monitoring.md
explains each.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, current_app, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from lti_app.clock import utc_now
from lti_app.errors import NotHere
from lti_app.gradebook.models import ReadingState, ScoreState
from lti_app.gradebook.oversight.queue import QueueFacts, ended_since_ever, queue_facts
from lti_app.gradebook.policy import STEPS

bp = Blueprint("metrics", __name__)

UNTRIED = "untried"
"""As an outcome: not sent yet and nothing wrong."""


@bp.get("/metrics")
def metrics() -> Any:
    """The figures, for whoever brings the bearer token of GONGYU_METRICS_TOKEN; 404 where none is set."""
    token: str | None = current_app.config["SETTINGS"].metrics_token
    if token is None:
        raise NotHere()
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return Response("bring the metrics token\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeliveryCollector())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class DeliveryCollector(Collector):
    """Four queries, whatever the number of registrations and scores."""

    def collect(self) -> Iterable[Metric]:
        facts = queue_facts()
        yield _info(facts)
        yield from _piles(facts)
        yield from _ages(facts, utc_now())
        yield from _slots(facts, utc_now())
        columns = _gauge(
            "gongyu_columns_reading", "Gradebook columns by how their last reading went.", "state"
        )
        for one in facts:
            for state in ReadingState:
                columns.add_metric([_id(one), state], one.readings.get(state, 0))
        yield columns
        ended = CounterMetricFamily(
            "gongyu_deliveries_total", "Deliveries by how they ended.", labels=["registration", "outcome"]
        )
        for registration_id, outcome, count in ended_since_ever():
            ended.add_metric([str(registration_id), outcome], count)
        yield ended


def _info(facts: Iterable[QueueFacts]) -> Metric:
    info = GaugeMetricFamily(
        "gongyu_registration_info",
        "Always 1: what a registration is called.",
        labels=["registration", "name", "kind", "status"],
    )
    for one in facts:
        row = one.registration
        info.add_metric([_id(one), row.name, row.kind, row.status], 1)
    return info


def _piles(facts: Iterable[QueueFacts]) -> Iterator[Metric]:
    unsent = _gauge("gongyu_scores_unsent", "Scores that will be sent by themselves.", "outcome")
    held = _gauge("gongyu_scores_held", "Scores that cannot arrive until somebody acts.", "outcome")
    withheld = _gauge("gongyu_scores_withheld", "Scores that a teacher keeps back: paused or not released.")
    # With the zeros of all usual outcomes: a series that begins with its first fault shows no growth.
    usual = {
        state: [outcome for outcome, step in STEPS.items() if step.state is state] for state in ScoreState
    }
    for one in facts:
        for metric, piles, outcomes in (
            (unsent, one.unsent, [None, *usual[ScoreState.WAITING]]),
            (held, one.held, usual[ScoreState.HELD]),
        ):
            for outcome in [*outcomes, *(piles.keys() - set(outcomes))]:
                pile = piles.get(outcome)
                metric.add_metric([_id(one), outcome or UNTRIED], pile.count if pile else 0)
        withheld.add_metric([_id(one)], one.withheld)
    yield from (unsent, held, withheld)


def _ages(facts: Iterable[QueueFacts], now: datetime) -> Iterator[Metric]:
    oldest = _gauge(
        "gongyu_oldest_unsent_seconds",
        "Age of the oldest result on its way, without what waits for a teacher to publish a column.",
    )
    lag = _gauge("gongyu_due_lag_seconds", "How long something is overdue that could be done now.", "work")
    for one in facts:
        since = one.oldest_of_ours
        oldest.add_metric([_id(one)], max((now - since).total_seconds(), 0) if since else 0)
        for work, seconds in one.lag(now).items():
            lag.add_metric([_id(one), work], seconds)
    yield from (oldest, lag)


def _slots(facts: Iterable[QueueFacts], now: datetime) -> Iterator[Metric]:
    resting = _gauge("gongyu_registration_resting", "1 while a platform is left alone for a while.")
    failures = _gauge("gongyu_registration_failures", "Failures of a platform as a whole, in a row.")
    success = _gauge("gongyu_last_success_timestamp_seconds", "When a platform last did what it was asked.")
    clock = _gauge("gongyu_clock_ahead_seconds", "By how much a platform's clock is ahead of ours.")
    for one in facts:
        slot = one.slot
        resting.add_metric([_id(one)], int(one.is_resting(now)))
        failures.add_metric([_id(one)], slot.failures if slot else 0)
        clock.add_metric([_id(one)], slot.clock_ahead / 1000 if slot else 0)
        if slot and slot.last_success_at:
            success.add_metric([_id(one)], slot.last_success_at.timestamp())
    yield from (resting, failures, success, clock)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["registration", *labels])


def _id(facts: QueueFacts) -> str:
    return str(facts.registration.id)
