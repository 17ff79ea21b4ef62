"""browser carriers

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("login_state") as batch:
        batch.add_column(sa.Column("storage_target", sa.String(length=255), nullable=True))
    op.create_table(
        "page_ticket",
        sa.Column("id", number, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("launch_session_pk", number, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["launch_session_pk"],
            ["launch_session.id"],
            name=op.f("fk_page_ticket_launch_session_pk_launch_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_ticket")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_page_ticket_token_hash")),
    )
    op.create_index(op.f("ix_page_ticket_launch_session_pk"), "page_ticket", ["launch_session_pk"])
    op.create_index(op.f("ix_page_ticket_expires_at"), "page_ticket", ["expires_at"])
