"""Measuring what an outage costs: many changes of one score are one call afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.load.rounds import MeasurementFailed
from tests.load.targets import Instance, Platform
from tests.platforms.process import ROOT, python


def measure(lms: Platform, instances: Sequence[Instance], changes: int) -> dict[str, dict[str, Any]]:
    """What the platform got of `changes` changes made while it was down, by instance."""
    return {instance.name: _one(lms, instance, changes) for instance in instances}


def _one(lms: Platform, instance: Instance, changes: int) -> dict[str, Any]:
    done = subprocess.run(
        python("-m", "tests.load.coalescing_product", "--changes", str(changes), "--platform", lms.url),
        cwd=ROOT,
        env={**os.environ, **instance.environment, "GONGYU_WORKER": "none"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise MeasurementFailed(f"coalescing_product failed\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["shows"] != result["wanted"]:
        raise MeasurementFailed(f"the platform shows another grade than the last one: {result}")
    return result


def verdicts(report: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Whether all changes were one call."""
    return [
        f"{name}: {row['changes']} changes of a score while its platform was away ({row['refused']} tries): "
        f"{row['posts']} POST afterwards, goal 1: {'reached' if row['posts'] == 1 else 'MISSED'}"
        for name, row in report.items()
    ]
