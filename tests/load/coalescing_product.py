"""One score that changes many times while its platform is away, and is sent when it is back.

    python -m tests.load.coalescing_product --changes N --platform URL

The product's settings are in the environment. A worker looks for work after every change. Prints what the platform
got: `posts` it stored, `refused` while it was away, and what it `shows`.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from typing import Any

from flask import Flask
from sqlalchemy import select, update

from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.services import unblock
from lti_app.delivery.worker import drain
from lti_app.extensions import db
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import Score
from lti_app.registrations.models import Registration
from tests.load.deliver_product import make_due
from tests.load.scores import Task, subject


def change_often(changes: int, platform: str) -> dict[str, Any]:
    """What the platform got of `changes` changes of one score."""
    app = create_app()
    before = _ask(platform, "/state")
    _ask(platform, "/down", b"")
    for number in range(changes):
        with app.app_context():
            make_due(Task(scores=1, turn=1000 + number, platform=platform))
        drain(app, [deliver])
    _ask(platform, "/up", b"")
    _try_again(app)
    after = _ask(platform, "/state")
    return {
        "changes": changes,
        "posts": after["scores"] - before["scores"],
        "refused": after["refused"] - before["refused"],
        "shows": _ask(platform, f"/shown/{subject(0)}"),
        "wanted": (5000 + 1000 + changes - 1) / 100,
    }


def _try_again(app: Flask) -> None:
    """What "try again now" does."""
    with app.app_context():
        unblock(db.session.scalars(select(Registration.id)).one())
        db.session.execute(update(Score).where(Score.due_at.is_not(None)).values(due_at=utc_now()))
        db.session.commit()
    drain(app, [deliver])


def _ask(platform: str, path: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(platform + path, body), timeout=5) as answer:
        return json.load(answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, required=True)
    parser.add_argument("--platform", required=True)
    chosen = parser.parse_args()
    print(json.dumps(change_often(chosen.changes, chosen.platform)))
