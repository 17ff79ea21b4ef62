"""How large a table may be that somebody sends, and the error when it is not one that we read."""

from __future__ import annotations

from integrations.errors import IntegrationError

MAX_BYTES = 5 * 1024 * 1024
MAX_ROWS = 20_000
MAX_COLUMNS = 60
MAX_TEXT = 20_000_000
"""Characters of all cells together."""


class UnreadableTable(IntegrationError):
    """The file is no table that we read. Codes: too-big, too-many-rows, too-many-columns, old-format,
    has-macros, damaged, unknown-encoding, not-a-table, empty."""
