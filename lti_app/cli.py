"""The `flask` commands: each group lives in its feature's `commands.py`."""

from __future__ import annotations

import os

from flask import Flask

from lti_app.connection import commands as connection
from lti_app.courses import commands as courses
from lti_app.credits import commands as credits
from lti_app.delivery.commands import worker
from lti_app.gradebook import commands as gradebook
from lti_app.people import commands as people
from lti_app.registrations import commands as registrations
from lti_app.roster import commands as roster


def init_cli(app: Flask) -> None:
    """Add every command group to `flask`; `platforms` gets what packages above its own know."""
    for command in (connection.check, connection.allow):
        registrations.group.add_command(command)
    for group in (
        registrations.group,
        registrations.keys_group,
        people.group,
        courses.group,
        credits.group,
        gradebook.group,
        roster.group,
    ):
        app.cli.add_command(group)
    app.cli.add_command(worker)


def is_command_line() -> bool:
    """Whether this process runs a `flask` command: then no embedded worker starts."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true"
