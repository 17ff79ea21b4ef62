"""families

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("guardianship") as batch:
        batch.alter_column(
            "source",
            existing_type=sa.String(length=40),
            type_=sa.String(length=32),
            existing_nullable=False,
        )
        batch.add_column(sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("removed_by", sa.String(length=32), nullable=True))
        batch.create_check_constraint(
            op.f("ck_guardianship_removed_by_somebody"), "(removed_at IS NULL) = (removed_by IS NULL)"
        )
    with op.batch_alter_table("person_link") as batch:
        batch.add_column(sa.Column("child_pk", number, nullable=True))
        batch.create_foreign_key(op.f("fk_person_link_child_pk_lti_user"), "lti_user", ["child_pk"], ["id"])
    with op.batch_alter_table("launch_session") as batch:
        batch.add_column(
            sa.Column("several_children", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
    op.create_table(
        "mentioned_child",
        sa.Column("id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("registration_id", number, nullable=False),
        sa.Column("context_pk", number, nullable=False),
        sa.Column("said_id", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_mentioned_child_person_id_person")),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registration.id"],
            name=op.f("fk_mentioned_child_registration_id_registration"),
        ),
        sa.ForeignKeyConstraint(
            ["context_pk"], ["context.id"], name=op.f("fk_mentioned_child_context_pk_context")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mentioned_child")),
        sa.UniqueConstraint(
            "person_id", "context_pk", "said_id", name=op.f("uq_mentioned_child_person_id_context_pk_said_id")
        ),
    )
    op.create_index(
        op.f("ix_mentioned_child_registration_id_said_id"), "mentioned_child", ["registration_id", "said_id"]
    )
    op.create_table(
        "claim_code",
        sa.Column("id", number, nullable=False),
        sa.Column("registration_id", number, nullable=False),
        sa.Column("child_pk", number, nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("uses_left", number, nullable=False),
        sa.Column("made_by", number, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("uses_left >= 0", name=op.f("ck_claim_code_uses_left")),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_claim_code_registration_id_registration")
        ),
        sa.ForeignKeyConstraint(["child_pk"], ["lti_user.id"], name=op.f("fk_claim_code_child_pk_lti_user")),
        sa.ForeignKeyConstraint(["made_by"], ["lti_user.id"], name=op.f("fk_claim_code_made_by_lti_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim_code")),
        sa.UniqueConstraint("child_pk", name=op.f("uq_claim_code_child_pk")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_claim_code_code_hash")),
    )
    op.create_table(
        "link_code",
        sa.Column("id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("lti_user_pk", number, nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_link_code_person_id_person")),
        sa.ForeignKeyConstraint(
            ["lti_user_pk"], ["lti_user.id"], name=op.f("fk_link_code_lti_user_pk_lti_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_code")),
        sa.UniqueConstraint("person_id", name=op.f("uq_link_code_person_id")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_link_code_code_hash")),
    )
    op.create_table(
        "code_attempts",
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("wrong", number, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_code_attempts")),
    )
    op.create_index(op.f("ix_code_attempts_began_at"), "code_attempts", ["began_at"])
