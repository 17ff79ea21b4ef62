"""A faulty platform for each module, and a stage in each of the two ways to run workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stage import COMMAND, EMBEDDED, Stage, stage
from tests.platforms.faulty.running import Faulty, running_faulty


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with running_faulty(tmp_path_factory.mktemp("faulty")) as running:
        yield running


# Not every way on every database: the pairs that are run in production.
@pytest.fixture(
    params=[
        pytest.param((EMBEDDED, "sqlite"), id="embedded-sqlite"),
        pytest.param((COMMAND, "postgres"), id="command-postgres", marks=pytest.mark.postgres),
    ]
)
def play(request: pytest.FixtureRequest, tmp_path: Path, faulty: Faulty) -> Iterator[Stage]:
    argv, database = request.param
    with stage(request.getfixturevalue(f"{database}_url"), tmp_path, faulty, argv) as playing:
        yield playing
