"""Counting deliveries by outcome: exact, in the transaction that writes the outcomes down."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete

from lti_app.delivery.models import SINCE_EVER, DeliveryTally
from lti_app.extensions import db, insert_into

WINDOW = timedelta(minutes=10)
KEPT = timedelta(days=2)
_PRUNE_ONE_IN = 200


def count(registration_id: int, counts: Mapping[str, int], now: datetime) -> None:
    """Add to the present window of ten minutes and to the sum since ever. Now and then forgets windows older
    than two days."""
    rows = [
        {"registration_id": registration_id, "bucket": bucket, "outcome": str(outcome), "count": number}
        for bucket in (SINCE_EVER, window_of(now))
        for outcome, number in sorted(counts.items())
        if number
    ]
    if not rows:
        return
    statement = insert_into(DeliveryTally)
    added = DeliveryTally.count + statement.excluded.count
    db.session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=["registration_id", "bucket", "outcome"], set_={"count": added}
        ),
        rows,
    )
    if random.randrange(_PRUNE_ONE_IN) == 0:
        prune(registration_id, now)


def window_of(now: datetime) -> datetime:
    """The beginning of the window that `now` falls in."""
    return now - timedelta(minutes=now.minute % 10, seconds=now.second, microseconds=now.microsecond)


def prune(registration_id: int, now: datetime) -> None:
    """Forget the registration's windows older than two days."""
    db.session.execute(
        delete(DeliveryTally).where(
            DeliveryTally.registration_id == registration_id,
            DeliveryTally.bucket < now - KEPT,
            DeliveryTally.bucket != SINCE_EVER,
        )
    )
