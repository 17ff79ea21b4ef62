"""accounts

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "import_batch",
        sa.Column("id", number, nullable=False),
        sa.Column("school_id", number, nullable=False),
        sa.Column("lti_user_pk", number, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["school_id"], ["school.id"], name=op.f("fk_import_batch_school_id_school")),
        sa.ForeignKeyConstraint(
            ["lti_user_pk"], ["lti_user.id"], name=op.f("fk_import_batch_lti_user_pk_lti_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_batch")),
    )
    op.create_index(op.f("ix_import_batch_expires_at"), "import_batch", ["expires_at"])
    op.create_index(op.f("ix_import_batch_lti_user_pk"), "import_batch", ["lti_user_pk"])
    op.create_table(
        "expected_guardian",
        sa.Column("id", number, nullable=False),
        sa.Column("school_id", number, nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("person_hash", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=True),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["school_id"], ["school.id"], name=op.f("fk_expected_guardian_school_id_school")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expected_guardian")),
        sa.UniqueConstraint("school_id", "number", name=op.f("uq_expected_guardian_school_id_number")),
        sa.UniqueConstraint(
            "school_id", "person_hash", name=op.f("uq_expected_guardian_school_id_person_hash")
        ),
    )
    op.create_table(
        "expected_child",
        sa.Column("id", number, nullable=False),
        sa.Column("guardian_id", number, nullable=False),
        sa.Column("school_id", number, nullable=False),
        sa.Column("pupil_number", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=24), nullable=False),
        sa.Column("relation", sa.String(length=20), nullable=False),
        sa.Column("class_label", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["guardian_id"],
            ["expected_guardian.id"],
            name=op.f("fk_expected_child_guardian_id_expected_guardian"),
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["school.id"], name=op.f("fk_expected_child_school_id_school")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expected_child")),
        sa.UniqueConstraint(
            "school_id", "pupil_number", "slot", name=op.f("uq_expected_child_school_id_pupil_number_slot")
        ),
    )
    op.create_index(op.f("ix_expected_child_guardian_id"), "expected_child", ["guardian_id"])
    with op.batch_alter_table("membership") as batch:
        batch.add_column(sa.Column("listed_kind", sa.String(length=32), nullable=True))
