"""Alembic migrations; they import table metadata only and move data in plain SQL."""
