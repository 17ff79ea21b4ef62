"""deep linking

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "content_item",
        sa.Column("id", number, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("registration_id", number, nullable=False),
        sa.Column("deployment_pk", number, nullable=False),
        sa.Column("context_pk", number, nullable=True),
        sa.Column("launch_session_id", number, nullable=True),
        sa.Column("course_id", number, nullable=False),
        sa.Column("position", number, nullable=False),
        sa.Column("counts", sa.String(length=32), nullable=False),
        sa.Column("maximum", number, nullable=False),
        sa.Column("opens_at", moment, nullable=True),
        sa.Column("closes_at", moment, nullable=True),
        sa.Column("due_at", moment, nullable=True),
        sa.Column("created_by_pk", number, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.CheckConstraint("maximum BETWEEN 1 AND 1000", name=op.f("ck_content_item_maximum")),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_content_item_registration_id_registration")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_pk"], ["deployment.id"], name=op.f("fk_content_item_deployment_pk_deployment")
        ),
        sa.ForeignKeyConstraint(["context_pk"], ["context.id"], name=op.f("fk_content_item_context_pk_context")),
        sa.ForeignKeyConstraint(
            ["launch_session_id"],
            ["launch_session.id"],
            name=op.f("fk_content_item_launch_session_id_launch_session"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_content_item_course_id_course")),
        sa.ForeignKeyConstraint(
            ["created_by_pk"], ["lti_user.id"], name=op.f("fk_content_item_created_by_pk_lti_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_item")),
        sa.UniqueConstraint("public_id", name=op.f("uq_content_item_public_id")),
    )
    op.create_index(op.f("ix_content_item_launch_session_id"), "content_item", ["launch_session_id"])
    op.create_table(
        "picked_course",
        sa.Column("id", number, nullable=False),
        sa.Column("launch_session_id", number, nullable=False),
        sa.Column("course_id", number, nullable=False),
        sa.Column("position", number, nullable=False),
        sa.Column("counts", sa.String(length=32), nullable=False),
        sa.Column("maximum", number, nullable=False),
        sa.Column("opens_at", moment, nullable=True),
        sa.Column("closes_at", moment, nullable=True),
        sa.Column("due_at", moment, nullable=True),
        sa.CheckConstraint("maximum BETWEEN 1 AND 1000", name=op.f("ck_picked_course_maximum")),
        sa.ForeignKeyConstraint(
            ["launch_session_id"],
            ["launch_session.id"],
            name=op.f("fk_picked_course_launch_session_id_launch_session"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_picked_course_course_id_course")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_picked_course")),
        sa.UniqueConstraint(
            "launch_session_id", "course_id", name=op.f("uq_picked_course_launch_session_id_course_id")
        ),
    )
    op.create_table(
        "content_answer",
        sa.Column("id", number, nullable=False),
        sa.Column("launch_session_id", number, nullable=False),
        sa.Column("answered_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["launch_session_id"],
            ["launch_session.id"],
            name=op.f("fk_content_answer_launch_session_id_launch_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content_answer")),
        sa.UniqueConstraint("launch_session_id", name=op.f("uq_content_answer_launch_session_id")),
    )
    with op.batch_alter_table("placement") as batch:
        batch.add_column(sa.Column("maximum", number, nullable=True))
        for name in ("opens_at", "closes_at", "due_at", "chosen_at", "copied_at", "copy_seen_at"):
            batch.add_column(sa.Column(name, moment, nullable=True))
        batch.add_column(sa.Column("content_item_pk", number, nullable=True))
        batch.add_column(sa.Column("copied_from_pk", number, nullable=True))
        batch.create_foreign_key(
            op.f("fk_placement_content_item_pk_content_item"), "content_item", ["content_item_pk"], ["id"]
        )
        batch.create_foreign_key(
            op.f("fk_placement_copied_from_pk_resource_link"), "resource_link", ["copied_from_pk"], ["id"]
        )
    op.create_index(op.f("ix_placement_content_item_pk"), "placement", ["content_item_pk"])
