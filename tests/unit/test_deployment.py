"""What docs/deploy.md and the files beside it tell operators to run exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lti_app.cli import init_cli
from tests.conftest import ROOT

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PAGES = [ROOT / "README.md", ROOT / "docs" / "deploy.md", ROOT / "docs" / "zh" / "deploy.md"]
FILES = [*PAGES, *UNITS, DEPLOY / "compose.yaml", DEPLOY / "Dockerfile"]
SETTINGS = set(re.findall(r"^\| `(GONGYU_[A-Z_]+)` \|", PAGES[0].read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_settings_that_exist_are_named(path: Path) -> None:
    assert set(re.findall(r"GONGYU_[A-Z_]+", path.read_text())) - SETTINGS == set()


def commands() -> Iterator[tuple[str, str]]:
    for path in FILES:
        for line in path.read_text().splitlines():
            found = re.search(r"(?:^|[\s=/])(?:flask --app wsgi|celery -q -A lti_app\.celery) [a-z].*", line)
            if found:
                yield path.name, found[0].lstrip("=/ ")


def test_commands_are_found_in_each_kind_of_file() -> None:
    assert {name for name, _ in commands()} >= {
        "compose.yaml",
        "deploy.md",
        "gongyu-worker.service",
        "gongyu-celery.service",
    }


@pytest.mark.parametrize(("name", "line"), list(commands()))
def test_every_command_exists(name: str, line: str) -> None:
    words = re.sub(r"\s+#.*", "", line).split()
    if words[0] == "celery":
        _check_celery(words[4:])
        return
    group, *rest = words[3:]
    if group == "db":
        assert rest == ["upgrade"]
        return
    command = _flask_commands()[group]
    if rest and hasattr(command, "commands"):
        assert rest[0] in command.commands


def _check_celery(words: list[str]) -> None:
    from celery.bin.celery import celery

    command, *options = words
    known = {option for param in celery.commands[command].params for option in param.opts}
    assert {word for word in options if word.startswith("-")} - known == set()


def _flask_commands() -> dict:  # type: ignore[type-arg]
    from flask import Flask

    app = Flask("none")
    init_cli(app)
    return dict(app.cli.commands)


def test_compose_runs_every_part() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) == {"web", "worker", "beat", "migrate", "postgres", "redis", "rabbitmq"}
    for service in ("web", "worker", "beat"):
        assert compose["services"][service]["environment"]["GONGYU_WORKER"] == "celery"
        assert compose["services"][service]["depends_on"]["migrate"]


def test_the_image_has_everything_that_is_copied_and_no_superuser() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert [name for name in sources.split() if not (ROOT / name).exists()] == []
    assert text.index("\nUSER gongyu\n") < text.index("\nCMD ")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_each_unit(unit: Path, tmp_path: Path) -> None:
    """With the program's folder exchanged for one that exists here: systemd looks for the commands."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is absent")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("flask", "celery", "gunicorn"):
        (commands / name).write_text("#!/bin/sh\n")
        (commands / name).chmod(0o755)
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/srv/gongyu/.venv/bin", str(commands)))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_units_run_without_privileges() -> None:
    assert UNITS
    for unit in UNITS:
        text = unit.read_text()
        for line in ("User=gongyu", "NoNewPrivileges=yes", "ProtectSystem=strict", "Restart=always"):
            assert f"\n{line}\n" in text, unit.name
