"""The product delivering as operators run it: gunicorn with embedded workers, or Celery with a Redis of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.load import targets
from tests.load.rounds import MeasurementFailed
from tests.load.targets import Instance, Platform
from tests.platforms.process import ROOT, free_port

EMBEDDED, CELERY = "embedded", "celery"
Deliverers = Callable[[Instance, Platform], "contextlib.AbstractContextManager[list[int]]"]
"""Runs the product's processes until the block ends; gives the pids of those that have no parent among them."""


def ways() -> dict[str, Deliverers]:
    """How the product can be run here: Celery needs a Redis server on this machine."""
    found: dict[str, Deliverers] = {EMBEDDED: embedded}
    if shutil.which("redis-server"):
        found[CELERY] = celery
    return found


@contextlib.contextmanager
def embedded(instance: Instance, lms: Platform) -> Iterator[list[int]]:
    """gunicorn with two processes that deliver beside serving."""
    working = replace(instance, environment={**instance.environment, "GONGYU_WORKER": "embedded"})
    with targets.product(working, lms) as tool:
        yield [tool.pid]


@contextlib.contextmanager
def celery(instance: Instance, lms: Platform) -> Iterator[list[int]]:
    """Two Celery workers and a beat, with a Redis of their own as broker and for tokens."""
    folder = lms.folder
    port = free_port()
    broker = f"redis://127.0.0.1:{port}/0"
    environment = {**instance.environment, "GONGYU_WORKER": "celery"}
    # At INFO a worker says when it is ready.
    environment |= {"GONGYU_BROKER_URL": broker, "GONGYU_REDIS_URL": broker, "GONGYU_LOG_LEVEL": "INFO"}
    redis = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    app = [str(targets.BIN / "celery"), "--app", "lti_app.celery"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process(redis, {}, folder / "redis.log", "Ready to accept"))
        pids = [
            stack.enter_context(
                _process(
                    [*app, "worker", "--hostname", f"w{n}@load"],
                    environment,
                    folder / f"worker-{n}.log",
                    "ready",
                )
            )
            for n in range(2)
        ]
        pids.append(stack.enter_context(_process([*app, "beat"], environment, folder / "beat.log", "")))
        yield pids


@contextlib.contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str], log: Path, ready: str) -> Iterator[int]:
    """Run a command until the block ends; it starts when the log says `ready`. Gives its pid."""
    log.unlink(missing_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            _wait_for_words(process, log, ready)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_words(process: subprocess.Popen[bytes], log: Path, words: str) -> None:
    until = time.monotonic() + 60
    while words not in log.read_text():
        if process.poll() is not None or time.monotonic() > until:
            raise MeasurementFailed(f"{process.args!r} is not ready\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
