"""Measuring launches in rounds: every target in turn, several times, so that all share the machine's moods."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.load.messages import USERS
from tests.load.processes import cpu_seconds, family, machine_cpu_seconds, memory_mb
from tests.load.targets import PRODUCTS, Platform, Running
from tests.platforms.process import ROOT, python

WARM_SECONDS = 1.0


class MeasurementFailed(Exception):
    """A number would be worthless: launches failed, or the load client did."""


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one target. CPU in milliseconds for each launch."""

    launches: int
    per_second: float
    median_ms: float
    p95_ms: float
    tool_cpu_ms: float
    client_cpu_ms: float
    platform_cpu_ms: float
    other_cpu_ms: float
    key_set_fetches: int
    """How often the platform was asked for its keys."""


def warm_up(lms: Platform, tools: Sequence[Running]) -> None:
    """Make accounts, warm code, fill caches: in the product every parent launches once."""
    for tool in tools:
        if tool.name in PRODUCTS:
            result = _run_client(lms, tool, "--each-once")
            if result["launches"] != USERS:
                raise MeasurementFailed(
                    f"{tool.name}: {result['launches']} of {USERS} first launches in time"
                )
        _run_client(lms, tool, "--seconds", str(WARM_SECONDS))  # long enough to reach both workers


def measure(lms: Platform, tools: Sequence[Running], rounds: int, seconds: float) -> dict[str, list[Round]]:
    """`rounds` measurements of each target by name, alternating, the order reversed each time."""
    results: dict[str, list[Round]] = {tool.name: [] for tool in tools}
    for number in range(rounds):
        for tool in tools if number % 2 == 0 else reversed(tools):
            results[tool.name].append(_one_round(lms, tool, seconds))
    return results


def ratios(ours: Sequence[Round], theirs: Sequence[Round]) -> list[float]:
    """Launches per second of one target for each of another, round by round."""
    return [our.per_second / their.per_second for our, their in zip(ours, theirs, strict=True)]


def middle(values: Sequence[float]) -> dict[str, float]:
    """Median and spread."""
    return {"median": median(values), "lowest": min(values), "highest": max(values)}


def worker_memory_mb(tool: Running) -> float:
    """Resident memory of the largest worker."""
    return max(memory_mb(pid) for pid in family(tool.pid)[1:])


def platform_state(lms: Platform) -> dict[str, int]:
    """How often the platform's services were asked so far."""
    with urllib.request.urlopen(f"{lms.url}/state", timeout=5) as answer:
        state: dict[str, int] = json.load(answer)
    return state


def _one_round(lms: Platform, tool: Running, seconds: float) -> Round:
    fetched = platform_state(lms)["jwks"]
    before = (cpu_seconds(tool.pid), cpu_seconds(lms.pid), machine_cpu_seconds())
    result = _run_client(lms, tool, "--seconds", str(seconds))
    after = (cpu_seconds(tool.pid), cpu_seconds(lms.pid), machine_cpu_seconds())
    done = result["launches"]
    tool_ms, platform_ms, all_ms = ((b - a) * 1000 / done for a, b in zip(before, after, strict=True))
    return Round(
        launches=done,
        per_second=result["per_second"],
        median_ms=result["median_ms"],
        p95_ms=result["p95_ms"],
        tool_cpu_ms=tool_ms,
        client_cpu_ms=result["client_cpu_ms"],
        platform_cpu_ms=platform_ms,
        other_cpu_ms=all_ms - tool_ms - platform_ms - result["client_cpu_ms"],
        key_set_fetches=platform_state(lms)["jwks"] - fetched,
    )


def _run_client(lms: Platform, tool: Running, *how: str) -> dict[str, Any]:
    where = ("--base", tool.base, "--issuer", lms.url, "--folder", str(lms.folder))
    done = subprocess.run(
        python("-m", "tests.load.client", *where, *how), cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise MeasurementFailed(f"{tool.name}: the load client failed\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["failures"] or result["launches"] < 2:
        log = (lms.folder / f"{tool.name}.log").read_text()[-2000:]
        raise MeasurementFailed(f"{tool.name}: {result['failures']}\n{log}")
    return result
