"""launch messages

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("launch_session") as batch:
        batch.add_column(sa.Column("deep_linking", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("child_pk", number, nullable=True))
        batch.create_foreign_key(op.f("fk_launch_session_child_pk_lti_user"), "lti_user", ["child_pk"], ["id"])
    with op.batch_alter_table("lti_user") as batch:
        batch.add_column(sa.Column("legacy_id", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_lti_user_registration_id_sis_id"), "lti_user", ["registration_id", "sis_id"])
    op.create_index(op.f("ix_lti_user_registration_id_legacy_id"), "lti_user", ["registration_id", "legacy_id"])
