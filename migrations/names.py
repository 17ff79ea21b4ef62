"""Which tables are Alembic's business."""

from __future__ import annotations

from typing import Any


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """All but the search index: on SQLite it is a virtual table with tables of its own behind it, so no model
    describes it, and what Alembic would make of the difference is to drop them."""
    return not (kind == "table" and (name or "").startswith("course_search"))
