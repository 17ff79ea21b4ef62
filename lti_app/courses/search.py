"""Finding courses by words: our own tokens, in SQLite's FTS5 and in PostgreSQL's tsvector.

Neither database cuts Chinese into words, and PostgreSQL's parser drops it altogether where the locale is C. So
both get tokens that are made here, and their own parsers never see a text. Each Chinese character is a token
together with the one after it (亲子共读: 亲子 子共 共读 读), each word of other scripts is one. A search for two
or more characters is then a row of such tokens, and one for a single character is the beginning of a token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, case, cast, column, false, literal, select, table, text
from sqlalchemy.dialects.postgresql import TSQUERY

from lti_app.courses.models import Course
from lti_app.extensions import db

LONGEST = 200
"""Characters of a search that are looked at."""
MOST_WORDS = 8
AT_ONCE = 500

# Scripts that are written without blanks between words, as ranges of code points.
_WITHOUT_BLANKS = (
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),  # 々〆〇
    (0x3040, 0x31FF),  # kana, bopomofo, strokes
    (0x3400, 0xA4CF),  # Chinese characters, Yi
    (0xAC00, 0xD7AF),  # Hangul
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),  # rarer Chinese characters
)
# SQLite: an FTS5 table, its rowid the course's id, each field's tokens divided by blanks.
# PostgreSQL: course_id, and one tsvector for all fields, which are its weights A, B and C.
_INDEX = table(
    "course_search", column("rowid"), column("course_search"), column("course_id"), column("tokens")
)
_FIELDS = ("title", "topic", "summary")
_WEIGHTS = "ABC"
_REPLACE = {
    "sqlite": [
        text("DELETE FROM course_search WHERE rowid = :id"),
        text(
            "INSERT INTO course_search (rowid, title, topic, summary) VALUES (:id, :title, :topic, :summary)"
        ),
    ],
    "postgresql": [
        text(
            "INSERT INTO course_search (course_id, tokens) VALUES (:id, CAST(:tokens AS tsvector))"
            " ON CONFLICT (course_id) DO UPDATE SET tokens = excluded.tokens"
        ),
    ],
}


def index_courses(courses: Iterable[Course]) -> None:
    """Make these courses, which have their ids, findable by what they say now; the caller commits."""
    rows = [_index_row(course) for course in courses]
    for statement in _REPLACE[_dialect()] if rows else ():
        db.session.execute(statement, rows)


def reindex() -> int:
    """Index all courses anew and say how many there are; the caller commits."""
    done = 0
    # Locked: an import of the same moment must not be overwritten with what stood there before it.
    for part in db.session.scalars(select(Course).with_for_update()).partitions(AT_ONCE):
        index_courses(part)
        done += len(part)
    return done


def having(query: Select[Any], words: str) -> Select[Any]:
    """`query`, which selects from Course, narrowed to courses that hold every word of `words`.

    A word is found anywhere in a Chinese text, elsewhere at the beginning of a word. `words` are never syntax.
    """
    asked = phrases(words)
    if not asked:
        return query.where(false())
    if _dialect() == "sqlite":
        # Never a join: with one, SQLite may take the courses first and ask FTS5 again for each.
        return query.where(_found_among(asked, _FIELDS))
    return query.join(_INDEX, _INDEX.c.course_id == Course.id).where(_match(asked, _FIELDS))


def nearness(words: str) -> ColumnElement[int]:
    """For the order of a query made by `having`: 0 where the title holds every word, 1 where title and topic
    do, else 2."""
    asked = phrases(words)
    if not asked:
        return literal(0)
    return case((_within(asked, _FIELDS[:1]), 0), (_within(asked, _FIELDS[:2]), 1), else_=2)


def tokens(words: str) -> list[str]:
    """The tokens of a text, in its order: lower case, full width and the like made plain (NFKC)."""
    return [token for run in _runs(words) for token in _tokens_of(run, whole=True)]


def phrases(words: str) -> list[list[str]]:
    """What each word of a search asks for: tokens that follow each other, the last one as a beginning.

    Words of nothing but punctuation are left out.
    """
    found = []
    for word in words[:LONGEST].split()[:MOST_WORDS]:
        runs = _runs(word)
        row = [token for run in runs[:-1] for token in _tokens_of(run, whole=True)]
        found.append(row + [token for run in runs[-1:] for token in _tokens_of(run, whole=False)])
    return [row for row in found if row]


def _runs(words: str) -> list[str]:
    """Unbroken stretches of characters without blanks between words, and of other letters and digits."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", words).casefold())
    return ["".join(run) for kind, run in groupby(plain, _kind) if kind]


def _kind(character: str) -> int:
    """0: parts words; 1: of a word; 2: of a script without blanks."""
    if unicodedata.category(character)[0] not in "LMN":
        return 0
    return 2 if any(first <= ord(character) <= last for first, last in _WITHOUT_BLANKS) else 1


def _tokens_of(run: str, *, whole: bool) -> list[str]:
    """`whole`: with the last character alone, as it stands in the index."""
    if _kind(run[0]) == 1:
        return [run]
    pairs = [run[at : at + 2] for at in range(len(run))]
    return pairs if whole or len(run) == 1 else pairs[:-1]


def _dialect() -> str:
    return db.engine.dialect.name


def _index_row(course: Course) -> dict[str, Any]:
    topic = f"{course.theme} {course.brand or ''}"
    fields = [tokens(field) for field in (course.title, topic, course.summary)]
    if _dialect() == "sqlite":
        return {"id": course.id, **dict(zip(_FIELDS, map(" ".join, fields), strict=True))}
    return {"id": course.id, "tokens": _vector(fields)}


def _vector(fields: Sequence[Sequence[str]]) -> str:
    """A tsvector as PostgreSQL reads it. Between two fields a position stays free: no phrase spans them."""
    at, entries = 0, []
    for weight, row in zip(_WEIGHTS, fields, strict=True):
        entries += [f"'{token}':{at + number}{weight}" for number, token in enumerate(row, 1)]
        at += len(row) + 1
    return " ".join(entries)


def _match(asked: Sequence[Sequence[str]], fields: Sequence[str]) -> ColumnElement[bool]:
    # Tokens hold letters, marks and digits only, so nothing in them can end a quotation. All fields are not
    # named: PostgreSQL's index does not know the weights, and would have to read every row that it finds.
    some = len(fields) < len(_FIELDS)
    if _dialect() == "sqlite":
        every = " AND ".join(f'"{" ".join(row)}" *' for row in asked)
        columns = f"{{{' '.join(fields)}}} : " if some else ""
        matches: ColumnElement[bool] = _INDEX.c.course_search.match(f"{columns}({every})")
    else:
        weights = _WEIGHTS[: len(fields)] if some else ""
        every = " & ".join(f"({_phrase(row, weights)})" for row in asked)
        matches = _INDEX.c.tokens.bool_op("@@")(cast(every, TSQUERY))
    return matches


def _phrase(row: Sequence[str], weights: str) -> str:
    parts = [f"'{token}'" + (f":{weights}" if weights else "") for token in row[:-1]]
    return " <-> ".join([*parts, f"'{row[-1]}':*{weights}"])


def _within(asked: Sequence[Sequence[str]], fields: Sequence[str]) -> ColumnElement[bool]:
    """Whether a course that was found would also be by these fields alone."""
    return _found_among(asked, fields) if _dialect() == "sqlite" else _match(asked, fields)


def _found_among(asked: Sequence[Sequence[str]], fields: Sequence[str]) -> ColumnElement[bool]:
    return Course.id.in_(select(_INDEX.c.rowid).where(_match(asked, fields)))
