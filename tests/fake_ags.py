"""Several schools' token endpoints, columns and scores in one requests adapter, with faults and an exact ledger.

`Desk` puts a school's people and columns into the database and moves scores to it, without any browser.
"""

from __future__ import annotations

import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from flask import Flask
from requests.adapters import BaseAdapter
from sqlalchemy import event, select

from integrations.terms import ActivityProgress, GradingProgress
from lti_app.clock import utc_now
from lti_app.delivery.models import DeliverySlot
from lti_app.delivery.worker import drain, run_once
from lti_app.extensions import db, start_as_reader
from lti_app.gradebook.delivery import deliver
from lti_app.gradebook.models import LineItem, Score
from lti_app.gradebook.services import column_for, retry, set_score
from lti_app.registrations.models import Deployment, Registration
from lti_app.roster.models import Context, LtiUser, ResourceLink

SCOPES = [f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "score")]
Answer = tuple[int, Any, dict[str, str]]
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


@dataclass
class School:
    """One platform. Each of `faults` meets one service call (not token calls); `always` meets all of them.

    `posts` is every score that arrived, `grades` what the gradebook shows. `after` runs once, after the
    next score was stored and before its answer leaves.
    """

    host: str
    kind: str = "generic"
    faults: list[Fault] = field(default_factory=list)
    token_faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    after: Callable[[], None] | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    grades: dict[tuple[str, str], float] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    times: dict[tuple[str, str], datetime] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    clock_ahead: float = 0.0
    posted: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def column_url(self, name: str) -> str:
        return f"{self.url}/course/lineitems/{name}"

    def reply(self, request: requests.PreparedRequest) -> Answer:
        parts = urlsplit(request.url or "")
        self.calls.append((request.method or "", parts.path))
        if parts.path == "/token":
            return self._token(request)
        if (request.headers.get("Authorization") or "").removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": "Access token expired"}, {}
        fault = self.faults.pop(0) if self.faults else self.always
        spoiled = fault(request) if fault else None
        if spoiled is not None:
            return spoiled
        if parts.path.endswith("/scores"):
            return self._score(request, f"{self.url}{parts.path.removesuffix('/scores')}")
        return self._columns(request, parse_qs(parts.query))

    def _token(self, request: requests.PreparedRequest) -> Answer:
        if self.token_faults:
            spoiled = self.token_faults.pop(0)(request)
            if spoiled is not None:
                return spoiled
        token = uuid.uuid4().hex
        self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600}, {}

    def _score(self, request: requests.PreparedRequest, column: str) -> Answer:
        score = json.loads(request.body or b"{}")
        key = (column, score["userId"])
        stamp = datetime.fromisoformat(score["timestamp"])
        self.posts.append({"column": column, **score})
        if key in self.times and stamp <= self.times[key]:
            return 409, b"[]", {}
        now = datetime.fromtimestamp(utc_now().timestamp() + self.clock_ahead, tz=stamp.tzinfo)
        self.times[key] = max(stamp, now) if self.clock_ahead else stamp
        self.grades[key] = score["scoreGiven"]
        self.posted.set()
        after, self.after = self.after, None
        if after is not None:
            after()
        return 200, b"", {}

    def _columns(self, request: requests.PreparedRequest, query: dict[str, list[str]]) -> Answer:
        if request.method == "POST":
            made = {"id": self.column_url(f"made-{len(self.columns)}"), **json.loads(request.body or b"{}")}
            self.columns.append(made)
            return 201, made, {}
        names = {"resource_link_id": "resourceLinkId", "resource_id": "resourceId"}
        wanted = {names[name]: values[0] for name, values in query.items()}
        found = [
            item for item in self.columns if all(item.get(name) == value for name, value in wanted.items())
        ]
        return 200, found, {}


class FakeAgs(BaseAdapter):
    """The network: every host is one of `schools`. Counts how many calls a school has in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.schools: dict[str, School] = {}
        self.most_in_flight = 0
        self._in_flight: dict[str, int] = {}
        self._lock = threading.Lock()

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        host = urlsplit(request.url or "").hostname or ""
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
        return response

    def close(self) -> None:
        return None


@dataclass
class Desk:
    """Hands for tests: each call is a transaction of its own, as a request would be."""

    app: Flask
    network: FakeAgs

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
            link.ags_scopes = SCOPES
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
        return run_once(self.app, [deliver])

    def drain(self) -> int:
        return drain(self.app, [deliver])

    def score(self, score_id: int) -> Score:
        """The row as it is now, detached."""
        with self.work():
            row = db.session.get_one(Score, score_id)
            db.session.expunge(row)
            return row

    def slot(self, school: School) -> DeliverySlot:
        with self.work():
            row = db.session.get_one(DeliverySlot, self.registration(school).id)
            db.session.expunge(row)
            return row

    def next_due(self) -> datetime | None:
        """When a delivery may be possible next: the earliest due score, not before its school's rest ends."""
        moments = []
        with self.work():
            rows = db.session.execute(
                select(Score.due_at, DeliverySlot.blocked_until, DeliverySlot.lease_until)
                .outerjoin(DeliverySlot, DeliverySlot.registration_id == Score.registration_id)
                .where(Score.due_at.is_not(None))
            )
            moments = [max(moment for moment in row if moment is not None) for row in rows]
        return min(moments, default=None)

    @contextmanager
    def mortal(self) -> Iterator[Callable[[], None]]:
        """Within the block the returned function kills the worker: from then on nothing reaches the
        database any more, and the call in flight ends with Killed."""
        dead = False

        def die() -> None:
            nonlocal dead
            dead = True
            raise Killed

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
            event.remove(engine, "before_cursor_execute", refuse)
