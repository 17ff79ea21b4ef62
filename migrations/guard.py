"""The ledger's triggers: a SQLite batch on their table drops them silently, so each run counts them."""

from __future__ import annotations

from sqlalchemy import Connection, text


def trigger_names(connection: Connection) -> set[str]:
    """The names of all triggers of the database."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
    else:
        rows = connection.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"))
    return {name for (name,) in rows}


def refuse_lost_triggers(before: set[str], after: set[str]) -> None:
    """Raise RuntimeError when a migration lost a trigger that stood before it."""
    lost = before - after
    if lost:
        raise RuntimeError(f"the migration lost triggers; re-create them in it: {sorted(lost)}")
