"""`flask worker`: the works as a process of their own."""

from __future__ import annotations

import signal
import threading

import click
from flask import current_app

from lti_app.delivery.worker import EmbeddedWorker

# A token and a score may take 30 s each until they time out.
STOP_SECONDS = 65.0


@click.command("worker")
@click.option("--threads", type=click.IntRange(1, 200), help="Platforms served side by side.")
def worker(threads: int | None) -> None:
    """Send scores, and do what else waits for an LMS, until SIGTERM or Ctrl-C (for servers with
    GONGYU_WORKER=none). Then calls in flight are finished and written down first."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threads = threads or app.config["SETTINGS"].delivery_threads
    embedded = EmbeddedWorker(app, app.extensions["works"], threads=threads)
    # So that what this process itself commits is looked at without delay.
    app.extensions["embedded_worker"] = embedded
    embedded.start()
    click.echo("delivering; stop with Ctrl-C")
    ended.wait()
    embedded.stop(STOP_SECONDS)
