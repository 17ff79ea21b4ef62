"""Several schools' token endpoints, columns and scores in one requests adapter, with faults and an exact ledger.

`Desk` puts a school's people and columns into the database and moves scores to it, without any browser.
"""

from __future__ import annotations

import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from flask import Flask
from requests.adapters import BaseAdapter
from sqlalchemy import event, select

from integrations.http import PlatformHttp
from integrations.terms import ActivityProgress, GradingProgress
from lti_app import create_app
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.turns import Work
from lti_app.delivery.worker import drain, run_once
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook.delivery.work import deliver
from lti_app.gradebook.models import LineItem, Score
from lti_app.gradebook.services import column_for, retry, set_score
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, LtiUser, ResourceLink
from tests.conftest import settings_for
from tests.platforms.faulty.gradebook import Answer, Gradebook

SCOPES = [f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "score")]
READING = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
Fault = Callable[[requests.PreparedRequest], "Answer | None"]


class Killed(BaseException):
    """The worker process is gone: not even its clean-up runs."""


def answer(status: int, body: Any = None, **headers: str) -> Fault:
    """A fault that answers instead of the school."""
    return lambda _: (status, body if body is not None else {}, headers)


def failure(error: BaseException) -> Fault:
    """A fault of the network."""

    def fail(_: requests.PreparedRequest) -> Answer:
        raise error

    return fail


class School(Gradebook):
    """One platform. Each of `faults` meets one service call (not token calls); `always` meets all of them.

    `after` runs once, after the next score was stored and before its answer leaves. `dates` sends the
    school's clock with each answer; `headers` come with each good one.
    """

    def __init__(self, host: str, kind: str = "generic") -> None:
        super().__init__(f"https://{host}", kind)
        self.host = host
        self.faults: list[Fault] = []
        self.token_faults: list[Fault] = []
        self.always: Fault | None = None
        self.after: Callable[[], None] | None = None
        self.calls: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.dates = True
        self.headers: dict[str, str] = {}
        self.posted = threading.Event()

    def reply(self, request: requests.PreparedRequest) -> Answer:
        method, url = request.method or "", request.url or ""
        body = request.body.encode() if isinstance(request.body, str) else request.body
        is_token, fault = self._meet(method, urlsplit(url).path, request)
        if fault is not None:
            # Outside the lock: a fault may run a whole pass of another worker.
            spoiled = fault(request)
            if spoiled is not None:
                return spoiled
        if is_token:
            return self._token()
        status, content, headers = self.serve(method, url, body, request.headers)
        if url.partition("?")[0].endswith("/scores") and status < 300:
            self._stored()
        return status, content, {**headers, **self.headers}

    def _meet(self, method: str, path: str, request: requests.PreparedRequest) -> tuple[bool, Fault | None]:
        """Whether it is a call for a token, and what will happen to it."""
        with self.lock:
            self.calls.append((method, path))
            if path == "/token":
                return True, self.token_faults.pop(0) if self.token_faults else None
            if (request.headers.get("Authorization") or "").removeprefix("Bearer ") not in self.tokens:
                status = 403 if self.kind == "open-edx" else 401
                return False, answer(status, {"error": "Access token expired"})
            return False, self.faults.pop(0) if self.faults else self.always

    def _token(self) -> Answer:
        token = uuid.uuid4().hex
        with self.lock:
            self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600}, {}

    def _stored(self) -> None:
        with self.lock:
            self.posted.set()
            after, self.after = self.after, None
        if after is not None:
            after()


class FakeAgs(BaseAdapter):
    """The network: every host is one of `schools`; safe in threads. Counts how many calls a school has in
    flight. While `cut`, nothing arrives anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.schools: dict[str, School] = {}
        self.cut = False
        self.most_in_flight = 0
        self._in_flight: dict[str, int] = {}
        self._lock = threading.Lock()

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        host = urlsplit(request.url or "").hostname or ""
        if self.cut:
            raise requests.ConnectionError("the network is away")
        with self._lock:
            self._in_flight[host] = self._in_flight.get(host, 0) + 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight[host])
        try:
            status, body, headers = self.schools[host].reply(request)
        finally:
            with self._lock:
                self._in_flight[host] -= 1
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, request.url or ""
        response.raw = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        response.headers.update({"Content-Type": "application/json", **headers})
        school = self.schools[host]
        if school.dates:
            response.headers.setdefault("Date", format_datetime(school.now(), usegmt=True))
        return response

    def close(self) -> None:
        return None


@dataclass
class Desk:
    """Hands for tests: each call is a transaction of its own, as a request would be."""

    app: Flask
    network: FakeAgs
    works: Sequence[Work] = (deliver,)
    """What `pass_once` and `drain` run."""
    scopes: Sequence[str] = tuple(SCOPES)
    """What links of this desk's columns grant; with READING what the gradebook shows may be read too."""

    def school(self, host: str = "a.test", kind: str = "generic") -> School:
        """Register a platform as an operator would."""
        school = School(host, kind)
        self.network.schools[host] = school
        urls = [f"--{name}-url={school.url}/{name}" for name in ("auth", "token", "jwks")]
        added = self.app.test_cli_runner().invoke(
            args=[
                *("platforms", "add", "--kind", kind, "--url", school.url, "--issuer", school.url, *urls),
                *("--client-id", "client", "--deployment-id", "1", "--name", host),
            ]
        )
        assert added.exit_code == 0, added.output
        return school

    def operator(self, *arguments: str) -> str:
        result = self.app.test_cli_runner().invoke(args=list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    @contextmanager
    def work(self) -> Iterator[None]:
        start_as_reader(False)
        with self.app.app_context():
            yield
            db.session.commit()

    def registration(self, school: School) -> Registration:
        return db.session.scalars(select(Registration).where(Registration.name == school.host)).one()

    def column(self, school: School, name: str = "c1", *, coupled: bool = True) -> int | None:
        """A link of a class with (or without) a column of the teacher's; returns our column's id."""
        with self.work():
            registration = self.registration(school)
            link = self._link(registration, name)
            link.line_items_url = f"{school.url}/course/lineitems"
            link.line_item_url = school.column_url(name) if coupled else None
            link.ags_scopes = list(self.scopes)
            db.session.flush()
            column = column_for(link, registration=registration, resource_id=f"course-{name}", label="微课")
            return column.id if column else None

    def move(self, school: School, name: str, url: str) -> None:
        """The next launch of the link says that its column is at `url`."""
        with self.work():
            registration = self.registration(school)
            link = self._link(registration, name)
            link.line_item_url = url
            column_for(link, registration=registration, resource_id=f"course-{name}", label="微课")

    def _link(self, registration: Registration, name: str) -> ResourceLink:
        link = db.session.scalar(
            select(ResourceLink)
            .join(Context)
            .where(Context.registration_id == registration.id, ResourceLink.resource_link_id == name)
        )
        if link is None:
            deployment = db.session.scalars(
                select(Deployment).where(Deployment.registration_id == registration.id)
            ).one()
            context = Context(
                registration_id=registration.id,
                deployment_pk=deployment.id,
                school_id=registration.school_id,
                context_id=f"class-{name}",
            )
            db.session.add(context)
            db.session.flush()
            link = ResourceLink(context_pk=context.id, resource_link_id=name)
            db.session.add(link)
        return link

    def want(
        self,
        column: int | None,
        sub: str = "u1",
        given: int = 100_00,
        *,
        grading: GradingProgress = GradingProgress.FULLY_GRADED,
        comment: str | None = None,
    ) -> int:
        """Say what the gradebook should show; returns the score's id."""
        with self.work():
            line_item = db.session.get_one(LineItem, column)
            owner = {"registration_id": line_item.registration_id, "sub": sub}
            user = db.session.scalar(select(LtiUser).filter_by(**owner))
            if user is None:
                user = LtiUser(**owner)
                db.session.add(user)
                db.session.flush()
            score = set_score(
                line_item,
                user.id,
                given=given,
                submitted_at=utc_now(),
                activity_progress=ActivityProgress.COMPLETED,
                grading_progress=grading,
                comment=comment,
            )
            return score.id

    def retry(self, score_id: int) -> None:
        from lti_app.gradebook.queries import score_in_context

        with self.work():
            context_pk = db.session.scalars(
                select(ResourceLink.context_pk)
                .join(LineItem, LineItem.resource_link_pk == ResourceLink.id)
                .join(Score, Score.line_item_id == LineItem.id)
                .where(Score.id == score_id)
            ).one()
            score = score_in_context(score_id, context_pk)
            assert score is not None
            retry(score, db.session.get_one(Registration, score.registration_id))

    def pass_once(self) -> int:
        return run_once(self.app, self.works)

    def drain(self) -> int:
        return drain(self.app, self.works)

    def score(self, score_id: int) -> Score:
        """The row as it is now, detached."""
        with self.work():
            row = db.session.get_one(Score, score_id)
            db.session.expunge(row)
            return row

    def line_item(self, column: int | None) -> LineItem:
        """The column's row as it is now, detached."""
        with self.work():
            row = db.session.get_one(LineItem, column)
            db.session.expunge(row)
            return row

    def slot(self, school: School) -> DeliverySlot:
        with self.work():
            row = db.session.get_one(DeliverySlot, self.registration(school).id)
            db.session.expunge(row)
            return row

    def next_due(self) -> datetime | None:
        """When something may be possible next: the earliest due score or column, not before its school's rest
        ends."""
        moments = []
        with self.work():
            for row in (Score, LineItem) if len(self.works) > 1 else (Score,):
                rows = db.session.execute(
                    select(row.due_at, DeliverySlot.blocked_until, DeliverySlot.lease_until)
                    .outerjoin(DeliverySlot, DeliverySlot.registration_id == row.registration_id)
                    .where(row.due_at.is_not(None))
                )
                moments += [max(moment for moment in found if moment is not None) for found in rows]
        return min(moments, default=None)

    @contextmanager
    def mortal(self) -> Iterator[Callable[[], None]]:
        """Within the block the returned function, called from within a platform's answer, kills the worker:
        from then on nothing reaches the database or any platform, whichever thread tries."""
        dead = False

        def die() -> None:
            nonlocal dead
            dead = self.network.cut = True
            # Not Killed: the call may be in the hands of a thread that lives on in this test.
            raise requests.ConnectionError("the process is gone")

        def refuse(*_: Any) -> None:
            if dead:
                raise Killed

        with self.app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", refuse)
        try:
            yield die
        except Killed:
            pass
        finally:
            self.network.cut = False
            event.remove(engine, "before_cursor_execute", refuse)


D = TypeVar("D", bound=Desk)


@contextmanager
def running_desk(
    kind: type[D], folder: Path, database_url: str, *, metrics_token: str | None = None, **how: Any
) -> Iterator[D]:
    """A desk (made with `how`) of an application on this database whose network are the desk's schools."""
    network = FakeAgs()
    settings = settings_for(folder, database_url, metrics_token=metrics_token)
    app = create_app(settings, http=PlatformHttp(adapter=network))
    yield kind(app, network, **how)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
