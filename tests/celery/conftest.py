"""Brokers of our own, a district of platforms, and real worker and beat processes on PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from lti_app import create_app
from lti_app.extensions import db
from lti_app.gradebook.models import Score
from tests.celery.brokers import Broker, running
from tests.celery.school import Cell, District, School, district
from tests.conftest import TEST_KEY, settings_for
from tests.databases import service
from tests.fake_ags import Desk, FakeAgs
from tests.platforms.process import ROOT, python

PATIENCE = 60.0


@pytest.fixture(
    scope="session",
    params=[pytest.param("redis", marks=pytest.mark.redis), pytest.param("amqp", marks=pytest.mark.amqp)],
)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Each kind of broker, one server for all tests; who kills it starts it again."""
    scheme = request.param
    service("RabbitMQ" if scheme == "amqp" else "Redis", f"TEST_{scheme.upper()}_URL")
    with running(scheme, tmp_path_factory.mktemp("brokers") / scheme) as server:
        yield server


@dataclass
class Site:
    """A tool with its processes, and what its people want the platforms to show."""

    desk: Desk
    district: District
    environment: Mapping[str, str]
    folder: Path
    wanted: dict[Cell, float] = field(default_factory=dict)
    ever_wanted: dict[Cell, list[float]] = field(default_factory=dict)
    columns: dict[str, int | None] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def school(self, name: str) -> School:
        """A registered platform with one column."""
        school = self.district.school(name)
        urls = [f"--{part}-url={school.url}/{part}" for part in ("auth", "token", "jwks")]
        self.desk.operator(
            *("platforms", "add", "--kind", "generic", "--url", school.url, "--issuer", school.url, *urls),
            *("--client-id", "client", "--deployment-id", "1", "--name", name),
            *("--allow-http", "--allow-private-network"),
        )
        self.columns[name] = self.desk.column(school)  # type: ignore[arg-type]
        return school

    def want(self, school: School, people: int, given: int) -> None:
        """Everybody of the school shall have this grade (points of 100)."""
        for number in range(people):
            cell = (school.column_url("c1"), f"u{number}")
            self.desk.want(self.columns[school.host], cell[1], given * 100)
            self.wanted[cell] = given
            self.ever_wanted.setdefault(cell, []).append(given)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`celery …` as a process."""
        number = len(self.processes)
        with (self.folder / f"{number}-{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                python("-m", "tests.celery.launcher", *arguments),
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        number = self.processes.index(process)
        return next(self.folder.glob(f"{number}-*.log")).read_text()

    def shown(self) -> dict[Cell, float]:
        return {cell: value for s in self.district.schools.values() for cell, value in s.grades().items()}

    def unsent(self) -> int:
        with self.desk.work():
            due = select(func.count()).where(Score.due_at.is_not(None))
            return db.session.scalar(due) or 0

    def posts(self) -> int:
        return sum(school.posts for school in self.district.schools.values())

    def wait(self, until: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not until():
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {p.args}\n{self.log(p)[-3000:]}" for p in self.processes)
                pytest.fail(f"{what} did not happen; {self.posts()} posts\n{logs}")
            time.sleep(0.1)

    def wait_for_posts(self, number: int) -> None:
        self.wait(lambda: self.posts() >= number, f"{number} posts")

    def settle(self) -> int:
        """Wait until every platform shows what is wanted and the rows say so. Nothing else ever arrived, and
        in the order in which it was wanted. Returns how many posts were repetitions."""
        self.wait(lambda: self.shown() == self.wanted, "what is wanted")
        self.wait(lambda: self.unsent() == 0, "the end of the queue")
        repeated = 0
        for school in self.district.schools.values():
            assert school.most_in_flight <= 2, "more calls at a time than the platform allows"
            for cell, values in school.arrived.items():
                distinct = list(dict.fromkeys(values))
                assert distinct == [v for v in self.ever_wanted[cell] if v in distinct], cell
                assert sorted(values, key=distinct.index) == values, f"{cell}: an older value came again"
                repeated += len(values) - len(distinct)
        assert self.shown() == self.wanted
        return repeated


@pytest.fixture
def site(broker: Broker, postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    """A tool on PostgreSQL whose workers use `broker`; no process is started yet."""
    with opened(broker.url, postgres_url, tmp_path) as here:
        yield here


@contextlib.contextmanager
def opened(broker_url: str, postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    """The site on a database that `prepare` made; what was started ends with the block."""
    environment = {
        "GONGYU_SECRET_KEY": "only-for-tests-only-for-tests",
        "GONGYU_KEY_ENCRYPTION_KEY": TEST_KEY,
        "GONGYU_INSTANCE": str(tmp_path),
        "GONGYU_DATABASE_URL": postgres_url,
        "GONGYU_WORKER": "celery",
        "GONGYU_DELIVERY_THREADS": "8",
        "GONGYU_BROKER_URL": broker_url,
        "PYTHONWARNINGS": "default,ignore:You're running the worker with superuser",
    }
    app = create_app(settings_for(tmp_path, postgres_url))
    with district() as schools:
        here = Site(Desk(app, FakeAgs()), schools, environment, tmp_path)
        yield here
        for process in here.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
