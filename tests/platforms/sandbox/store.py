"""The sandbox's memory in one SQLite file: its key, columns, grades and every score it was sent.

One connection behind one lock is enough for a school of forty; each method is one transaction.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import school
from .tools import PickedItem, ToolEntry, registered

_TABLES = """
CREATE TABLE IF NOT EXISTS platform_key (kid TEXT PRIMARY KEY, pem TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS line_item (
  id TEXT PRIMARY KEY, course TEXT NOT NULL, label TEXT NOT NULL, maximum REAL NOT NULL,
  resource_id TEXT, tag TEXT, resource_link_id TEXT, starts TEXT, ends TEXT, made_by TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS grade (
  line_item TEXT NOT NULL REFERENCES line_item ON DELETE CASCADE, user TEXT NOT NULL,
  score REAL, comment TEXT, timestamp TEXT NOT NULL, activity TEXT, grading TEXT, submitted_at TEXT,
  overridden INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (line_item, user));
CREATE TABLE IF NOT EXISTS received_score (
  number INTEGER PRIMARY KEY AUTOINCREMENT, received_at TEXT NOT NULL, line_item TEXT NOT NULL,
  status INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tool (
  number INTEGER PRIMARY KEY AUTOINCREMENT, client_id TEXT NOT NULL UNIQUE, content TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS picked_link (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, course TEXT NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hint (hint TEXT PRIMARY KEY, made_at TEXT NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen_jti (jti TEXT PRIMARY KEY, seen_at TEXT NOT NULL);
"""

ATTENDANCE = "attendance"
HINT_LIFE = timedelta(minutes=10)
LONGEST_LIFE = timedelta(hours=1)
"""That of a request for content or a registration: people think in between."""

Row = Mapping[str, Any]


def now() -> str:
    """The time in the one form that is stored, so that text order is time order."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Store:
    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_TABLES)
        with self._transaction() as db:
            _plant(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> list[Row]:
        with self._lock:
            return [dict(row) for row in self._db.execute(query, values)]

    # The platform's key

    def key(self) -> str | None:
        """The private key in PEM, or None before the first start."""
        rows = self._rows("SELECT pem FROM platform_key")
        return rows[0]["pem"] if rows else None

    def set_key(self, kid: str, pem: str) -> None:
        """Make this the only key; the one before is gone, as after a rotation without overlap."""
        with self._transaction() as db:
            db.execute("DELETE FROM platform_key")
            db.execute("INSERT INTO platform_key VALUES (?, ?)", (kid, pem))

    # Launch hints and token assertions: both work once

    def add_hint(self, content: Mapping[str, Any]) -> str:
        hint = secrets.token_urlsafe(24)
        with self._transaction() as db:
            db.execute("DELETE FROM hint WHERE made_at < ?", (_ago(LONGEST_LIFE),))
            db.execute("INSERT INTO hint VALUES (?, ?, ?)", (hint, now(), json.dumps(content)))
        return hint

    def take_hint(self, hint: str, life: timedelta = HINT_LIFE) -> dict[str, Any] | None:
        """What `add_hint` was given, once; None for a hint that is unknown, used or older than `life`."""
        with self._transaction() as db:
            row = db.execute("DELETE FROM hint WHERE hint = ? RETURNING made_at, content", (hint,)).fetchone()
        return json.loads(row["content"]) if row and row["made_at"] >= _ago(life) else None

    def first_time(self, jti: str) -> bool:
        with self._transaction() as db:
            db.execute("DELETE FROM seen_jti WHERE seen_at < ?", (_ago(timedelta(days=1)),))
            return db.execute("INSERT OR IGNORE INTO seen_jti VALUES (?, ?)", (jti, now())).rowcount == 1

    # Tools that registered themselves

    def add_tool(self, sent: Any) -> ToolEntry:
        """Keep a registration, switched off. Raises Unusable."""
        client_id = f"tool-{secrets.token_hex(6)}"
        entry = registered(client_id, sent)
        with self._transaction() as db:
            db.execute("INSERT INTO tool (client_id, content) VALUES (?, ?)", (client_id, json.dumps(sent)))
        return entry

    def tools(self) -> list[ToolEntry]:
        rows = self._rows("SELECT * FROM tool ORDER BY number")
        entries = [(registered(row["client_id"], json.loads(row["content"])), row["active"]) for row in rows]
        return [replace(entry, active=bool(active)) for entry, active in entries]

    def switch_tool(self, client_id: str, *, active: bool) -> None:
        with self._transaction() as db:
            db.execute("UPDATE tool SET active = ? WHERE client_id = ?", (active, client_id))

    # Links: the school's own, and those that teachers picked

    def link(self, name: str) -> school.Link | None:
        return school.LINKS.get(name) or next((one for one in self._picked() if one.id == name), None)

    def links(self, course: str | None = None) -> list[school.Link]:
        everything = [*school.LINKS.values(), *self._picked()]
        return [link for link in everything if course in (None, link.course)]

    def add_links(self, course: str, items: list[PickedItem]) -> list[str]:
        """Make a link of each item, with its column where it brings one; returns the links' ids."""
        ids = []
        with self._transaction() as db:
            for item in items:
                name = f"picked-{secrets.token_hex(6)}"
                db.execute(
                    "INSERT INTO picked_link (id, course, content) VALUES (?, ?, ?)",
                    (name, course, json.dumps(asdict(item), ensure_ascii=False)),
                )
                if item.maximum is not None:
                    column = {"id": name, "course": course, "label": item.title, "maximum": item.maximum}
                    column |= {"resource_id": item.resource_id, "tag": item.tag}
                    _put(db, {**column, "resource_link_id": name, "made_by": "link"})
                ids.append(name)
        return ids

    def _picked(self) -> list[school.Link]:
        rows = self._rows("SELECT * FROM picked_link ORDER BY number")
        return [_picked_link(row["id"], row["course"], json.loads(row["content"])) for row in rows]

    # Columns

    def line_items(self, course: str | None = None, *, tools_only: bool = False) -> list[Row]:
        """The columns, oldest first; `tools_only` leaves out the school's own column."""
        return self._rows(
            "SELECT * FROM line_item WHERE (?1 IS NULL OR course = ?1)"
            " AND NOT (?2 AND made_by = 'school') ORDER BY rowid",
            course,
            tools_only,
        )

    def line_item(self, course: str, item: str) -> Row | None:
        """A column that the tool may see."""
        rows = self._rows(
            "SELECT * FROM line_item WHERE course = ? AND id = ? AND made_by <> 'school'", course, item
        )
        return rows[0] if rows else None

    def put_line_item(self, item: Mapping[str, Any]) -> None:
        """Insert the column, or replace all that is known about it (AGS 2.0: PUT replaces)."""
        with self._transaction() as db:
            _put(db, item)

    def delete_line_item(self, item: str) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM line_item WHERE id = ?", (item,))

    # Grades

    def grades(self, course: str | None = None) -> list[Row]:
        return self._rows(
            "SELECT grade.*, line_item.course, line_item.maximum, line_item.made_by FROM grade"
            " JOIN line_item ON line_item.id = grade.line_item WHERE (?1 IS NULL OR course = ?1)"
            " ORDER BY line_item.rowid, user",
            course,
        )

    def save_grade(self, grade: Mapping[str, Any]) -> bool:
        """Keep the grade unless a later one is there (then False). A teacher's own grade stays as it is."""
        with self._transaction() as db:
            old = db.execute(
                "SELECT timestamp, overridden FROM grade WHERE line_item = :line_item AND user = :user", grade
            ).fetchone()
            if old and old["timestamp"] > grade["timestamp"]:
                return False
            if old and old["overridden"]:
                return True
            db.execute(
                "INSERT OR REPLACE INTO grade VALUES (:line_item, :user, :score, :comment, :timestamp,"
                " :activity, :grading, :submitted_at, 0)",
                grade,
            )
            return True

    def override_grade(self, item: str, user: str, score: float | None) -> None:
        """A teacher's grade, which no tool changes any more; None gives the cell back to the tool."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO grade (line_item, user, score, timestamp, overridden) VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT DO UPDATE SET score = ?3, timestamp = ?4, overridden = ?5",
                (item, user, score, now(), score is not None),
            )

    # What was received

    def note_score(self, item: str, status: int, body: Any) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO received_score (received_at, line_item, status, body) VALUES (?, ?, ?, ?)",
                (now(), item, status, json.dumps(body, ensure_ascii=False)),
            )

    def received_scores(self) -> list[Row]:
        rows = self._rows("SELECT * FROM received_score ORDER BY number")
        return [{**row, "body": json.loads(row["body"])} for row in rows]

    def reset(self) -> None:
        """Back to the first day; the platform's key stays, so that tools need not be told."""
        with self._transaction() as db:
            for table in ("grade", "line_item", "received_score", "hint", "seen_jti", "tool", "picked_link"):
                db.execute(f"DELETE FROM {table}")
            _plant(db)


def _ago(span: timedelta) -> str:
    return stamp(datetime.now(UTC) - span)


def _picked_link(name: str, course: str, item: dict[str, Any]) -> school.Link:
    return school.Link(
        id=name,
        course=course,
        section="老师添加的内容",
        title=item["title"],
        about=item["about"],
        slug=None,
        maximum=item["maximum"],
        custom=tuple(item["custom"].items()),
    )


def _plant(db: sqlite3.Connection) -> None:
    """The columns of the links and the school's own attendance column, where they are missing."""
    known = {row["id"] for row in db.execute("SELECT id FROM line_item")}
    for link in school.LINKS.values():
        if link.maximum is not None and link.id not in known:
            _put(
                db,
                {
                    "id": link.id,
                    "course": link.course,
                    "label": link.title,
                    "maximum": link.maximum,
                    "resource_link_id": link.id,
                    "made_by": "link",
                },
            )
    for course in school.COURSES:
        item = f"{course}-{ATTENDANCE}"
        if item not in known:
            _put(db, {"id": item, "course": course, "label": "家长会签到", "maximum": 4, "made_by": "school"})
            _attend(db, course, item)


def _attend(db: sqlite3.Connection, course: str, item: str) -> None:
    for number, person in enumerate(school.gradable(course)):
        if person.id.startswith("parent-"):
            db.execute(
                "INSERT INTO grade (line_item, user, score, timestamp, grading) VALUES (?, ?, ?, ?, 'FullyGraded')",
                (item, person.id, 4 - number % 3, "2026-10-16T11:30:00.000000Z"),
            )


def _put(db: sqlite3.Connection, item: Mapping[str, Any]) -> None:
    columns = ("resource_id", "tag", "resource_link_id", "starts", "ends")
    db.execute(
        "INSERT INTO line_item (id, course, label, maximum, resource_id, tag, resource_link_id, starts, ends,"
        " made_by) VALUES (:id, :course, :label, :maximum, :resource_id, :tag, :resource_link_id, :starts,"
        " :ends, :made_by) ON CONFLICT (id) DO UPDATE SET label = :label, maximum = :maximum,"
        " resource_id = :resource_id, tag = :tag, resource_link_id = :resource_link_id, starts = :starts,"
        " ends = :ends",
        {**dict.fromkeys(columns), **item},
    )
