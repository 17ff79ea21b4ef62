"""Classes kept in step with the platform's roster."""

from __future__ import annotations

import threading
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import func, select

from lti_app.delivery.turns import Turn
from lti_app.delivery.worker import run_once
from lti_app.extensions import db
from lti_app.roster.models import LtiUser, Person, PersonLink
from lti_app.roster.reading import read_rosters
from lti_app.roster.sync_models import LinkMember, SyncState
from tests.browsing import QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import FakePlatform
from tests.functional.roster_steps import (
    INSTRUCTOR,
    LEARNER,
    active,
    class_list,
    member,
    people,
    read,
    read_a_turn,
    sync_now,
)

NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def answer(status: int, body: Any = b"", **headers: str) -> Any:
    """A page of a roster that is not one."""
    return lambda _: (status, body, headers)


def silence(_: requests.PreparedRequest) -> Any:
    raise requests.ReadTimeout("slow")


def count(app: Flask, model: Any) -> int:
    with app.app_context():
        return db.session.scalars(select(func.count()).select_from(model)).one()


def test_a_class_is_read_soon_after_its_first_launch(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = [member("u-teacher", INSTRUCTOR, name="王老师"), *people(250)]
    visit("teacher")
    assert read(app) >= 1
    found = class_list(app)
    assert len(found) == 251
    assert found["p00007"] == ("active", "learner", "家长p00007")
    sync = sync_now(app)
    assert (sync.state, sync.seen, sync.added, sync.pages, sync.gone) == (SyncState.IDLE, 251, 250, 3, 0)
    assert count(app, Person) == 0, "nobody has come, so nobody has an account"
    assert read(app) == 0, "until tomorrow"


def test_a_class_is_read_daily_while_anybody_opens_it(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(3)
    with time_machine.travel(NOON, tick=False) as clock:
        lite_visit("teacher")
        read(lite_app)
        platform.rosters["class-1"] += [member("new")]
        lite_visit("teacher")
        assert read(lite_app) == 0, "a launch that brings no news reads nothing"
        clock.shift(timedelta(hours=27))
        read(lite_app)
        assert "new" in active(lite_app)
        clock.shift(timedelta(days=59))
        read(lite_app)
        runs = sync_now(lite_app).run
        for _day in range(5):
            clock.shift(timedelta(hours=27))
            read(lite_app)
        assert sync_now(lite_app).run == runs, "nobody has opened the class for sixty days"
        lite_visit("teacher")
        clock.shift(timedelta(hours=27))
        read(lite_app)
        assert sync_now(lite_app).run == runs + 1


def test_who_is_known_by_the_roster_is_the_same_person_when_they_come(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = [member("u-parent", name="陈妈妈", lis_person_sourcedid="SIS-9")]
    visit("teacher")
    read(app)
    with app.app_context():
        before = db.session.scalars(select(LtiUser).where(LtiUser.sub == "u-parent")).one()
        assert before.sis_id == "SIS-9"
    page = visit("parent")
    page.post("/who", {"kind": "parent"})
    with app.app_context():
        rows = db.session.scalars(select(LtiUser).where(LtiUser.sub == "u-parent")).all()
        assert [row.id for row in rows] == [before.id]
        links = db.session.scalars(select(PersonLink).where(PersonLink.lti_user_pk == before.id)).all()
        assert len(links) == 1
    assert class_list(app)["u-parent"] == ("active", "learner", "陈妈妈")


def test_the_role_of_a_launch_stands_and_the_roster_decides_for_the_others(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    """Some platforms call an assistant a teacher at launch and a learner on the roster."""
    platform.rosters["class-1"] = [
        member("u-teacher", LEARNER),
        member("late", LEARNER),
        member("seen-only-as", "http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"),
        *people(10),
    ]
    visit("teacher")
    read(app)
    assert class_list(app)["u-teacher"][1] == "instructor"
    assert class_list(app)["seen-only-as"][1] == "mentor"
    platform.rosters["class-1"][1] = member("late", INSTRUCTOR)
    run(app, "roster", "sync")
    assert class_list(app)["late"][1] == "instructor"
    assert sync_now(app).changed == 1


def test_a_leaver_who_is_listed_again_has_the_role_of_the_list(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = [member("u-teacher", INSTRUCTOR), *people(10)]
    with time_machine.travel(NOON, tick=False) as clock:
        visit("teacher")
        run(app, "roster", "sync")
        teacher = platform.rosters["class-1"].pop(0)
        clock.shift(timedelta(hours=1))
        run(app, "roster", "sync")
        assert class_list(app)["u-teacher"][0] == "inactive"
        platform.rosters["class-1"].append({**teacher, "roles": [LEARNER]})
        run(app, "roster", "sync")
        assert class_list(app)["u-teacher"][:2] == ("active", "learner")
        visit("teacher")
        assert class_list(app)["u-teacher"][:2] == ("active", "instructor")


def test_who_vanishes_becomes_inactive_and_comes_back_by_a_launch(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = [member("u-father", name="刘爸爸"), *people(10)]
    with time_machine.travel(NOON, tick=False) as clock:
        visit("father")
        read(app)
        platform.rosters["class-1"].pop(0)
        clock.shift(timedelta(minutes=2))
        run(app, "roster", "sync")
        assert "u-father" in active(app), "whoever launched while the list was read is here"
        clock.shift(timedelta(hours=1))
        assert "1 left" in run(app, "roster", "sync")
        assert class_list(app)["u-father"][0] == "inactive"
        visit("father")
        assert "u-father" in active(app)


@pytest.mark.parametrize("status", ["Inactive", "Deleted"])
def test_who_is_said_to_have_left_leaves(
    app: Flask, visit: Visitor, platform: FakePlatform, status: str
) -> None:
    platform.rosters["class-1"] = people(10)
    visit("teacher")
    read(app)
    platform.rosters["class-1"][3] = member("p00003", status=status)
    run(app, "roster", "sync")
    assert class_list(app)["p00003"][0] == "inactive"
    assert len(active(app)) == 10, "with the teacher, whom no roster ever listed"


@pytest.mark.parametrize(
    ("left", "code"),
    [(people(6), "many-leave"), ([], "empty"), ([*people(9), {"user_id": 7}], "unreadable")],
)
def test_a_doubtful_list_waits_for_a_person(
    app: Flask, visit: Visitor, platform: FakePlatform, left: list[dict[str, Any]], code: str
) -> None:
    platform.rosters["class-1"] = people(10)
    visit("teacher")
    read(app)
    platform.rosters["class-1"] = left
    run(app, "roster", "sync")
    sync = sync_now(app)
    assert (sync.state, sync.code) == (SyncState.HELD, code)
    assert len(active(app)) == 11
    platform.rosters["class-1"] = people(10)
    run(app, "roster", "sync")
    assert sync_now(app).state is SyncState.IDLE, "a good list settles it"


def test_thirty_of_a_hundred_may_leave_at_once(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = people(100)
    visit("teacher")
    read(app)
    platform.rosters["class-1"] = people(70) + [member(f"new{number}") for number in range(500)]
    run(app, "roster", "sync")
    assert sync_now(app).gone == 30
    platform.rosters["class-1"] = people(1)
    run(app, "roster", "sync")
    assert sync_now(app).state is SyncState.HELD


def test_new_people_do_not_hide_how_many_left(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    """Another class's list at the same address: all would leave, and as many come."""
    platform.rosters["class-1"] = people(10)
    visit("teacher")
    read(app)
    platform.rosters["class-1"] = people(6) + [member(f"other{number}") for number in range(300)]
    run(app, "roster", "sync")
    assert sync_now(app).code == "many-leave"


@pytest.mark.parametrize("fault", [answer(503), answer(500), silence, answer(200, b"<html>")])
def test_a_failed_page_takes_nobody_away_and_reading_goes_on_where_it_stopped(
    app: Flask, visit: Visitor, platform: FakePlatform, fault: Any
) -> None:
    platform.rosters["class-1"] = people(250)
    with time_machine.travel(NOON, tick=False) as clock:
        visit("teacher")
        read(app)
        platform.rosters["class-1"] = people(240)
        clock.shift(timedelta(hours=27))
        platform.roster_faults = [None, fault]
        read(app)
        sync = sync_now(app)
        assert (sync.state, sync.pages, sync.attempts) == (SyncState.RUNNING, 1, 1)
        assert len(active(app)) == 251
        platform.requests.clear()
        clock.shift(timedelta(minutes=5))
        read(app)
        assert [path for _method, path in platform.requests if "/nrps/" in path] == ["/nrps/class-1"] * 2
        assert sync_now(app).gone == 10


def test_trouble_that_lasts_is_given_up_until_tomorrow(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(3)
    with time_machine.travel(NOON, tick=False) as clock:
        lite_visit("teacher")
        platform.roster_faults = [answer(503)] * 6
        for _try in range(6):
            read(lite_app)
            clock.shift(timedelta(minutes=65))
        sync = sync_now(lite_app)
        assert (sync.state, sync.code) == (SyncState.FAILED, "platform-busy")
        assert read(lite_app) == 0
        clock.shift(timedelta(hours=27))
        read(lite_app)
        assert sync_now(lite_app).state is SyncState.IDLE


@pytest.mark.parametrize(("status", "code"), [(401, "token-refused"), (403, "forbidden"), (404, "not-found")])
def test_a_platform_that_does_not_let_us_is_asked_once_a_day(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform, status: int, code: str
) -> None:
    platform.rosters["class-1"] = people(3)
    lite_visit("teacher")
    platform.roster_faults = [answer(status)] * 2
    output = run(lite_app, "roster", "sync", exit_code=1)
    assert f"failed ({code})" in output
    assert read(lite_app) == 0


def test_a_platform_that_does_not_grant_the_list_says_so_by_its_token(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(3)
    lite_visit("teacher")
    platform.faults = [lambda _: (400, {"error": "invalid_scope"})]
    assert "failed (scope-not-granted)" in run(lite_app, "roster", "sync", exit_code=1)


def test_a_platform_that_asks_us_to_wait_is_left_alone(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(3)
    with time_machine.travel(NOON, tick=False) as clock:
        lite_visit("teacher")
        platform.roster_faults = [answer(429, **{"Retry-After": "600"})]
        read(lite_app)
        assert "resting" in run(lite_app, "gradebook", "status"), "for scores too"
        clock.shift(timedelta(minutes=9))
        assert read(lite_app) == 0
        clock.shift(timedelta(minutes=3))
        read(lite_app)
        assert sync_now(lite_app).seen == 3


def test_the_first_list_may_not_be_empty_either(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = []
    visit("teacher")
    read(app)
    sync = sync_now(app)
    assert (sync.state, sync.code) == (SyncState.FAILED, "nobody-listed")


def test_names_that_the_platform_tells_no_more_are_forgotten(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = [member("u-parent", name="陈妈妈", email="a@example.com"), *people(5)]
    visit("parent")
    read(app)
    platform.rosters["class-1"] = [member("u-parent", name=None), member("p00000", name=None), *people(5)[1:]]
    run(app, "roster", "sync")
    assert class_list(app)["u-parent"][2] == "陈妈妈", "what a launch told, the next launch takes away"
    assert class_list(app)["p00000"][2] is None
    platform.rosters["class-1"] = [{**one, "name": None} for one in platform.rosters["class-1"]]
    run(app, "roster", "sync")
    assert {name for _status, _role, name in class_list(app).values()} == {None}


def test_a_list_that_never_had_names_takes_none_away(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = [member("u-parent", name=None), *people(5)]
    for one in platform.rosters["class-1"]:
        one["name"] = None
    visit("parent")
    read(app)
    run(app, "roster", "sync")
    assert class_list(app)["u-parent"][2] == "陈妈妈"


def test_differences_are_asked_for_where_they_are_offered(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(20)
    changes = [member("p00001", status="Deleted"), member("new"), member("p00002", name="新名字")]
    platform.rosters["changes"] = changes
    platform.differences = f"{platform.issuer}/nrps/changes"
    with time_machine.travel(NOON, tick=False) as clock:
        visit("teacher")
        read(app)
        assert len(active(app)) == 21
        clock.shift(timedelta(hours=27))
        platform.requests.clear()
        platform.differences = None
        read(app)
        assert [path for _m, path in platform.requests if "/nrps/" in path] == ["/nrps/changes"]
        found = class_list(app)
        assert found["p00001"][0] == "inactive"
        assert found["p00002"] == ("active", "learner", "新名字")
        assert len(active(app)) == 21
        platform.rosters["class-1"] = people(20)
        clock.shift(timedelta(hours=27))
        platform.requests.clear()
        read(app)
        assert [path for _m, path in platform.requests if "/nrps/" in path] == ["/nrps/class-1"]
        assert class_list(app)["new"][0] == "inactive"
        assert "p00001" in active(app)


def test_differences_that_are_gone_give_way_to_the_whole_list(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(20)
    platform.differences = f"{platform.issuer}/gone"
    with time_machine.travel(NOON, tick=False) as clock:
        lite_visit("teacher")
        read(lite_app)
        clock.shift(timedelta(hours=27))
        platform.rosters["class-1"] = people(19)
        read(lite_app)
        assert (sync_now(lite_app).state, sync_now(lite_app).gone) == (SyncState.IDLE, 1)


def test_many_differences_wait_for_a_person_too(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = people(10)
    platform.rosters["changes"] = [member(f"p{number:05}", status="Deleted") for number in range(4)]
    platform.differences = f"{platform.issuer}/nrps/changes"
    with time_machine.travel(NOON, tick=False) as clock:
        visit("teacher")
        read(app)
        clock.shift(timedelta(hours=27))
        read(app)
        sync = sync_now(app)
        assert (sync.state, sync.code, sync.gone) == (SyncState.HELD, "many-leave", 4)
        assert len(active(app)) == 11


def test_the_list_of_a_link_makes_nobody_leave(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = people(10)
    platform.may_open["link-demo-class-1"] = {"p00001", "p00002", "extra"}
    visit("teacher")
    read(app)
    platform.rosters["class-1"] += [member("extra")]
    output = run(app, "roster", "sync", "--link", "link-demo-class-1")
    assert "link link-demo-class-1: idle, 3 members, 1 new" in output
    assert len(active(app)) == 12
    assert count(app, LinkMember) == 3
    platform.may_open["link-demo-class-1"] = {"p00002"}
    run(app, "roster", "sync", "--link", "link-demo-class-1")
    assert count(app, LinkMember) == 1
    assert len(active(app)) == 12


def test_two_classes_of_a_platform_stay_apart(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters |= {"class-1": people(5), "class-2": people(8)}
    visit("teacher", "demo/class-1")
    visit("teacher", "demo/class-2")
    read(app)
    platform.rosters["class-1"] = people(4)
    assert "class-2" not in run(app, "roster", "sync", "--context", "class-1", "--platform", "lms.test")
    assert class_list(app, "class-1")["p00004"][0] == "inactive"
    assert class_list(app, "class-2")["p00004"][0] == "active"
    status = run(app, "roster", "status")
    assert "class class-1: idle" in status
    assert "class class-2: idle" in status


def test_the_command_says_when_nothing_matches(lite_app: Flask) -> None:
    assert "no class matches" in run(lite_app, "roster", "sync", "--context", "nowhere", exit_code=1)


def test_only_one_worker_reads_at_a_time(app: Flask, visit: Visitor, platform: FakePlatform) -> None:
    platform.rosters["class-1"] = people(300)
    visit("teacher")
    barrier = threading.Barrier(2)
    done: list[int] = []

    def work() -> None:
        barrier.wait()
        done.append(run_once(app, [read_rosters]))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read(app)
    assert [path for _m, path in platform.requests if "/nrps/" in path] == ["/nrps/class-1"] * 3
    assert sync_now(app).seen == 300


def test_another_worker_goes_on_where_one_stopped(
    app: Flask, visit: Visitor, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.rosters["class-1"] = people(350)
    visit("teacher")
    monkeypatch.setattr("lti_app.delivery.turns.Turn.is_over", _after_one_page())
    read_a_turn(app)
    sync = sync_now(app)
    assert (sync.state, sync.pages, sync.seen) == (SyncState.RUNNING, 1, 100)
    read(app)
    sync = sync_now(app)
    assert (sync.state, sync.pages, sync.seen, sync.run) == (SyncState.IDLE, 4, 350, 1)
    assert [path for _m, path in platform.requests if "/nrps/" in path] == ["/nrps/class-1"] * 4


def _after_one_page() -> Any:
    """Turns that are over whenever they are asked for the second time."""
    asked: dict[float, int] = {}

    def is_over(turn: Turn) -> bool:
        asked[turn.ends] = asked.get(turn.ends, 0) + 1
        return asked[turn.ends] > 1

    return is_over


def test_the_number_of_statements_for_a_page_does_not_grow(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    numbers = []
    for class_, size in (("class-1", 10), ("class-2", 100)):
        here = ("roster", "sync", "--context", class_)
        platform.rosters[class_] = [member(f"{class_}-{number}") for number in range(size)]
        visit("teacher", f"demo/{class_}")
        with QueryCount(app) as first:
            run(app, *here)
        for one in platform.rosters[class_]:
            one |= {"name": "换了名字" + one["user_id"], "roles": [INSTRUCTOR]}
        with QueryCount(app) as second:
            run(app, *here)
        assert sync_now(app, class_).changed == size
        numbers.append((len(first), len(second)))
    assert numbers[0] == numbers[1]


def test_ten_thousand_members_need_little_memory(lite_app: Flask, lite_visit: Visitor) -> None:
    platform = lite_visit.platform
    platform.rosters["class-1"] = people(10_000)
    lite_visit("teacher")
    with lite_app.app_context():
        db.session.scalar(select(1))
    tracemalloc.start()
    read(lite_app)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sync_now(lite_app).seen == 10_000
    assert peak < 12_000_000, f"{peak / 1e6:.1f} MB"


def test_a_platform_that_sends_all_at_once_is_written_in_parts(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    platform.rosters["class-1"] = people(1200)
    lite_visit("teacher")
    whole = {"members": platform.rosters["class-1"]}
    platform.roster_faults = [answer(200, whole)]
    read(lite_app)
    sync = sync_now(lite_app)
    assert (sync.state, sync.pages, sync.seen) == (SyncState.IDLE, 1, 1200)


def test_pages_in_a_circle_end_even_across_turns(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.rosters["class-1"] = people(5)
    lite_visit("teacher")
    monkeypatch.setattr("lti_app.delivery.turns.Turn.is_over", _after_one_page())
    numbers = iter(range(1000))

    def endless(request: requests.PreparedRequest) -> Any:
        link = f'<{platform.issuer}/nrps/class-1?again={next(numbers)}>; rel="next"'
        return 200, {"members": people(5)}, {"Link": link}

    platform.roster_faults = [endless] * 50
    read(lite_app)
    sync = sync_now(lite_app)
    assert (sync.state, sync.code) == (SyncState.FAILED, "too-many-pages")
