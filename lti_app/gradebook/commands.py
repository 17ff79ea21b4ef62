"""`flask gradebook …`: delivery as a process of its own, and how it is going."""

from __future__ import annotations

import signal
import threading

import click
from flask import current_app

from lti_app.clock import utc_now
from lti_app.delivery.services import reading
from lti_app.delivery.worker import EmbeddedWorker, drain
from lti_app.errors import OperatorGroup
from lti_app.gradebook.queries import QueueFacts, queue_facts

group = OperatorGroup("gradebook", help="Scores and their delivery to the LMSs.")


@group.command("deliver")
@click.option("--once", is_flag=True, help="Send what is due now and end.")
def deliver_command(once: bool) -> None:
    """Send scores, and do what else waits for an LMS, until interrupted (for servers with
    GONGYU_WORKER=none)."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    works = app.extensions["works"]
    if once:
        click.echo(f"handled: {drain(app, works)}")
        return
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = EmbeddedWorker(app, works)
    worker.start()
    click.echo("delivering; stop with Ctrl-C")
    ended.wait()
    worker.stop()


@group.command("status")
def status() -> None:
    """Show for each platform what is not sent yet, and why."""
    with reading():
        for facts in queue_facts():
            click.echo(_line(facts))


def _line(facts: QueueFacts) -> str:
    now = utc_now()
    parts = [f"{facts.name} ({facts.status}): {facts.unsent} unsent, {facts.held} held"]
    if facts.oldest:
        parts.append(f"oldest {int((now - facts.oldest).total_seconds())} s")
    parts += [f"{outcome}: {count}" for outcome, count in sorted(facts.by_outcome.items())]
    if facts.blocked_until and facts.blocked_until > now:
        wait = int((facts.blocked_until - now).total_seconds())
        parts.append(f"resting {wait} s after {facts.failures} failures ({facts.last_error})")
    if facts.last_success_at:
        parts.append(f"last success {facts.last_success_at:%Y-%m-%d %H:%M:%S} UTC")
    return ", ".join(parts)
