"""`make bench`: how fast launches, score delivery, searches, rosters and a term's end are, against plainer things on
the same machine.

    python -m tests.load.bench [--quick] [--term-end] [--json FILE]

With TEST_POSTGRES_URL set it also measures on PostgreSQL, in databases that it makes and drops. Everything
runs on 127.0.0.1 in a temporary folder and is gone afterwards. How to read the numbers: README.md beside this.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform as machine
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

from tests.databases import new_database
from tests.load import coalescing, deliveries, readback, roster, rounds, search, targets, term_end
from tests.load.client import IN_FLIGHT
from tests.load.messages import USERS

GOALS = {"launch": 1.0, "delivery": 0.6}
CHANGES = 100
"""Of one score while its platform is away."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under a minute, less certain")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.add_argument(
        "--term-end", action="store_true", help="the term's end with all its scores: 15 minutes more"
    )
    chosen = parser.parse_args()
    try:
        report = run(quick=chosen.quick, whole_term_end=chosen.term_end)
    except (rounds.MeasurementFailed, RuntimeError) as error:
        sys.exit(f"no result: {error}")
    print(table(report))
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=2) + "\n")


def run(*, quick: bool, whole_term_end: bool = False) -> dict[str, Any]:
    """All measurements as one report."""
    how_often, seconds = (3, 1.0) if quick else (5, 3.0)
    turns, scores = (2, 500) if quick else (3, 2000)
    courses, pages = (5_000, 10) if quick else (20_000, 40)
    members = 1_000 if quick else 10_000
    district = term_end.Size(6, 100) if quick else term_end.Size(40, 750)
    if whole_term_end:
        district = term_end.Size(40, 3000)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gongyu-bench-")))
        lms = stack.enter_context(targets.platform(folder))
        instances = _instances(stack, lms)
        with contextlib.ExitStack() as serving:
            tools = _tools(serving, lms, instances)
            rounds.warm_up(lms, tools)
            launches = rounds.measure(lms, tools, how_often, seconds)
            memory = {tool.name: rounds.worker_memory_mb(tool) for tool in tools}
        delivered = deliveries.measure(lms, instances, turns, scores)
        searched = search.measure(folder, courses, pages)
        read = roster.measure(lms, instances, members, turns)
        coalesced = coalescing.measure(lms, instances, CHANGES)
        read_back = readback.measure(lms, instances, members)
        ended = _term_end(lms, district)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": machine.python_version()},
        "settings": {
            "users": USERS,
            "in_flight": IN_FLIGHT,
            "workers": targets.WORKERS,
            "threads": targets.THREADS,
            "rounds": how_often,
            "seconds": seconds,
            "scores": scores,
            "courses": courses,
            "pages": pages,
            "members": members,
            "postgresql": len(instances) > 1,
        },
        "launches": _launch_report(launches, memory),
        "delivery": _delivery_report(delivered),
        "search": searched,
        "roster": read,
        "coalescing": coalesced,
        "read_back": read_back,
        "term_end": ended,
    }


def _instances(stack: contextlib.ExitStack, lms: targets.Platform) -> list[targets.Instance]:
    databases = {targets.SQLITE: ""}  # the product's own default: a file in its instance folder
    server = os.environ.get("TEST_POSTGRES_URL")
    if server:
        databases[targets.POSTGRES] = stack.enter_context(new_database(server))
    with ThreadPoolExecutor() as pool:
        return list(pool.map(targets.make_instance, databases, databases.values(), repeat(lms)))


def _term_end(lms: targets.Platform, size: term_end.Size) -> dict[str, Any] | None:
    """On PostgreSQL only: a district does not run on SQLite."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        return None
    with new_database(server) as database:
        return term_end.measure(lms, database, size)


def _tools(
    stack: contextlib.ExitStack, lms: targets.Platform, instances: Sequence[targets.Instance]
) -> list[targets.Running]:
    return [
        stack.enter_context(targets.plain_pages(lms)),
        stack.enter_context(targets.plain_pylti(targets.PYLTI, f"{lms.url}/jwks", lms)),
        stack.enter_context(targets.plain_pylti(targets.PYLTI_TLS, f"{lms.tls_url}/jwks", lms)),
        *(stack.enter_context(targets.product(instance, lms)) for instance in instances),
    ]


def _launch_report(
    launches: Mapping[str, Sequence[rounds.Round]], memory: Mapping[str, float]
) -> dict[str, Any]:
    def compared(name: str, other: str) -> dict[str, float]:
        return rounds.middle(rounds.ratios(launches[name], launches[other]))

    return {
        name: {
            "per_second": rounds.middle([one.per_second for one in measured]),
            "of_pages": compared(name, targets.PAGES),
            "of_pylti": compared(name, targets.PYLTI),
            "of_pylti_https": compared(name, targets.PYLTI_TLS),
            "median": {key: median(asdict(one)[key] for one in measured) for key in asdict(measured[0])},
            "worker_memory_mb": memory[name],
            "rounds": [asdict(one) for one in measured],
        }
        for name, measured in launches.items()
    }


def _delivery_report(delivered: Mapping[str, Sequence[deliveries.Delivery]]) -> dict[str, Any]:
    bare = delivered[deliveries.BARE]
    return {
        name: {
            "per_second": rounds.middle([one.per_second for one in measured]),
            "of_bare": rounds.middle(
                [a.per_second / b.per_second for a, b in zip(measured, bare, strict=True)]
            ),
            "cpu_ms": median(one.cpu_ms for one in measured),
            "turns": [asdict(one) for one in measured],
        }
        for name, measured in delivered.items()
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    how = report["settings"]
    lines = [
        f"Complete launches: {how['users']} parents, {how['in_flight']} at a time, gunicorn {how['workers']} x "
        f"{how['threads']} threads, {how['rounds']} rounds of {how['seconds']} s, {report['machine']['cores']} cores",
        f"{'':20}{'launches/s':>20}{'x pages':>9}{'x pylti http':>20}{'x pylti https':>20}"
        f"{'median/p95 ms':>16}{'tool CPU ms':>13}{'MB':>6}",
    ]
    lines += [_launch_line(name, row) for name, row in report["launches"].items()]
    lines += ["", "How the CPU in use was shared (the rest: PostgreSQL and whatever else runs here):"]
    lines += [_share_line(name, row["median"]) for name, row in report["launches"].items()]
    lines += ["", f"Scores delivered: {how['scores']} due, one worker, one call in flight"]
    lines += [f"{'':20}{'scores/s':>20}{'x bare loop':>20}{'CPU ms':>9}"]
    lines += [_delivery_line(name, row) for name, row in report["delivery"].items()]
    lines += ["", *search.table(report["search"], how["courses"], how["pages"])]
    lines += ["", *roster.table(report["roster"], how["members"])]
    lines += ["", *readback.table(report["read_back"], how["members"])]
    if report["term_end"]:
        lines += ["", *term_end.table(report["term_end"])]
    if not how["postgresql"]:
        lines += ["", "PostgreSQL was not measured: TEST_POSTGRES_URL is not set."]
    return "\n".join([*lines, "", *_verdicts(report)])


def _launch_line(name: str, row: Mapping[str, Any]) -> str:
    mid = row["median"]
    return (
        f"{name:20}{_spread(row['per_second'], 0):>20}{row['of_pages']['median']:>9.2f}"
        f"{_spread(row['of_pylti'], 2):>20}{_spread(row['of_pylti_https'], 2):>20}"
        f"{mid['median_ms']:>9.0f}/{mid['p95_ms']:<6.0f}{mid['tool_cpu_ms']:>13.1f}{row['worker_memory_mb']:>6.0f}"
    )


def _share_line(name: str, mid: Mapping[str, float]) -> str:
    parts = {part: mid[f"{part}_cpu_ms"] for part in ("tool", "client", "platform", "other")}
    shares = "  ".join(f"{part} {100 * value / sum(parts.values()):.0f} %" for part, value in parts.items())
    return f"{name:20}  {shares.replace('other', 'rest')}"


def _delivery_line(name: str, row: Mapping[str, Any]) -> str:
    return (
        f"{name:20}{_spread(row['per_second'], 0):>20}{_spread(row['of_bare'], 2):>20}{row['cpu_ms']:>9.2f}"
    )


def _spread(values: Mapping[str, float], digits: int) -> str:
    return f"{values['median']:.{digits}f} ({values['lowest']:.{digits}f}-{values['highest']:.{digits}f})"


def _verdicts(report: Mapping[str, Any]) -> list[str]:
    lines = []
    for name in targets.PRODUCTS:
        if name not in report["launches"]:
            continue
        launch, delivery = report["launches"][name], report["delivery"][name]
        for other in ("of_pylti_https", "of_pylti"):
            what = f"{name}: launch, x plain PyLTI1p3 tool, key set over {'https' if 'https' in other else 'http'}"
            lines.append(_verdict(what, launch[other]["median"], GOALS["launch"]))
        lines.append(
            _verdict(f"{name}: delivery, x bare loop", delivery["of_bare"]["median"], GOALS["delivery"])
        )
    lines += [*search.verdicts(report["search"]), *roster.verdicts(report["roster"])]
    lines += [*coalescing.verdicts(report["coalescing"]), *readback.verdicts(report["read_back"])]
    return lines + (term_end.verdicts(report["term_end"]) if report["term_end"] else [])


def _verdict(what: str, value: float, goal: float) -> str:
    return f"{what}: {value:.2f}, goal {goal:.1f}: {'reached' if value >= goal else 'MISSED'}"


if __name__ == "__main__":
    main()
