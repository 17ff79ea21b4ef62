"""Measuring reconciliation: one worker on each database reads a large column back and compares it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.load.gradebooks import CHANGED_EACH, WAYS, pages
from tests.load.rounds import MeasurementFailed, platform_state
from tests.load.targets import Instance, Platform
from tests.platforms.process import ROOT, python

GOAL_MB = 60
"""By how much reading 10,000 results of a column may make a worker grow."""


def measure(lms: Platform, instances: Sequence[Instance], results: int) -> dict[str, Any]:
    """By way and instance: the first reading, and another with nothing new, with the requests of both."""
    return {way: {instance.name: _one(lms, instance, way, results) for instance in instances} for way in WAYS}


def _one(lms: Platform, instance: Instance, way: str, results: int) -> dict[str, Any]:
    before = platform_state(lms)["results"]
    _run("make", lms, instance, way, results)
    laps: dict[str, Any] = json.loads(_run("read", lms, instance, way, results).splitlines()[-1])
    asked = platform_state(lms)["results"] - before - 1  # one for the column that warms
    if asked != 2 * pages(way, results):
        raise MeasurementFailed(f"{results} results, {way}, read twice with {asked} requests")
    if any(lap["changed"] != results // CHANGED_EACH for lap in laps.values()):
        raise MeasurementFailed(f"of {results} results one in {CHANGED_EACH} was changed: {laps}")
    return laps | {"requests": asked // 2}


def _run(task: str, lms: Platform, instance: Instance, way: str, results: int) -> str:
    done = subprocess.run(
        python("-m", "tests.load.readback_product", task, "--way", way, "--name", f"read-{way}")
        + ["--results", str(results), "--platform", lms.url],
        cwd=ROOT,
        env={**os.environ, **instance.environment, "GONGYU_WORKER": "none"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise MeasurementFailed(f"readback_product {task} failed\n{done.stderr[-2000:]}")
    return done.stdout


def table(report: Mapping[str, Any], results: int) -> list[str]:
    """The measurements for people."""
    lines = [
        f"Columns of {results} results read back, one worker: first with each hundredth grade changed, then again",
        f"{'':48}{'results/s':>11}{'requests':>10}{'CPU ms':>9}{'growth MB':>11}",
    ]
    for way, readers in report.items():
        for name, row in readers.items():
            for reading in ("first", "again"):
                lap = row[reading]
                lines.append(
                    f"{WAYS[way]:14}{name:25}{reading:9}{lap['per_second']:>11.0f}{row['requests']:>10}"
                    f"{lap['cpu_ms']:>9.3f}{lap['growth_mb']:>11.1f}"
                )
    return lines


def verdicts(report: Mapping[str, Any]) -> list[str]:
    """Whether memory stays within the goal, in pages and in one answer."""
    lines = []
    for way, readers in report.items():
        for name, row in readers.items():
            grown = max(row[reading]["growth_mb"] for reading in ("first", "again"))
            word = "reached" if grown <= GOAL_MB else "MISSED"
            what = f"{name}: reading results back, {WAYS[way]}, worker grows by {grown:.0f} MB"
            lines.append(f"{what}, goal {GOAL_MB}: {word}")
    return lines
