"""`flask platforms …` and `flask keys …`: connecting LMSs by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from flask import current_app, url_for

from integrations.platforms.registry import KINDS
from integrations.terms import AddressPolicy
from lti_app.errors import OperatorGroup
from lti_app.extensions import db
from lti_app.organisations.models import School
from lti_app.organisations.services import UnknownTimeZone, school_named
from lti_app.registrations import deployments as found
from lti_app.registrations import keys, onboarding
from lti_app.registrations.invitations import invite as make_invitation
from lti_app.registrations.models import (
    DeploymentPolicy,
    DeploymentStatus,
    Registration,
    RegistrationStatus,
)
from lti_app.registrations.services import (
    NewRegistration,
    RegistrationRefused,
    add_registration,
    all_registrations,
    deployments_of,
    find_by_name,
    find_deployment,
    forget_frame_origins,
    set_status,
)

_POLICY = click.Choice([policy.value for policy in DeploymentPolicy])

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
@click.option(
    "--deployments",
    "deployment_policy",
    type=_POLICY,
    default=DeploymentPolicy.PENDING.value,
    show_default=True,
    help="What becomes of a deployment id that a launch is the first to name.",
)
@click.option("--school", default="未分配学校", show_default=True, help="The school its classes belong to.")
@click.option("--district", default="本区", show_default=True)
@click.option("--time-zone", default="Asia/Shanghai", show_default=True, help="Of a school that is new here.")
def add(school: str, district: str, time_zone: str, **values: Any) -> None:
    """Register a platform. The same values again change nothing."""
    values["deployment_policy"] = DeploymentPolicy(values["deployment_policy"])
    home = _school(school, district, time_zone)
    try:
        registration, is_new = add_registration(NewRegistration(**values), home)
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


class _Span(click.ParamType):
    """A time like 90m, 24h or 2d; 0 is none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"0|(\d{1,4})([mhd])", value, re.ASCII)
        if match is None:
            self.fail(f"{value!r} is no time like 90m, 24h or 2d", param, ctx)
        unit = {"m": "minutes", "h": "hours", "d": "days"}.get(match[2] or "m", "minutes")
        return timedelta(**{unit: int(match[1] or 0)})


@group.command("invite")
@click.option("--school", "--organisation", required=True, help="The school its classes shall belong to.")
@click.option("--district", default="本区", show_default=True)
@click.option("--time-zone", default="Asia/Shanghai", show_default=True, help="Of a school that is new here.")
@click.option("--expires", type=_Span(), default="7d", show_default=True, help="How long it can be used.")
@click.option(
    "--deployments",
    "deployment_policy",
    type=_POLICY,
    default=DeploymentPolicy.ACCEPT.value,
    show_default=True,
    help="What becomes of a deployment id that a launch is the first to name.",
)
@click.option("--allow-http", is_flag=True, help="Also a platform without https (tests, intranets).")
@click.option("--allow-private-network", is_flag=True, help="Also one with a private address (intranets).")
def invite(
    school: str,
    district: str,
    time_zone: str,
    expires: timedelta,
    deployment_policy: str,
    allow_http: bool,
    allow_private_network: bool,
) -> None:
    """Make an address by which one LMS can connect itself, once. The same again makes a further one."""
    if not expires:
        raise click.ClickException("--expires: it must be usable for a while, for instance 7d")
    home = _school(school, district, time_zone)
    row, code = make_invitation(
        home,
        lifetime=expires,
        deployment_policy=DeploymentPolicy(deployment_policy),
        policy=AddressPolicy(allow_http, allow_private_network),
    )
    db.session.commit()
    with current_app.test_request_context():
        path = url_for("dynamic_registration.register", invitation=code)
    click.echo(f"{current_app.config['SETTINGS'].public_url}{path}")
    click.echo(
        f"One LMS of {district}/{school} can connect with it until {row.expires_at:%Y-%m-%d %H:%M} UTC, once.\n"
        "Send it to the LMS's administrator: opened in a browser, it says where to paste it. It is shown only now."
    )


@group.command("approve")
@click.argument("name")
@click.option(
    "--school", "--organisation", help="The school its classes belong to. Default: one of its name."
)
@click.option("--time-zone", default="Asia/Shanghai", show_default=True, help="Of a school that is new here.")
def approve(name: str, school: str | None, time_zone: str) -> None:
    """Let a platform in that registered itself without an invitation."""
    registration = _waiting(name)
    district = onboarding.district_of(registration)
    home = _school(school, district, time_zone) if school else None
    onboarding.approve(registration, home)
    db.session.commit()
    forget_frame_origins()
    click.echo(f"{name}: active")


@group.command("reject")
@click.argument("name")
def reject(name: str) -> None:
    """Forget a platform that registered itself without an invitation."""
    onboarding.reject(_waiting(name))
    db.session.commit()
    click.echo(f"{name}: forgotten")


@group.command("deployments")
@click.argument("name")
@click.option("--accept", "accepted", metavar="ID", help="Let launches of this deployment in.")
@click.option("--reject", "rejected", metavar="ID", help="Refuse them from now on.")
def deployments(name: str, accepted: str | None, rejected: str | None) -> None:
    """Show the deployments of a platform, or decide about one."""
    registration = _named(name)
    for wanted, status in ((accepted, DeploymentStatus.ACTIVE), (rejected, DeploymentStatus.REJECTED)):
        if wanted is None:
            continue
        row = find_deployment(registration.id, wanted)
        if row is None:
            raise click.ClickException(f"no launch of {name!r} has named the deployment {wanted!r} yet")
        changed = found.decide(row, status)
        db.session.commit()
        click.echo(f"{wanted}: {status}" + ("" if changed else " (unchanged)"))
    if accepted is None and rejected is None:
        for row in deployments_of(registration):
            said = row.platform or {}
            about = " ".join(said[key] for key in ("family", "version", "name", "guid") if key in said)
            click.echo(f"{row.deployment_id}\t{row.status}\t{row.created_at:%Y-%m-%d}\t{about}".rstrip())
            if (kind := found.other_kind(registration, row)) is not None:
                click.echo(f"  its launches say it is a {kind}, and it is registered as {registration.kind}")


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
    if registration.status is RegistrationStatus.PENDING:
        raise click.ClickException(f"{name!r} waits: flask platforms approve {shlex.quote(name)}, or reject")
    changed = set_status(registration, status)
    db.session.commit()
    click.echo(f"{name}: {status}" + ("" if changed else " (unchanged)"))


def _school(name: str, district: str, time_zone: str) -> School:
    for label, value in (("school", name), ("district", district)):
        if not value.strip() or len(value) > 120 or not value.isprintable():
            raise click.ClickException(f"the {label} must have 1 to 120 printable characters")
    try:
        return school_named(name, district=district, time_zone=time_zone)
    except UnknownTimeZone as error:
        raise click.ClickException(f"{error} is not a time zone; use a name like Asia/Shanghai") from error


def _waiting(name: str) -> Registration:
    registration = _named(name)
    if registration.status is not RegistrationStatus.PENDING:
        raise click.ClickException(f"{name!r} does not wait for approval: it is {registration.status}")
    return registration


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
@click.option(
    "--sign-after",
    type=_Span(),
    default="24h",
    show_default=True,
    help="Publish the new key this long before it signs, so that platforms fetch it in time (0: at once).",
)
def rotate(sign_after: timedelta) -> None:
    """Publish a new key that will sign; the one before it stays published for another week."""
    with _refusals():
        key = keys.rotate_key(sign_after)
    db.session.commit()
    when = f"signs from {key.signs_from:%Y-%m-%d %H:%M} UTC" if key.signs_from else "signs from now on"
    click.echo(f"published {key.kid}, which {when}; the older one stays published for a week after that")


@keys_group.command("list")
def list_keys() -> None:
    """Show all keys, newest first, and what each does now."""
    words = {
        keys.KeyState.WAITING: "published, signs from",
        keys.KeyState.SIGNING: "signs",
        keys.KeyState.REPLACED: "published until",
        keys.KeyState.OVER: "not published any more",
        keys.KeyState.RETIRED: "retired",
    }
    for key in keys.known_keys():
        until = f" {key.until:%Y-%m-%d %H:%M} UTC" if key.until else ""
        click.echo(f"{key.kid}\t{words[key.state]}{until}")


@keys_group.command("retire")
@click.argument("kid")
def retire(kid: str) -> None:
    """Stop publishing a key before its time, or one that waits to sign."""
    with _refusals():
        keys.retire_key(kid)
    db.session.commit()
    click.echo(f"retired {kid}")


@keys_group.command("revoke")
@click.argument("kid")
def revoke(kid: str) -> None:
    """For emergencies: nobody shall trust a key any more, from this moment on.

    It is not published any more; if it was the one that signs, a new one signs at once. Platforms that keep
    key sets for long may refuse us until they fetch the new one.
    """
    with _refusals():
        new = keys.revoke_key(kid)
    db.session.commit()
    click.echo(f"revoked {kid}" + (f"; {new.kid} signs from now on" if new else ""))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except keys.KeyRefused as error:
        raise click.ClickException(str(error)) from error
