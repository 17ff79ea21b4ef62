"""A database, workers as processes, and schools of the faulty platform: what a test of faults plays on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, or_, select, update

from integrations.terms import ActivityProgress, GradingProgress
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, Score, ScoreState
from lti_app.gradebook.services import set_score
from lti_app.roster.models import LtiUser
from tests.conftest import TEST_KEY, settings_for
from tests.fake_ags import Desk, FakeAgs, School
from tests.platforms.faulty.running import Faulty
from tests.platforms.process import ROOT

EMBEDDED = [sys.executable, "-m", "tests.faults.tool"]
COMMAND = [sys.executable, "-m", "flask", "--app", "tests.faults.tool:make_app", "worker"]
SETTLING = 60.0
SHORT_LEASE = 3.0
"""Longer than a call may take, as in production."""
LONG_LEASE = 90.0
"""Production's own: no stall of a busy machine loses it."""
LONGEST_WAIT = 1.0
"""The longest rest of a worker of this stage, in seconds (set in `tool`)."""


@dataclass
class Class:
    """A column at a school, its people, and every value that was ever wanted for each of them, in order."""

    school: School
    column: int
    wanted: dict[str, list[int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.school.host

    @property
    def kind(self) -> str:
        return self.school.kind

    def desired(self) -> dict[tuple[str, str], float]:
        return {("c1", user): values[-1] / 100 for user, values in self.wanted.items()}


@dataclass
class Stage:
    app: Flask
    faulty: Faulty
    folder: Path
    desk: Desk
    argv: list[str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # -- schools and wishes ------------------------------------------------------------------------

    def add_class(self, name: str, kind: str = "generic", people: int = 30, **wanted: Any) -> Class:
        """A school with one column and `people` learners; nothing is wanted of them yet."""
        school = School(name, kind)
        school.url = self.faulty.school(name, kind=kind, **wanted)
        urls = [f"--{part}-url={school.url}/{part}" for part in ("auth", "token", "jwks")]
        self.desk.operator(
            *("platforms", "add", "--kind", kind, "--url", school.url, "--issuer", school.url, *urls),
            *("--client-id", "client", "--deployment-id", "1", "--name", name),
            *("--allow-http", "--allow-private-network"),
        )
        column = self.desk.column(school)
        assert column is not None
        with self.desk.work():
            owner = self.desk.registration(school).id
            db.session.add_all(LtiUser(registration_id=owner, sub=f"u{n}") for n in range(people))
        return Class(school, column, {f"u{n}": [] for n in range(people)})

    def want(self, group: Class, users: list[str] | None = None, value: int | None = None) -> None:
        """In one transaction a new value for each of the users (default: all), any other than the last."""
        with self.desk.work():
            column = db.session.get_one(LineItem, group.column)
            found = select(LtiUser.sub, LtiUser.id).where(LtiUser.registration_id == column.registration_id)
            logins = {row.sub: row.id for row in db.session.execute(found)}
            for user in sorted(users or group.wanted, key=lambda sub: logins[sub]):
                before = group.wanted[user][-1] if group.wanted[user] else None
                new = value if value is not None else random.choice([v for v in range(10001) if v != before])
                set_score(
                    column,
                    logins[user],
                    given=new,
                    submitted_at=utc_now(),
                    activity_progress=ActivityProgress.COMPLETED,
                    grading_progress=GradingProgress.FULLY_GRADED,
                )
                group.wanted[user].append(new)

    # -- workers -----------------------------------------------------------------------------------

    def start_worker(self, lease: float = SHORT_LEASE) -> subprocess.Popen[bytes]:
        """`lease` in seconds: what a killed worker held is free again after it."""
        settings = self.app.config["SETTINGS"]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GONGYU_")},
            "GONGYU_SECRET_KEY": settings.secret_key,
            "GONGYU_KEY_ENCRYPTION_KEY": TEST_KEY,
            "GONGYU_INSTANCE": str(self.folder / "instance"),
            "GONGYU_DATABASE_URL": settings.database_url,
            "GONGYU_WORKER": "embedded" if self.argv is EMBEDDED else "none",
            "GONGYU_DELIVERY_THREADS": "4",
            "GONGYU_LOG_LEVEL": "WARNING",
            "PYTHONWARNINGS": "default",
            "TEST_LEASE_SECONDS": str(lease),
        }
        with (self.folder / "worker.log").open("ab") as out:
            worker = subprocess.Popen(self.argv, cwd=ROOT, env=environment, stdout=out, stderr=out)
        self.workers.append(worker)
        return worker

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL: nothing of it runs any more, not even a clean-up."""
        worker.kill()
        worker.wait()
        self.workers.remove(worker)

    def end_worker(self, worker: subprocess.Popen[bytes], seconds: float = 20) -> int:
        """SIGTERM; returns its exit code."""
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(seconds)
        self.workers.remove(worker)
        return code

    def end(self) -> None:
        for worker in list(self.workers):
            self.kill_worker(worker)

    def log(self) -> str:
        path = self.folder / "worker.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def arrived(self, groups: list[Class]) -> int:
        """How many scores reached these schools so far."""
        return sum(len(self.faulty.state(group.name)["arrivals"]) for group in groups)

    def until_more(self, groups: list[Class], number: int) -> None:
        """Wait until that many more scores have reached these schools."""
        before = self.arrived(groups)
        until(lambda: self.arrived(groups) >= before + number, trace=self.trace)

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """No school answers anybody within the block; what was on its way arrives after it."""
        os.kill(self.faulty.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.faulty.pid, signal.SIGCONT)

    def jwks(self) -> dict[str, Any]:
        """The tool's public keys, as a platform fetches them."""
        answer = self.app.test_client().get("/lti/jwks.json", base_url="https://tool.test")
        return dict(answer.get_json())

    def refusals(self, group: Class) -> list[str]:
        """Why the school refused assertions."""
        return list(self.faulty.state(group.name)["assertions_refused"])

    # -- the end -----------------------------------------------------------------------------------

    def unsettled(self) -> int:
        """How many scores are not with their platform as they should be."""
        with self.desk.work():
            open_ones = or_(Score.state != ScoreState.SENT, Score.sent_revision != Score.revision)
            return int(db.session.scalar(select(func.count()).select_from(Score).where(open_ones)) or 0)

    def settle(self, seconds: float = SETTLING) -> None:
        """Wait until everything was sent and nobody holds a lease; the workers do it by themselves."""

        def done() -> bool:
            alive = [worker.poll() for worker in self.workers]
            assert None in alive, f"no worker lives: {alive}\n{self.log()}"
            return not self.unsettled() and not self.leases()

        until(done, seconds, self.trace)

    def trace(self) -> str:
        """What to know about scores that never settle."""
        with self.desk.work():
            waiting = db.session.execute(
                select(Score.registration_id, Score.state, Score.outcome, Score.detail, func.count())
                .where(or_(Score.state != ScoreState.SENT, Score.sent_revision != Score.revision))
                .group_by(Score.registration_id, Score.state, Score.outcome, Score.detail)
            ).all()
            slots = db.session.execute(
                select(DeliverySlot.registration_id, DeliverySlot.holder, DeliverySlot.last_error)
            ).all()
        return f"{waiting}\n{slots}\n{self.log()}"

    def until_quiet(self, group: Class) -> None:
        """Wait until nothing arrives at the school any more: it has everything, or gets no more."""
        before = -1
        while before != (now := self.arrived([group])):
            before = now
            time.sleep(1.0)

    def leases(self) -> int:
        with self.desk.work():
            held = select(func.count()).select_from(DeliverySlot).where(DeliverySlot.holder.is_not(None))
            return int(db.session.scalar(held) or 0)

    def heal(self, group: Class) -> None:
        """The school is well again, and whoever was left alone is tried at once."""
        self.faulty.change(group.name, faults=[])
        with self.desk.work():
            db.session.execute(
                update(Score)
                .where(Score.line_item_id == group.column, Score.state == ScoreState.HELD)
                .values(state=ScoreState.WAITING, due_at=utc_now())
            )

    def proof(self, group: Class) -> Counter[str]:
        """Assert that the gradebook is as wanted and that nothing ever reached it that was not wanted; returns
        the counts of `arrivals`, `stored`, and `repeats` (the same value stored again for a person)."""
        state = self.faulty.quiet(group.name)
        shown = {(column, user): points for column, user, points in state["grades"]}
        assert shown == group.desired()
        counts = Counter(arrivals=len(state["arrivals"]), stored=0, repeats=0)
        last: dict[str, float] = {}
        for line in state["arrivals"]:
            user, points = line["userId"], line["scoreGiven"]
            assert points in [value / 100 for value in group.wanted[user]], f"{user} never had {points}"
            if line["stored"]:
                counts["stored"] += 1
                counts["repeats"] += last.get(user) == points
                last[user] = points
        assert {("c1", user): points for user, points in last.items()} == group.desired()
        return counts


@contextlib.contextmanager
def stage(database_url: str, folder: Path, faulty: Faulty, argv: list[str]) -> Iterator[Stage]:
    """`database_url` is migrated; workers are started by the test."""
    app = create_app(settings_for(folder / "instance", database_url))
    playing = Stage(app, faulty, folder, Desk(app, FakeAgs()), argv)
    try:
        yield playing
    finally:
        playing.end()
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def until(holds: Callable[[], bool], seconds: float = SETTLING, trace: Callable[[], str] = str) -> None:
    """Wait until it holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never came: {trace()}"
        time.sleep(0.1)
