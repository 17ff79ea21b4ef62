"""`flask people …`: rights beyond what a launch gives."""

from __future__ import annotations

import getpass

import click

from lti_app.errors import OperatorGroup
from lti_app.extensions import db
from lti_app.people import services
from lti_app.roster.models import Right

group = OperatorGroup("people", help="Find people and give them rights.")
RIGHT = click.Choice([str(right) for right in Right])


@group.command("find")
@click.argument("text")
@click.option("--platform", help="Only people of this platform.")
def find(text: str, platform: str | None) -> None:
    """Find logins by name, e-mail, SIS id or the platform's id (sub). Shows the LOGIN number."""
    found = services.find_logins(text, platform=platform)
    if not found:
        raise click.ClickException("nobody found; people appear here after their first launch")
    for user, name in found:
        click.echo(f"{user.id}\t{name}\t{user.sub}\t{user.name or '-'}\t{user.email or '-'}")


@group.command("grant")
@click.argument("login", type=int)
@click.argument("right", type=RIGHT)
@click.option("--by", default=lambda: getpass.getuser(), help="Who decided it. Default: the system user.")
def grant(login: int, right: str, by: str) -> None:
    """Give LOGIN a right (district, school_admin, author, reviewer)."""
    try:
        new = services.grant(login, Right(right), by=by)
    except LookupError as error:
        raise click.ClickException(f"no login {login}; `flask people find` shows them") from error
    db.session.commit()
    click.echo("granted" if new else "unchanged")


@group.command("revoke")
@click.argument("login", type=int)
@click.argument("right", type=RIGHT)
def revoke(login: int, right: str) -> None:
    """Take a right from LOGIN."""
    gone = services.revoke(login, Right(right))
    db.session.commit()
    click.echo("revoked" if gone else "unchanged")


@group.command("list")
def list_() -> None:
    """Show every right that was given."""
    for row in services.all_grants():
        click.echo(
            f"{row.lti_user_pk}\t{row.lti_user.name or row.lti_user.sub}\t{row.right}\tby {row.granted_by}"
        )
