"""course search

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from migrations.search_index import tokens, vector

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_course_theme_title"), "course", ["theme", "title"])
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:
        # The tokens come ready-made: "ascii" parts them at blanks and takes every other script as it is.
        op.execute("CREATE VIRTUAL TABLE course_search USING fts5(title, topic, summary, tokenize = 'ascii')")
    else:
        op.create_table(
            "course_search",
            sa.Column("course_id", sa.BigInteger(), nullable=False),
            sa.Column("tokens", TSVECTOR(), nullable=False),
            sa.ForeignKeyConstraint(
                ["course_id"],
                ["course.id"],
                name=op.f("fk_course_search_course_id_course"),
                ondelete="CASCADE",
            ),
            sa.PrimaryKeyConstraint("course_id", name=op.f("pk_course_search")),
        )
        # Courses are written seldom and sought often: without a list of changes that every search has to read.
        op.create_index(
            op.f("ix_course_search_tokens"),
            "course_search",
            ["tokens"],
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        )
    _index_what_is_there(sqlite)


def _index_what_is_there(sqlite: bool) -> None:
    insert = sa.text(
        "INSERT INTO course_search (rowid, title, topic, summary) VALUES (:id, :title, :topic, :summary)"
        if sqlite
        else "INSERT INTO course_search (course_id, tokens) VALUES (:id, CAST(:tokens AS tsvector))"
    )
    connection = op.get_bind()
    courses = connection.execute(sa.text("SELECT id, title, theme, brand, summary FROM course"))
    for part in courses.partitions(500):
        rows = []
        for course in part:
            topic = f"{course.theme} {course.brand or ''}"
            fields = {
                "title": tokens(course.title),
                "topic": tokens(topic),
                "summary": tokens(course.summary),
            }
            if sqlite:
                rows.append({"id": course.id, **{name: " ".join(row) for name, row in fields.items()}})
            else:
                rows.append({"id": course.id, "tokens": vector(fields.values())})
        connection.execute(insert, rows)
