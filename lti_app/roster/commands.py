"""`flask roster …`: reading rosters at once, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from flask import current_app
from sqlalchemy import Row, null, select

from lti_app.delivery.services import reading
from lti_app.delivery.worker import drain
from lti_app.errors import OperatorGroup
from lti_app.extensions import db
from lti_app.registrations.models import Registration
from lti_app.roster.models import Context, ResourceLink
from lti_app.roster.reading import read_rosters
from lti_app.roster.sync import ask
from lti_app.roster.sync_models import RosterSync, SyncState

group = OperatorGroup("roster", help="Who is in the classes, as the LMSs say.")


@group.command("sync")
@click.option("--platform", help="Only classes of this platform (its name here).")
@click.option("--context", "context_id", help="Only the class with this id in the LMS.")
@click.option("--link", "link_id", help="Read who may open the link with this id in the LMS instead.")
def sync_command(platform: str | None, context_id: str | None, link_id: str | None) -> None:
    """Read rosters now, of all classes whose LMS told where they are."""
    found = _targets(platform, context_id, link_id)
    if not found:
        raise click.ClickException(
            "no class matches that has told where its roster is; it does when a teacher or pupil opens it"
        )
    for target in found:
        ask(target.registration_id, target.context_pk, target.link_pk, at_once=True)
    db.session.commit()
    drain(current_app._get_current_object(), [read_rosters])  # type: ignore[attr-defined]
    with reading():
        wanted = {(target.context_pk, target.link_pk) for target in found}
        rows = [
            row for row in _rows() if (row.RosterSync.context_pk, row.RosterSync.resource_link_pk) in wanted
        ]
    for row in rows:
        click.echo(_line(row))
    if any(row.RosterSync.state is SyncState.FAILED for row in rows):
        raise SystemExit(1)


@group.command("status")
def status() -> None:
    """Show for each class when its roster was read, and what became of it."""
    with reading():
        for row in _rows():
            click.echo(_line(row))


def _targets(platform: str | None, context_id: str | None, link_id: str | None) -> Sequence[Row[Any]]:
    link_pk = ResourceLink.id if link_id is not None else null()
    query: Any = (
        select(Context.registration_id, Context.id.label("context_pk"), link_pk.label("link_pk"))
        .join(Registration, Registration.id == Context.registration_id)
        .join(ResourceLink, ResourceLink.context_pk == Context.id)
        .where(ResourceLink.nrps_url.is_not(None))
        .distinct()
    )
    for column, wanted in (
        (Registration.name, platform),
        (Context.context_id, context_id),
        (ResourceLink.resource_link_id, link_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    rows: Sequence[Row[Any]] = db.session.execute(query).all()
    return rows


def _rows() -> Sequence[Row[Any]]:
    query: Any = (
        select(RosterSync, Registration.name, Context.context_id, ResourceLink.resource_link_id)
        .join(Registration, Registration.id == RosterSync.registration_id)
        .join(Context, Context.id == RosterSync.context_pk)
        .outerjoin(ResourceLink, ResourceLink.id == RosterSync.resource_link_pk)
        .order_by(Registration.name, Context.context_id, ResourceLink.resource_link_id)
    )
    rows: Sequence[Row[Any]] = db.session.execute(query).all()
    return rows


def _line(row: Row[Any]) -> str:
    sync: RosterSync = row.RosterSync
    place = f"{row.name}, class {row.context_id}"
    if row.resource_link_id is not None:
        place += f", link {row.resource_link_id}"
    parts = [f"{place}: {sync.state}" + (f" ({sync.code})" if sync.code else "")]
    if sync.run:
        parts.append(f"{sync.seen} members, {sync.added} new, {sync.changed} changed")
        parts.append(f"{sync.gone} {'would leave' if sync.state is SyncState.HELD else 'left'}")
    if sync.unreadable:
        parts.append(f"{sync.unreadable} unreadable")
    for word, moment in (("read", sync.finished_at), ("next", sync.due_at)):
        if moment is not None:
            parts.append(f"{word} {moment:%Y-%m-%d %H:%M} UTC")
    return ", ".join(parts)
