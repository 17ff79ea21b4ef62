"""The triggers that make `credit_entry` append-only, for every migration that touches its table.

Plain UPDATE and DELETE triggers are not enough: SQLite's INSERT OR REPLACE deletes without firing them
unless `recursive_triggers` is on, and PostgreSQL's TRUNCATE fires none of them (both tried).
"""

from __future__ import annotations

from alembic import op

SQLITE = (
    """CREATE TRIGGER credit_entry_no_update BEFORE UPDATE ON credit_entry
       BEGIN SELECT RAISE(ABORT, 'credit_entry is append-only'); END""",
    """CREATE TRIGGER credit_entry_no_delete BEFORE DELETE ON credit_entry
       BEGIN SELECT RAISE(ABORT, 'credit_entry is append-only'); END""",
    """CREATE TRIGGER credit_entry_no_replace BEFORE INSERT ON credit_entry
       WHEN EXISTS (SELECT 1 FROM credit_entry WHERE id = NEW.id)
         OR EXISTS (SELECT 1 FROM credit_entry WHERE account_id = NEW.account_id
                    AND source_kind = NEW.source_kind AND source_id = NEW.source_id
                    AND revision = NEW.revision)
       BEGIN SELECT RAISE(ABORT, 'credit_entry is append-only: this entry exists'); END""",
)
POSTGRES = (
    """CREATE OR REPLACE FUNCTION credit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'credit_entry is append-only' USING ERRCODE = 'restrict_violation'; END $$""",
    """CREATE TRIGGER credit_entry_no_change BEFORE UPDATE OR DELETE ON credit_entry
       FOR EACH ROW EXECUTE FUNCTION credit_entry_refuse()""",
    """CREATE TRIGGER credit_entry_no_truncate BEFORE TRUNCATE ON credit_entry
       FOR EACH STATEMENT EXECUTE FUNCTION credit_entry_refuse()""",
)


def create_triggers() -> None:
    """Create the triggers in the database that is being migrated."""
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES:
        op.execute(statement)
