"""The product's worker as a process of its own, in a hurry: leases of seconds instead of a minute and a half,
waits of half a second instead of minutes. Nothing else differs from production.

    python -m tests.faults.tool                          # the embedded worker, as a web process has it
    flask --app tests.faults.tool:make_app worker        # the worker's own command
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from types import FrameType

from flask import Flask

import lti_app.delivery.services
import lti_app.delivery.turns
import lti_app.delivery.worker
from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.gradebook.policy import STEPS
from tests.faults.stage import LONGEST_WAIT


def make_app() -> Flask:
    lti_app.delivery.turns.LEASE_SECONDS = float(os.environ["TEST_LEASE_SECONDS"])
    lti_app.delivery.worker.TROUBLE_SECONDS = 1.0
    lti_app.delivery.services.FIRST_WAIT = 0.2
    lti_app.delivery.services.LONGEST_WAIT = LONGEST_WAIT
    for outcome, step in STEPS.items():
        if step.first is not None:
            STEPS[outcome] = dataclasses.replace(step, first=min(step.first, 0.5), longest=LONGEST_WAIT)
    return create_app(http=PlatformHttp(timeouts=(1.0, 1.0), seconds=1.5))


def main() -> None:
    done = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, leave)
    make_app()
    while not done.wait(0.2):
        pass
    sys.exit(0)


if __name__ == "__main__":
    main()
