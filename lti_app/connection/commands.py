"""`flask platforms check NAME` and `flask platforms allow NAME`: finding out what is wrong, and ending it."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from flask_babel import force_locale

from lti_app.connection.checks import Finding, Verdict
from lti_app.connection.services import known_words, run_check, save_check
from lti_app.connection.words import sentence, title
from lti_app.delivery.services import reading
from lti_app.extensions import cache, db
from lti_app.launches.current import ENGLISH
from lti_app.registrations.models import Registration
from lti_app.registrations.services import find_by_name
from lti_app.security import is_origin


@click.command("check")
@click.argument("name")
@with_appcontext
def check(name: str) -> None:
    """Try every step of a connection and say what is wrong. Ends with 1 when a step failed."""
    with reading():
        registration_id = _named(name).id
        known = known_words(registration_id)
    found: list[Finding] = []
    with force_locale(ENGLISH):
        for finding in run_check(registration_id):
            found.append(finding)
            click.echo(f"{finding.verdict.upper():<10} {title(finding.step)} [{finding.code}]")
            click.echo(f"           {sentence(finding, **known)}")
    save_check(registration_id, found)
    db.session.commit()
    failed = sum(finding.verdict is Verdict.FAILED for finding in found)
    warned = sum(finding.verdict is Verdict.WARNING for finding in found)
    click.echo(f"{len(found)} steps: {failed} failed, {warned} with warnings")
    if failed:
        raise SystemExit(1)


@click.command("allow")
@click.argument("name")
@click.option("--private-network", is_flag=True, help="It has a private address (a school's intranet).")
@click.option("--http", is_flag=True, help="It has no https (tests, intranets).")
@click.option("--frame-origin", "frame_origins", multiple=True, help="A further origin that embeds us.")
@click.option("--token-audience", help="The `aud` that it wants in token requests.")
@with_appcontext
def allow(
    name: str, private_network: bool, http: bool, frame_origins: tuple[str, ...], token_audience: str | None
) -> None:
    """Allow a platform what `check` says it needs. What was allowed before stays allowed."""
    registration = _named(name)
    for origin in frame_origins:
        if not is_origin(origin):
            raise click.ClickException(
                f"--frame-origin {origin!r} must be scheme://host[:port], nothing more"
            )
    before = _allowed(registration)
    registration.allow_private_network |= private_network
    registration.allow_http |= http
    registration.frame_origins = sorted({*registration.frame_origins, *frame_origins})
    registration.token_audience = token_audience or registration.token_audience
    changed = _allowed(registration) != before
    db.session.commit()
    cache.delete("frame-origins")
    click.echo(f"{name}: {'allowed' if changed else 'unchanged'}")


def _allowed(row: Registration) -> tuple[bool, bool, list[str], str]:
    return row.allow_private_network, row.allow_http, list(row.frame_origins), row.token_audience


def _named(name: str) -> Registration:
    registration = find_by_name(name)
    if registration is None:
        raise click.ClickException(f"no platform is called {name!r}; `flask platforms list` shows them")
    return registration
