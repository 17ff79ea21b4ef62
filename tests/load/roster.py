"""Measuring rosters: one worker on each database, and bare `requests`, read the same pages in turns."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tests.load.members import WAYS
from tests.load.rounds import MeasurementFailed
from tests.load.targets import Instance, Platform
from tests.platforms.process import ROOT, python

BARE = "bare-requests"
GOAL_MB = 50
"""By how much reading a class of any size, in pages, may make a worker grow."""


def measure(
    lms: Platform, instances: Sequence[Instance], members: int, turns: int
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """The median turn by way, reader (an instance's name or BARE), and reading (first, again)."""
    report: dict[str, Any] = {}
    for way in WAYS:
        laps: dict[str, list[dict[str, dict[str, float]]]] = {}
        for turn in range(turns):
            for instance in (None, *instances):
                name = instance.name if instance else BARE
                laps.setdefault(name, []).append(_one_turn(lms, instance, way, turn, members))
        bare = [lap["first"]["per_second"] for lap in laps[BARE]]
        report[way] = {name: _middle(turns_of, bare) for name, turns_of in laps.items()}
    return report


def _one_turn(
    lms: Platform, instance: Instance | None, way: str, turn: int, members: int
) -> dict[str, dict[str, float]]:
    module = "roster_product" if instance else "roster_bare"
    task = ("--way", way, "--name", f"{way}-{turn}", "--members", str(members), "--platform", lms.url)
    environment = {**os.environ, **(instance.environment if instance else {}), "GONGYU_WORKER": "none"}
    done = subprocess.run(
        python("-m", f"tests.load.{module}", *task),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise MeasurementFailed(f"{module} failed\n{done.stderr[-2000:]}")
    laps: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    if any(lap["members"] != members for lap in laps.values()):
        raise MeasurementFailed(f"{module}: {members} members, read {laps}\n{done.stderr[-2000:]}")
    return laps


def _middle(
    turns: Sequence[Mapping[str, Mapping[str, float]]], bare: Sequence[float]
) -> dict[str, dict[str, float]]:
    def values(reading: str) -> dict[str, float]:
        laps = [turn[reading] for turn in turns]
        ratios = [lap["per_second"] / floor for lap, floor in zip(laps, bare, strict=True)]
        return {key: median(lap[key] for lap in laps) for key in laps[0]} | {"of_bare": median(ratios)}

    return {reading: values(reading) for reading in turns[0]}


def table(report: Mapping[str, Any], members: int) -> list[str]:
    """The measurements for people."""
    lines = [
        f"Rosters of {members} members, one worker: read for the first time, and again with nothing changed",
        f"{'':48}{'members/s':>11}{'x bare':>9}{'CPU ms':>9}{'growth MB':>11}",
    ]
    for way, readers in report.items():
        for name, readings in readers.items():
            for reading, row in readings.items():
                lines.append(
                    f"{WAYS[way]:14}{name:25}{reading if name != BARE else '':9}{row['per_second']:>11.0f}"
                    f"{row['of_bare']:>9.3f}{row['cpu_ms']:>9.3f}{row['growth_mb']:>11.1f}"
                )
    return lines


def verdicts(report: Mapping[str, Any]) -> list[str]:
    """Whether memory stays within the goal where a platform sends pages."""
    lines = []
    for name, readings in report["paged"].items():
        if name != BARE:
            grown = readings["first"]["growth_mb"]
            word = "reached" if grown <= GOAL_MB else "MISSED"
            lines.append(f"{name}: roster in pages, worker grows by {grown:.0f} MB, goal {GOAL_MB}: {word}")
    return lines
