"""reconciliation

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    _line_item()
    _score()
    _delivery()


def _line_item() -> None:
    with op.batch_alter_table("line_item") as batch:
        batch.add_column(sa.Column("context_pk", number, nullable=True))
        batch.add_column(sa.Column("kind", sa.String(length=32), nullable=True))
        batch.add_column(sa.Column("term_id", number, nullable=True))
        batch.add_column(sa.Column("target", number, nullable=True))
        batch.add_column(sa.Column("tag", sa.String(length=255), nullable=True))
        batch.add_column(sa.Column("made_by_us", sa.Boolean(), nullable=True))
        batch.add_column(sa.Column("maximum", number, nullable=True))
        for name in ("starts_at", "ends_at", "released_at", "due_at", "reading_began_at", "read_at"):
            batch.add_column(sa.Column(name, moment, nullable=True))
        for name in ("keeps", "sends", "reading"):
            batch.add_column(sa.Column(name, sa.String(length=32), nullable=True))
        for name in ("paused", "wants_edit", "wants_deletion"):
            batch.add_column(sa.Column(name, sa.Boolean(), nullable=True))
        batch.add_column(sa.Column("attempts", number, nullable=True))
        batch.add_column(sa.Column("reading_error", sa.String(length=64), nullable=True))
    # The class of a link's column is the link's. Columns that hold scores are read for the first time soon after.
    op.execute(
        "UPDATE line_item SET kind = 'link', keeps = 'latest', sends = 'at-once', reading = 'never', attempts = 0,"
        " made_by_us = false, paused = false, wants_edit = false, wants_deletion = false,"
        " context_pk = (SELECT context_pk FROM resource_link WHERE resource_link.id = line_item.resource_link_pk)"
    )
    with op.batch_alter_table("line_item") as batch:
        batch.alter_column("resource_link_pk", existing_type=number, nullable=True)
        batch.alter_column("context_pk", existing_type=number, nullable=False)
        batch.alter_column("attempts", existing_type=number, nullable=False)
        for name in ("kind", "keeps", "sends", "reading"):
            batch.alter_column(name, existing_type=sa.String(length=32), nullable=False)
        for name in ("made_by_us", "paused", "wants_edit", "wants_deletion"):
            batch.alter_column(name, existing_type=sa.Boolean(), nullable=False)
        batch.create_foreign_key(op.f("fk_line_item_context_pk_context"), "context", ["context_pk"], ["id"])
        batch.create_foreign_key(op.f("fk_line_item_term_id_term"), "term", ["term_id"], ["id"])
        batch.create_unique_constraint(op.f("uq_line_item_context_pk_term_id"), ["context_pk", "term_id"])
        batch.create_check_constraint(
            op.f("ck_line_item_link_has_a_link"), "(kind = 'link') = (resource_link_pk IS NOT NULL)"
        )
        batch.create_check_constraint(
            op.f("ck_line_item_credits_have_a_term"),
            "(kind = 'credits') = (term_id IS NOT NULL AND target IS NOT NULL)",
        )
        batch.create_check_constraint(op.f("ck_line_item_target_above_zero"), "target IS NULL OR target > 0")
    op.create_index("ix_line_item_due", "line_item", ["registration_id", "due_at", "id"])
    op.create_index(op.f("ix_line_item_context_pk"), "line_item", ["context_pk"])


def _score() -> None:
    with op.batch_alter_table("score") as batch:
        for name in ("sent_final", "in_doubt"):
            batch.add_column(sa.Column(name, sa.Boolean(), nullable=True))
        for name in ("seen_at", "insisted_at"):
            batch.add_column(sa.Column(name, moment, nullable=True))
        for name in ("seen_given", "seen_maximum"):
            batch.add_column(sa.Column(name, number, nullable=True))
        batch.add_column(sa.Column("difference", sa.String(length=32), nullable=True))
    # Only final grades were ever sent until now.
    op.execute("UPDATE score SET sent_final = (sent_at IS NOT NULL), in_doubt = false")
    # What was given up after 14 days is tried again, as everything that may succeed is from now on.
    op.execute(
        "UPDATE score SET due_at = CURRENT_TIMESTAMP WHERE state = 'held' AND due_at IS NULL"
        " AND outcome IN ('not-gradable', 'locked', 'misconfigured')"
    )
    with op.batch_alter_table("score") as batch:
        for name in ("sent_final", "in_doubt"):
            batch.alter_column(name, existing_type=sa.Boolean(), nullable=False)


def _delivery() -> None:
    with op.batch_alter_table("delivery_slot") as batch:
        batch.add_column(sa.Column("offered_until", moment, nullable=True))
        batch.add_column(sa.Column("clock_ahead", number, nullable=True))
    op.execute("UPDATE delivery_slot SET clock_ahead = 0")
    with op.batch_alter_table("delivery_slot") as batch:
        batch.alter_column("clock_ahead", existing_type=number, nullable=False)
    op.create_table(
        "delivery_tally",
        sa.Column("registration_id", number, nullable=False),
        sa.Column("bucket", moment, nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("count", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_delivery_tally_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("registration_id", "bucket", "outcome", name=op.f("pk_delivery_tally")),
    )
    op.create_table(
        "failed_exchange",
        sa.Column("registration_id", number, autoincrement=False, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", number, nullable=True),
        sa.Column("content_type", sa.String(length=120), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_failed_exchange_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_failed_exchange")),
    )
