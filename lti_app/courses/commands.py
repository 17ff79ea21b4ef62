"""`flask courses …`: the catalogue from course packs."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app
from sqlalchemy import func, select

from lti_app.courses.imports import import_packs, store_media
from lti_app.courses.models import Course, Lesson
from lti_app.courses.packs import BadPacks, read_packs
from lti_app.courses.search import reindex
from lti_app.errors import OperatorGroup
from lti_app.extensions import db

group = OperatorGroup("courses", help="The catalogue of courses.")


@group.command("import")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
def import_(path: Path, dry_run: bool) -> None:
    """Read the course packs at PATH into the catalogue: all of them, or none when one is wrong."""
    try:
        packs = read_packs(path)
        if not dry_run:
            # Before the transaction: copying may take long, and a file too many does no harm.
            store_media(packs, current_app.config["SETTINGS"].instance / "media")
        report = import_packs(packs)
    except BadPacks as error:
        db.session.rollback()
        for problem in error.problems:
            click.echo(str(problem), err=True)
        raise click.ClickException(f"nothing was imported: {len(error.problems)} problem(s)") from error
    if dry_run:
        db.session.rollback()
    else:
        db.session.commit()
    for word in ("created", "updated", "unchanged", "retired"):
        for slug in getattr(report, word):
            click.echo(f"{word}: {slug}")
    if dry_run:
        click.echo("dry run: nothing was changed")


@group.command("list")
def list_() -> None:
    """Show all courses: slug, version, number of lessons, title."""
    rows = db.session.execute(
        select(Course.slug, Course.version, func.count(Lesson.id), Course.title)
        .join(Lesson, (Lesson.course_id == Course.id) & Lesson.position.is_not(None), isouter=True)
        .group_by(Course.id)
        .order_by(Course.slug)
    )
    for slug, version, lessons, title in rows:
        click.echo(f"{slug}\tv{version}\t{lessons}\t{title}")


@group.command("reindex")
def reindex_() -> None:
    """Build the search index of all courses anew. Imports keep it; this is for rows written by other hands."""
    done = reindex()
    db.session.commit()
    click.echo(f"indexed: {done} course(s)")
