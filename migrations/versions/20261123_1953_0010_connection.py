"""connection

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "connection_check",
        sa.Column("registration_id", number, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_connection_check_registration_id_registration"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_connection_check")),
    )
    op.create_table(
        "context_copy",
        sa.Column("id", number, nullable=False),
        sa.Column("registration_id", number, nullable=False),
        sa.Column("context_id", sa.String(length=255), nullable=False),
        sa.Column("origin_context_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_context_copy_registration_id_registration")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_context_copy")),
        sa.UniqueConstraint(
            "registration_id",
            "context_id",
            "origin_context_id",
            name=op.f("uq_context_copy_registration_id_context_id_origin_context_id"),
        ),
    )
    op.create_table(
        "received_notice",
        sa.Column("id", number, nullable=False),
        sa.Column("registration_id", number, nullable=False),
        sa.Column("notice_id", sa.String(length=255), nullable=False),
        sa.Column("notice_type", sa.String(length=64), nullable=False),
        sa.Column("deployment_pk", number, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_received_notice_deployment_pk_deployment")
        ),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_received_notice_registration_id_registration"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received_notice")),
        sa.UniqueConstraint(
            "registration_id", "notice_id", name=op.f("uq_received_notice_registration_id_notice_id")
        ),
    )
    op.create_index(op.f("ix_received_notice_received_at"), "received_notice", ["received_at"])
    with op.batch_alter_table("deployment") as batch:
        batch.add_column(sa.Column("notices_url", sa.Text(), nullable=True))
        batch.add_column(sa.Column("notices_due_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("notices_state", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_deployment_notices_due_at"), "deployment", ["notices_due_at"])
    with op.batch_alter_table("tool_key") as batch:
        batch.add_column(sa.Column("signs_from", sa.DateTime(timezone=True), nullable=True))
