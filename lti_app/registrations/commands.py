"""`flask platforms …` and `flask keys …`: connecting LMSs by hand."""

from __future__ import annotations

import click

from integrations.platforms.registry import KINDS
from lti_app.errors import OperatorGroup
from lti_app.extensions import db
from lti_app.organisations.services import UnknownTimeZone, school_named
from lti_app.registrations import keys
from lti_app.registrations.models import Registration, RegistrationStatus
from lti_app.registrations.services import (
    NewRegistration,
    RegistrationRefused,
    add_registration,
    all_registrations,
    find_by_name,
    set_status,
)

group = OperatorGroup("platforms", help="Connect LMS platforms.")
keys_group = OperatorGroup("keys", help="The tool's own RSA keys.")


@group.command("add")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="Which LMS it is.")
@click.option(
    "--url", required=True, help="The LMS's address; enough by itself for a Moodle and *.instructure.com."
)
@click.option("--client-id", required=True)
@click.option("--deployment-id", required=True)
@click.option("--name", help="How to call it here. Default: its host name.")
@click.option("--issuer")
@click.option("--auth-url")
@click.option("--token-url")
@click.option("--jwks-url")
@click.option("--token-audience", help="`aud` of token requests where it is not the token URL.")
@click.option("--allow-http", is_flag=True, help="It has no https (tests, intranets).")
@click.option("--allow-private-network", is_flag=True, help="It has a private address (tests, intranets).")
@click.option("--frame-origin", "frame_origins", multiple=True, help="A further origin that embeds us.")
@click.option("--school", default="未分配学校", show_default=True, help="The school its classes belong to.")
@click.option("--district", default="本区", show_default=True)
@click.option("--time-zone", default="Asia/Shanghai", show_default=True, help="Of a school that is new here.")
def add(school: str, district: str, time_zone: str, **values: object) -> None:
    """Register a platform. The same values again change nothing."""
    try:
        home = school_named(school, district=district, time_zone=time_zone)
        registration, is_new = add_registration(NewRegistration(**values), home)  # type: ignore[arg-type]
    except UnknownTimeZone as error:
        raise click.ClickException(f"{error} is not a time zone; use a name like Asia/Shanghai") from error
    except RegistrationRefused as error:
        db.session.rollback()
        raise click.ClickException(str(error)) from error
    keys.ensure_key()
    db.session.commit()
    click.echo(f"{'added' if is_new else 'unchanged'}: {registration.name} (issuer {registration.issuer})")


@group.command("list")
def list_() -> None:
    """Show all registrations."""
    for row in all_registrations():
        deployments = ", ".join(d.deployment_id for d in row.deployments)
        click.echo(f"{row.name}\t{row.kind}\t{row.status}\t{row.school.district.name}/{row.school.name}")
        click.echo(f"  issuer {row.issuer}  client id {row.client_id}  deployments {deployments}")
        click.echo(f"  token {row.token_url}  keys {row.jwks_url}  frames {' '.join(row.frame_origins)}")


@group.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Refuse launches of a platform and stop sending to it. Nothing is deleted."""
    _switch(name, RegistrationStatus.DISABLED)


@group.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Undo `disable`."""
    _switch(name, RegistrationStatus.ACTIVE)


def _switch(name: str, status: RegistrationStatus) -> None:
    registration = _named(name)
    changed = set_status(registration, status)
    db.session.commit()
    click.echo(f"{name}: {status}" + ("" if changed else " (unchanged)"))


def _named(name: str) -> Registration:
    registration = find_by_name(name)
    if registration is None:
        raise click.ClickException(f"no platform is called {name!r}; `flask platforms list` shows them")
    return registration


@keys_group.command("ensure")
def ensure() -> None:
    """Make the first key if there is none."""
    made = keys.ensure_key()
    db.session.commit()
    click.echo("made a key" if made else "unchanged")


@keys_group.command("rotate")
def rotate() -> None:
    """Sign with a new key from now on; the old ones stay published for platforms that cached them."""
    key = keys.add_key()
    db.session.commit()
    click.echo(f"signing with {key.kid}; retire the old one in a day or two: flask keys retire KID")


@keys_group.command("list")
def list_keys() -> None:
    """Show the published keys; the first one signs."""
    for jwk in keys.published_keys():
        click.echo(jwk["kid"])


@keys_group.command("retire")
@click.argument("kid")
def retire(kid: str) -> None:
    """Stop publishing a key."""
    if not keys.retire_key(kid):
        raise click.ClickException("no such published key, or it is the only one")
    db.session.commit()
    click.echo(f"retired {kid}")
