"""Measuring delivery in turns: one worker on each database, and a bare loop, against the same platform."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.load.rounds import MeasurementFailed, platform_state
from tests.load.targets import Instance, Platform
from tests.platforms.process import ROOT, python

BARE = "bare-loop"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One measurement; CPU in milliseconds of the sending process for each score."""

    delivered: int
    seconds: float
    per_second: float
    cpu_ms: float


def measure(
    lms: Platform, instances: Sequence[Instance], turns: int, scores: int
) -> dict[str, list[Delivery]]:
    """`turns` measurements by name of instance (and BARE), alternating."""
    results: dict[str, list[Delivery]] = {name: [] for name in (BARE, *(i.name for i in instances))}
    for turn in range(turns):
        results[BARE].append(_one_turn(lms, None, turn, scores))
        for instance in instances:
            results[instance.name].append(_one_turn(lms, instance, turn, scores))
    return results


def _one_turn(lms: Platform, instance: Instance | None, turn: int, scores: int) -> Delivery:
    module = "deliver_product" if instance else "deliver_bare"
    task = ("--scores", str(scores), "--turn", str(turn), "--platform", lms.url)
    environment = {**os.environ, **(instance.environment if instance else {}), "GONGYU_WORKER": "none"}
    before = platform_state(lms)["scores"]
    done = subprocess.run(
        python("-m", f"tests.load.{module}", *task),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise MeasurementFailed(f"{module} failed\n{done.stderr[-2000:]}")
    result = Delivery(**json.loads(done.stdout))
    arrived = platform_state(lms)["scores"] - before
    if not result.delivered == arrived == scores:
        raise MeasurementFailed(f"{module}: {scores} due, {result.delivered} delivered, {arrived} arrived")
    return result
