"""Keeping an uploaded list between its preview and its use: encrypted, for one login, for a day."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from flask import current_app
from sqlalchemy import delete, select
from sqlalchemy.orm import defer

from lti_app.accounts.access import Reach
from lti_app.accounts.models import BatchKind, ImportBatch
from lti_app.clock import utc_now
from lti_app.delivery.turns import Turn
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.roster.models import LtiUser

LIFE = timedelta(hours=24)
MOST = 5
"""Lists that one login may have waiting; the oldest goes."""


def keep(reach: Reach, kind: BatchKind, body: dict[str, Any]) -> ImportBatch:
    """Store a list, and delete those that nobody may open any more."""
    sweep()
    own = select(ImportBatch.id).where(ImportBatch.lti_user_pk == reach.lti_user_pk)
    for old in db.session.scalars(own.order_by(ImportBatch.id.desc()).offset(MOST - 1)).all():
        db.session.execute(delete(ImportBatch).where(ImportBatch.id == old))
    batch = ImportBatch(
        school_id=reach.school_id,
        lti_user_pk=reach.lti_user_pk,
        kind=kind,
        body=_sealed(body),
        expires_at=utc_now() + LIFE,
    )
    db.session.add(batch)
    db.session.flush()  # its number
    return batch


def open_batch(batch_id: int, reach: Reach, kind: BatchKind) -> tuple[ImportBatch, dict[str, Any]]:
    """A list of this login and its content. Raises NotHere for any other, and for one that has expired."""
    batch = db.session.scalar(_own(reach).where(ImportBatch.id == batch_id, ImportBatch.kind == kind))
    if batch is None:
        raise NotHere()
    try:
        body: dict[str, Any] = json.loads(zlib.decompress(_fernet().decrypt(batch.body)))
    except InvalidToken as error:  # the key of the installation was changed meanwhile
        raise NotHere() from error
    return batch, body


def waiting(reach: Reach) -> Sequence[ImportBatch]:
    """The lists of this login that can still be opened, the newest first, without their content."""
    query = _own(reach).options(defer(ImportBatch.body))
    return db.session.scalars(query.order_by(ImportBatch.id.desc())).all()


def replace(batch: ImportBatch, body: dict[str, Any]) -> None:
    """Store the content anew."""
    batch.body = _sealed(body)


def discard(batch: ImportBatch) -> None:
    """Delete a list with everything in it, for instance when its passwords were handed out."""
    db.session.delete(batch)


def sweep() -> int:
    """Delete the lists whose day is over; returns how many."""
    gone = db.session.execute(delete(ImportBatch).where(ImportBatch.expires_at <= utc_now()))
    return int(gone.rowcount)  # type: ignore[attr-defined]


class Forgetting:
    """The work of the delivery worker that deletes lists whose day is over, also when nobody comes back."""

    name = "lists"

    def due(self, now: datetime) -> Sequence[int]:
        """Registrations whose people left such lists."""
        query = select(LtiUser.registration_id).join(ImportBatch, ImportBatch.lti_user_pk == LtiUser.id)
        return db.session.scalars(query.where(ImportBatch.expires_at <= now).distinct()).all()

    def serve(self, turn: Turn) -> int:
        """Delete them all."""
        gone = sweep()
        db.session.commit()
        return gone


forget = Forgetting()


def _own(reach: Reach) -> Any:
    return select(ImportBatch).where(
        ImportBatch.lti_user_pk == reach.lti_user_pk,
        ImportBatch.school_id == reach.school_id,
        ImportBatch.expires_at > utc_now(),
    )


def _sealed(body: dict[str, Any]) -> bytes:
    return _fernet().encrypt(zlib.compress(json.dumps(body, ensure_ascii=False).encode()))


def _fernet() -> Fernet:
    return Fernet(current_app.config["SETTINGS"].key_encryption_key)
