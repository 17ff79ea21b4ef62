"""Measuring searches of the catalogue, on each database in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.databases import new_database
from tests.load.rounds import MeasurementFailed
from tests.load.targets import POSTGRES, SQLITE
from tests.platforms.process import ROOT, python

C_LOCALE = "postgresql-c-locale"
GOAL_MS = 100


def measure(folder: Path, courses: int, turns: int) -> dict[str, dict[str, Any]]:
    """What each search costs, by name of database and of search."""
    with contextlib.ExitStack() as stack:
        databases = {SQLITE: f"sqlite:///{folder / 'search.sqlite3'}"}
        server = os.environ.get("TEST_POSTGRES_URL")
        if server:
            databases[POSTGRES] = stack.enter_context(new_database(server))
            databases[C_LOCALE] = stack.enter_context(new_database(server, locale="C"))
        return {name: _one_database(url, folder, courses, turns) for name, url in databases.items()}


def _one_database(url: str, folder: Path, courses: int, turns: int) -> dict[str, Any]:
    task = ("--database", url, "--folder", str(folder), "--courses", str(courses), "--turns", str(turns))
    done = subprocess.run(
        python("-m", "tests.load.search_product", *task),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise MeasurementFailed(f"search_product failed\n{done.stderr[-2000:]}")
    return {name: _summary(row) for name, row in json.loads(done.stdout.splitlines()[-1]).items()}


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    page, floor = row["page"], row["floor"]
    return {
        "found": row["found"],
        "queries": row["queries"],
        "median_ms": median(page),
        "p95_ms": quantiles(page, n=20)[-1],
        "floor_ms": median(floor),
        "of_floor": median(ours / bare for ours, bare in zip(page, floor, strict=True)),
    }


def table(measured: Mapping[str, Any], courses: int, turns: int) -> list[str]:
    """The measurements for people."""
    lines = [
        f"Searches among {courses} courses: the whole page, one visitor, {turns} turns; the floor is the same page"
        " with 12 courses read by primary key",
        f"{'':47}{'found':>7}{'queries':>9}{'median/p95 ms':>17}{'floor ms':>10}{'x floor':>9}",
    ]
    for database, searches in measured.items():
        for name, row in searches.items():
            lines.append(
                f"{database:21} {name:25}{row['found']:>7}{row['queries']:>9}"
                f"{row['median_ms']:>10.1f}/{row['p95_ms']:<6.1f}{row['floor_ms']:>10.1f}{row['of_floor']:>9.2f}"
            )
    return lines


def verdicts(measured: Mapping[str, Any]) -> list[str]:
    """Whether the slowest page of each database is within the goal."""
    lines = []
    for database, searches in measured.items():
        name, row = max(searches.items(), key=lambda item: item[1]["p95_ms"])
        word = "reached" if row["p95_ms"] < GOAL_MS else "MISSED"
        lines.append(
            f"{database}: slowest search ({name}), p95 {row['p95_ms']:.0f} ms, goal {GOAL_MS}: {word}"
        )
    return lines
