"""A term's end for a whole district: every platform is 100 ms away and takes two calls at a time.

The product runs as operators run it (two gunicorn processes with the embedded worker; two Celery workers with a beat, on
a Redis of its own), against the platforms of `tests.load.district`; then once more with one platform dead and one that
refuses now and then. The measure is the time that two calls in flight at every platform would need, and what a score
costs threads that post it with bare `requests`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from tests.load import targets
from tests.load.deliverers import CELERY, EMBEDDED, Deliverers, ways
from tests.load.district import host
from tests.load.processes import cpu_seconds, family, memory_mb
from tests.load.rounds import MeasurementFailed
from tests.load.targets import Instance, Platform
from tests.platforms.process import ROOT, free_port, python, serving

LATENCY = 0.1
PARALLEL = 2
WARM = 2
"""Scores of every school before the clock starts: tokens, connections and code are ready then."""
GOALS = {"ratio": 1.25, "others": 1.1, "cpu": 1.5, "growth": 1.1}


@dataclass(frozen=True, slots=True)
class Size:
    """How large the district is. At least three schools: two of them get into trouble."""

    schools: int
    scores: int

    @property
    def ideal(self) -> float:
        """Seconds that `PARALLEL` calls in flight at every platform need."""
        return self.scores * LATENCY / PARALLEL

    @property
    def total(self) -> int:
        return self.schools * self.scores


@dataclass(frozen=True, slots=True)
class District:
    """The running platforms; `url` is where the measurement asks them."""

    size: Size
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def state(self) -> list[dict[str, Any]]:
        """The ledger of every school."""
        with urllib.request.urlopen(f"{self.url}/state", timeout=10) as answer:
            ledgers: list[dict[str, Any]] = json.load(answer)
        return ledgers

    def begin(self, modes: Mapping[int, str]) -> None:
        """Empty the ledgers; the schools in `modes` are in trouble from now on."""
        body = json.dumps({str(number): mode for number, mode in modes.items()}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/term", data=body), timeout=10).close()


@dataclass(frozen=True, slots=True)
class TermEnd:
    """One measurement. `seconds` until the last healthy school had everything, CPU in milliseconds of the
    product's processes for each score, memory of all of them together."""

    seconds: float
    ratio: float
    cpu_ms: float
    platform_cpu_ms: float
    quarter_mb: float
    end_mb: float
    per_school: list[float]
    in_trouble: dict[str, int]
    """Scores that the schools in trouble had stored by then."""


def measure(
    lms: Platform, database_url: str, size: Size, names: Collection[str] = (EMBEDDED, CELERY)
) -> dict[str, Any]:
    """The bare threads, and each way to run the product: with all schools healthy, then with two in trouble."""
    instance = replace(targets.make_instance("district", database_url, lms), port=free_port())
    with running(lms.folder, size) as district:
        _product(
            instance, "prepare", "--port", district.port, "--schools", size.schools, "--people", size.scores
        )
        floor = bare(district)
        report: dict[str, Any] = {"size": asdict(size) | {"ideal": size.ideal}, "bare": floor}
        trouble = {size.schools - 1: "dead", size.schools - 2: "throttled"}
        for name, start in ((name, start) for name, start in ways().items() if name in names):
            well = one_end(lms, instance, district, start, {})
            troubled = one_end(lms, instance, district, start, trouble)
            others = max(well.per_school[: size.schools - 2])
            report[name] = {
                "well": asdict(well),
                "troubled": asdict(troubled),
                "others": max(troubled.per_school[: size.schools - 2]) / others,
                "cpu": well.cpu_ms / floor["cpu_ms"],
                "growth": well.end_mb / well.quarter_mb,
            }
    return report


@contextlib.contextmanager
def running(folder: Path, size: Size) -> Iterator[District]:
    """The district's platforms."""
    port = free_port()
    how = ("--port", str(port), "--schools", str(size.schools), "--latency", str(LATENCY))
    command = python("-m", "tests.load.district", *how)
    with serving(command, f"http://127.0.0.1:{port}/state", log=folder / "platforms.log") as process:
        yield District(size, port, process.pid)


def bare(district: District) -> dict[str, float]:
    """What a score costs bare threads, in two processes as the product's, and how near they come to the ideal:
    no nearer than that can anything come on this machine."""
    size = district.size
    half, scores = size.schools // 2, max(size.scores // 4, 5)
    district.begin({})
    senders = [
        subprocess.Popen(
            python("-m", "tests.load.district_bare", "--schools", schools, "--port", str(district.port))
            + ["--scores", str(scores), "--turn", "1"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for schools in (f"0-{half}", f"{half}-{size.schools}")
    ]
    results = [json.loads(sender.communicate(timeout=300)[0]) for sender in senders]
    if sum(ledger["stored"] for ledger in district.state()) != scores * size.schools:
        raise MeasurementFailed("the bare threads did not post every score once")
    return {
        "cpu_ms": sum(result["cpu_ms"] for result in results) / len(results),
        "ratio": max(result["seconds"] for result in results) / Size(size.schools, scores).ideal,
    }


def one_end(
    lms: Platform, instance: Instance, district: District, start: Deliverers, modes: Mapping[int, str]
) -> TermEnd:
    """One term's end, with the schools in `modes` in trouble from its beginning."""
    healthy = [number for number in range(district.size.schools) if number not in modes]
    _product(instance, "reset")
    with start(instance, lms) as pids:
        district.begin({})
        _make_due(instance, WARM)
        _wait_until_written(instance, range(district.size.schools), WARM)
        district.begin(modes)
        cpu = sum(map(cpu_seconds, pids)), cpu_seconds(district.pid)
        began = _make_due(instance, district.size.scores)
        limit = 3 * district.size.ideal + 60
        _wait(district, healthy, district.size.scores // 4, limit)
        quarter = _memory_mb(pids)
        ledgers = _wait(district, healthy, district.size.scores, limit)
        end = _memory_mb(pids)
        ours, theirs = sum(map(cpu_seconds, pids)) - cpu[0], cpu_seconds(district.pid) - cpu[1]
        _wait_until_written(instance, healthy, district.size.scores)
    stored = sum(ledger["stored"] for ledger in ledgers)
    per_school = [ledgers[number]["last"] - began for number in healthy]
    return TermEnd(
        seconds=max(per_school),
        ratio=max(per_school) / district.size.ideal,
        cpu_ms=1000 * ours / stored,
        platform_cpu_ms=1000 * theirs / stored,
        quarter_mb=quarter,
        end_mb=end,
        per_school=per_school,
        in_trouble={f"{mode} ({number})": ledgers[number]["stored"] for number, mode in modes.items()},
    )


def _wait(district: District, schools: Sequence[int], scores: int, seconds: float) -> list[dict[str, Any]]:
    """Until each of these schools has stored so many scores. Each score must have arrived exactly once."""
    until = time.monotonic() + seconds
    while True:
        ledgers = district.state()
        mine = [ledgers[number] for number in schools]
        if any(ledger["stored"] > ledger["people"] or ledger["most_flying"] > PARALLEL for ledger in mine):
            raise MeasurementFailed(f"a score twice, or too many calls at a time: {mine}")
        if all(ledger["people"] >= scores for ledger in mine):
            return ledgers
        if time.monotonic() > until:
            missing = [scores - ledger["people"] for ledger in mine if ledger["people"] < scores]
            raise MeasurementFailed(f"scores missing after {seconds:.0f} s: {missing}")
        time.sleep(0.5)


def _wait_until_written(instance: Instance, schools: Sequence[int], scores: int) -> None:
    """Until the product's database says of each of these schools that so many scores were sent, and no more
    wait."""
    until = time.monotonic() + 30
    while (states := _states(instance, schools)) != {"sent": scores * len(schools)}:
        if time.monotonic() > until:
            raise MeasurementFailed(f"what was sent is not written down: {states}")
        time.sleep(0.5)


def _states(instance: Instance, schools: Sequence[int]) -> dict[str, int]:
    url = make_url(instance.environment["GONGYU_DATABASE_URL"]).set(drivername="postgresql")
    hosts = [f"%//{host(number)}:%" for number in schools]
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        rows = connection.execute(
            "SELECT state, count(*) FROM score JOIN registration ON registration.id = registration_id "
            "WHERE name LIKE ANY(%s) GROUP BY state",
            [hosts],
        )
        return dict(rows.fetchall())


def _make_due(instance: Instance, people: int) -> float:
    return float(_product(instance, "due", "--people", people))


def _product(instance: Instance, *arguments: str | int) -> str:
    done = subprocess.run(
        python("-m", "tests.load.district_product", *map(str, arguments)),
        cwd=ROOT,
        env={**os.environ, **instance.environment, "GONGYU_WORKER": "none"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise MeasurementFailed(f"district_product {arguments[0]} failed\n{done.stderr[-2000:]}")
    return done.stdout


def _memory_mb(pids: Sequence[int]) -> float:
    return sum(memory_mb(member) for pid in pids for member in family(pid))


def table(report: Mapping[str, Any]) -> list[str]:
    """The measurements for people."""
    size = report["size"]
    lines = [
        f"A term's end: {size['schools']} platforms, {size['scores']} scores each, {LATENCY * 1000:.0f} ms, "
        f"{PARALLEL} calls at a time: ideal {size['ideal']:.1f} s",
        f"{'':24}{'seconds':>9}{'x ideal':>9}{'CPU ms':>9}{'x bare':>9}{'MB at 25 %':>12}{'MB at end':>11}",
        f"{'bare threads':24}{'':9}{report['bare']['ratio']:>9.2f}{report['bare']['cpu_ms']:>9.2f}",
    ]
    for name in (EMBEDDED, CELERY):
        for case in ("well", "troubled") if name in report else ():
            row = report[name][case]
            lines.append(
                f"{name + (', 2 in trouble' if case == 'troubled' else ''):24}{row['seconds']:>9.1f}{row['ratio']:>9.2f}"
                f"{row['cpu_ms']:>9.2f}{row['cpu_ms'] / report['bare']['cpu_ms']:>9.2f}"
                f"{row['quarter_mb']:>12.0f}{row['end_mb']:>11.0f}"
            )
    return lines


def verdicts(report: Mapping[str, Any]) -> list[str]:
    """Each number that has a goal."""
    words = {
        "ratio": "term's end, x ideal",
        "others": "two platforms in trouble, x time of the others without",
        "cpu": "CPU of a score, x bare threads",
        "growth": "memory at the end, x at 25 %",
    }
    lines = []
    for name in (EMBEDDED, CELERY):
        for key, goal in GOALS.items() if name in report else ():
            value = report[name]["well"]["ratio"] if key == "ratio" else report[name][key]
            word = "reached" if value <= goal else "MISSED"
            lines.append(f"{name}: {words[key]}: {value:.2f}, goal {goal}: {word}")
    return lines
