"""roster sync

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("membership") as batch:
        batch.add_column(sa.Column("roster_run", number, nullable=True))
    _roster_sync()
    op.create_table(
        "link_member",
        sa.Column("id", number, nullable=False),
        sa.Column("resource_link_pk", number, nullable=False),
        sa.Column("lti_user_pk", number, nullable=False),
        sa.Column("run", number, nullable=False),
        sa.ForeignKeyConstraint(
            ["lti_user_pk"], ["lti_user.id"], name=op.f("fk_link_member_lti_user_pk_lti_user")
        ),
        sa.ForeignKeyConstraint(
            ["resource_link_pk"],
            ["resource_link.id"],
            name=op.f("fk_link_member_resource_link_pk_resource_link"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_member")),
        sa.UniqueConstraint(
            "resource_link_pk", "lti_user_pk", name=op.f("uq_link_member_resource_link_pk_lti_user_pk")
        ),
    )
    op.create_index(op.f("ix_link_member_lti_user_pk"), "link_member", ["lti_user_pk"])
    # The classes that are there already, and whose launches gave an address: read at the next occasion.
    op.execute(
        """
        INSERT INTO roster_sync (registration_id, context_pk, state, due_at, run, is_differences, attempts, pages,
          known, seen, added, changed, gone, unreadable, named, mailed, had_names, had_emails)
        SELECT context.registration_id, context.id, 'queued', CURRENT_TIMESTAMP, 0, FALSE, 0, 0,
          0, 0, 0, 0, 0, 0, 0, 0, FALSE, FALSE
        FROM context WHERE EXISTS
          (SELECT 1 FROM resource_link WHERE resource_link.context_pk = context.id AND nrps_url IS NOT NULL)
        """
    )


def _roster_sync() -> None:
    counters = (
        "attempts",
        "pages",
        "known",
        "seen",
        "added",
        "changed",
        "gone",
        "unreadable",
        "named",
        "mailed",
    )
    op.create_table(
        "roster_sync",
        sa.Column("id", number, nullable=False),
        sa.Column("registration_id", number, nullable=False),
        sa.Column("context_pk", number, nullable=False),
        sa.Column("resource_link_pk", number, nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("due_at", moment, nullable=True),
        sa.Column("requested_at", moment, nullable=True),
        sa.Column("requested_by_pk", number, nullable=True),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("full_at", moment, nullable=True),
        sa.Column("run", number, nullable=False),
        sa.Column("is_differences", sa.Boolean(), nullable=False),
        sa.Column("next_url", sa.Text(), nullable=True),
        sa.Column("differences_url", sa.Text(), nullable=True),
        *(sa.Column(name, number, nullable=False) for name in counters),
        sa.Column("had_names", sa.Boolean(), nullable=False),
        sa.Column("had_emails", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["context_pk"], ["context.id"], name=op.f("fk_roster_sync_context_pk_context")
        ),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registration.id"], name=op.f("fk_roster_sync_registration_id_registration")
        ),
        sa.ForeignKeyConstraint(
            ["requested_by_pk"], ["lti_user.id"], name=op.f("fk_roster_sync_requested_by_pk_lti_user")
        ),
        sa.ForeignKeyConstraint(
            ["resource_link_pk"],
            ["resource_link.id"],
            name=op.f("fk_roster_sync_resource_link_pk_resource_link"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roster_sync")),
        sa.UniqueConstraint("resource_link_pk", name=op.f("uq_roster_sync_resource_link_pk")),
    )
    whole_class = sa.text("resource_link_pk IS NULL")
    op.create_index(
        op.f("uq_roster_sync_context_pk"),
        "roster_sync",
        ["context_pk"],
        unique=True,
        sqlite_where=whole_class,
        postgresql_where=whole_class,
    )
    op.create_index(
        op.f("ix_roster_sync_registration_id_due_at"), "roster_sync", ["registration_id", "due_at"]
    )
