"""Prometheus' figures: true, complete, cheap, for the holder of the token only; and the rules that watch them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
import yaml
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from time_machine import Traveller

from lti_app.delivery.models import SINCE_EVER, DeliverySlot, DeliveryTally
from lti_app.extensions import db
from lti_app.gradebook.models import LineItem, ReadingState, Score, ScoreState
from lti_app.metrics import UNTRIED
from tests.browsing import BASE, QueryCount
from tests.conftest import ROOT
from tests.fake_ags import Desk, answer, running_desk

TOKEN = "metrics-token-of-the-tests"
START = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def clock() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as travelling:
        yield travelling


@pytest.fixture
def desk(database_url: str, tmp_path: Path, clock: Traveller) -> Iterator[Desk]:
    with running_desk(Desk, tmp_path, database_url, metrics_token=TOKEN) as running:
        yield running


def scraped(app: Flask) -> str:
    answer = app.test_client().get("/metrics", base_url=BASE, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    return answer.get_data(as_text=True)


def figures(app: Flask) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(scraped(app))
        for sample in family.samples
    }


def figure(found: Figures, metric: str, /, **labels: object) -> float:
    return found[metric, frozenset((key, str(value)) for key, value in labels.items())]


def test_without_a_token_there_is_no_such_page(lite_app: Flask) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
        assert lite_app.test_client().get("/metrics", base_url=BASE, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "given",
    [None, "", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Basic Zm9vOmJhcg==", "Bearer \xff"],
)
def test_another_token_opens_nothing(desk: Desk, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    refused = desk.app.test_client().get("/metrics", base_url=BASE, headers=headers)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert "gongyu_" not in refused.get_data(as_text=True)


def test_the_figures_follow_a_score_from_wanted_to_sent(desk: Desk, clock: Traveller) -> None:
    school = desk.school("a.test")
    score = desk.want(desk.column(school))
    number = desk.score(score).registration_id
    clock.shift(90)
    waiting = figures(desk.app)
    assert figure(waiting, "gongyu_scores_unsent", registration=number, outcome=UNTRIED) == 1
    assert figure(waiting, "gongyu_oldest_unsent_seconds", registration=number) == 90
    assert figure(waiting, "gongyu_due_lag_seconds", registration=number, work="scores") == 90
    desk.drain()
    sent = figures(desk.app)
    assert figure(sent, "gongyu_scores_unsent", registration=number, outcome=UNTRIED) == 0
    assert figure(sent, "gongyu_oldest_unsent_seconds", registration=number) == 0
    assert figure(sent, "gongyu_due_lag_seconds", registration=number, work="scores") == 0
    assert (
        figure(sent, "gongyu_last_success_timestamp_seconds", registration=number)
        == (START + timedelta(seconds=90)).timestamp()
    )
    info = {"registration": number, "name": "a.test", "kind": "generic", "status": "active"}
    assert figure(sent, "gongyu_registration_info", **info) == 1


def test_a_dead_platform_shows_and_its_rest_is_no_lag(desk: Desk, clock: Traveller) -> None:
    school = desk.school("a.test")
    number = desk.score(desk.want(desk.column(school))).registration_id
    school.always = answer(503, **{"Retry-After": "120"})
    desk.drain()
    with desk.work():
        db.session.execute(update(Score).values(due_at=START))
    clock.shift(60)
    found = figures(desk.app)
    assert figure(found, "gongyu_registration_resting", registration=number) == 1
    assert figure(found, "gongyu_registration_failures", registration=number) == 1
    assert figure(found, "gongyu_scores_unsent", registration=number, outcome="retry") == 1
    assert figure(found, "gongyu_due_lag_seconds", registration=number, work="scores") == 0
    clock.shift(3600)
    late = figures(desk.app)
    assert figure(late, "gongyu_registration_resting", registration=number) == 0
    assert figure(late, "gongyu_due_lag_seconds", registration=number, work="scores") > 3000
    desk.operator("platforms", "disable", "a.test")
    assert figure(figures(desk.app), "gongyu_due_lag_seconds", registration=number, work="scores") == 0


def test_what_waits_for_a_teacher_is_no_late_score(desk: Desk, clock: Traveller) -> None:
    """A column that a teacher has not published, or paused, must not wake the operator."""
    school = desk.school("a.test")
    first, second = desk.column(school, "c1"), desk.column(school, "c2")
    unpublished, paused = desk.want(first), desk.want(second)
    number = desk.score(paused).registration_id
    with desk.work():
        db.session.execute(
            update(Score)
            .where(Score.id == unpublished)
            .values(outcome="waiting-for-publish", due_at=START + timedelta(days=1))
        )
        db.session.execute(update(Score).where(Score.id == paused).values(due_at=None))
        db.session.execute(update(LineItem).where(LineItem.id == second).values(paused=True))
    clock.shift(7200)
    found = figures(desk.app)
    assert figure(found, "gongyu_oldest_unsent_seconds", registration=number) == 0
    assert figure(found, "gongyu_scores_withheld", registration=number) == 1
    assert figure(found, "gongyu_scores_unsent", registration=number, outcome="waiting-for-publish") == 1


def test_tallies_clocks_and_readings_are_shown_as_they_are_kept(desk: Desk) -> None:
    school = desk.school("a.test")
    number = desk.score(desk.want(desk.column(school))).registration_id
    desk.drain()
    with desk.work():
        db.session.query(DeliveryTally).delete()
        tallies = [(SINCE_EVER, "sent", 41), (SINCE_EVER, "retry", 2), (START, "sent", 7)]
        db.session.add_all(
            DeliveryTally(registration_id=number, bucket=bucket, outcome=outcome, count=count)
            for bucket, outcome, count in tallies
        )
        db.session.execute(update(DeliverySlot).values(clock_ahead=-2500))
        db.session.execute(update(LineItem).values(reading=ReadingState.FAILED, due_at=None))
        db.session.execute(update(Score).values(state=ScoreState.HELD, outcome="misconfigured", due_at=None))
    found = figures(desk.app)
    assert figure(found, "gongyu_deliveries_total", registration=number, outcome="sent") == 41
    assert figure(found, "gongyu_deliveries_total", registration=number, outcome="retry") == 2
    assert figure(found, "gongyu_clock_ahead_seconds", registration=number) == -2.5
    assert figure(found, "gongyu_columns_reading", registration=number, state="failed") == 1
    assert figure(found, "gongyu_scores_held", registration=number, outcome="misconfigured") == 1


def test_more_schools_cost_no_more_queries(desk: Desk) -> None:
    def queries() -> int:
        with QueryCount(desk.app) as counted:
            scraped(desk.app)
        return len(counted)

    desk.want(desk.column(desk.school("a.test")))
    before = queries()
    for number in range(8):
        school = desk.school(f"b{number}.test")
        desk.want(desk.column(school, "c1"))
        desk.want(desk.column(school, "c2"), "u2")
    desk.drain()
    assert queries() == before <= 5


def _rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load((ROOT / "docs" / "deploy" / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, object]] = group["rules"]
    return rules


def test_every_figure_that_a_rule_watches_exists(desk: Desk) -> None:
    desk.want(desk.column(desk.school("a.test")))
    desk.drain()
    with desk.work():
        db.session.merge(DeliveryTally(registration_id=1, bucket=SINCE_EVER, outcome="sent", count=1))
    samples = list(figures(desk.app))
    names = {name for name, _ in samples}
    labels = {pair for _, pairs in samples for pair in pairs}
    for rule in _rules():
        text = str(rule["expr"])
        assert set(re.findall(r"gongyu_\w+", text)) <= names, rule
        for label, operator, values in re.findall(r'(\w+)(=~?)"([^"]+)"', text):
            if label != "job":
                wanted = values.split("|") if operator == "=~" else [values]
                assert {(label, value) for value in wanted} <= labels, rule


def test_every_figure_and_rule_is_explained_in_both_languages(desk: Desk) -> None:
    desk.want(desk.column(desk.school("a.test")))
    families = re.findall(r"^# TYPE (gongyu_\w+)", scraped(desk.app), re.MULTILINE)
    for page in (ROOT / "docs" / "monitoring.md", ROOT / "docs" / "zh" / "monitoring.md"):
        text = page.read_text()
        told = set(re.findall(r"`(gongyu_[a-z_]+|Gongyu[A-Za-z]+)[`{]", text))
        assert {*families, *(str(rule["alert"]) for rule in _rules())} <= told, page
