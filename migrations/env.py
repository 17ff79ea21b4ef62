"""Runs the migrations with the application's engine; the same ones on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from lti_app.extensions import EnumText, UtcDateTime, db
from migrations.guard import refuse_lost_triggers, trigger_names
from migrations.names import include_name

PG_LOCK = 731_205_2026  # any number of our own: two deployments that start at once migrate one by one


def render_item(kind: str, item: Any, autogen_context: Any) -> Any:
    """Write column types as plain SQLAlchemy ones, so that old migrations never depend on today's code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, EnumText):
        return "sa.String(length=32)"
    return False


def run(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_as_batch=True,
        compare_type=True,
        include_name=include_name,
        render_item=render_item,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        if not sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PG_LOCK})
            connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        before = trigger_names(connection)
        context.run_migrations()
        refuse_lost_triggers(before, trigger_names(connection))
        if sqlite:
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration would leave broken references: {broken[:5]}")


def main() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # A batch rebuilds its table: with foreign keys on, dropping the old one would cascade. The pragma
            # is ignored inside a transaction, so it goes to the driver's connection before ours begins.
            connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=OFF")
        try:
            run(connection)
            connection.commit()
        finally:
            if connection.dialect.name == "sqlite":
                connection.rollback()
                connection.connection.dbapi_connection.execute("PRAGMA foreign_keys=ON")


main()
