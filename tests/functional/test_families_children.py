"""For which child a parent is here, and whose children a platform's launches name."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from lti_app.credits.models import CreditEvent
from lti_app.extensions import db
from lti_app.registrations.models import Registration
from lti_app.roster.guardians import MentionedChild, settle_mentions
from lti_app.roster.models import Guardianship, GuardianSource, LtiUser
from tests.browsing import Page, QueryCount, Visitor
from tests.fake_platform import LTI, FakePlatform, User
from tests.functional.courses_steps import count, finish
from tests.functional.families_steps import (
    PUPILS,
    children,
    learner,
    other_platform,
    parent,
    pk_of,
    pupils_come,
    slips,
    typed,
)

LEGACY = LTI + "lti1p1"


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def header(page: Page) -> str:
    """What the bar at the top says."""
    bar = page.html.partition("</header>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bar.partition("<body")[2]))


def two_children(visit: Visitor, user: str = "parent") -> Page:
    """A parent who has claimed two children, in the launch in which they did."""
    visit.platform.users["sister"] = learner("u-sister", "陈小雪")
    codes = slips(pupils_come(visit, "pupil", "sister"))
    page = parent(visit, user)
    typed(page, codes["陈小雨"])
    return typed(page, codes["陈小雪"])


def child_of_event(app: Flask) -> str | None:
    with app.app_context():
        query = select(LtiUser.sub).join(CreditEvent, CreditEvent.child_pk == LtiUser.id)
        return db.session.scalars(query).one_or_none()


def test_the_only_child_needs_no_choice(app: Flask, visit: Visitor) -> None:
    code = slips(pupils_come(visit, "pupil"))["陈小雨"]
    page = typed(parent(visit), code)
    assert "陈小雨" in header(page)
    assert "为 TA 学习" not in page.text.replace("现在为 TA 学习", "")
    assert "陈小雨" in header(parent(visit)), "at the next launch, too"
    finish(parent(visit))
    assert child_of_event(app) == "u-pupil"


def test_a_parent_of_several_chooses_once_and_can_change(app: Flask, visit: Visitor) -> None:
    page = two_children(visit)
    assert "陈小雨" in header(page), "the first one was the only one when this launch began"
    page = parent(visit)
    assert "选择孩子" in header(page)
    answer = page.post("/children/choose", {"child": str(pk_of(app, "u-sister"))})
    assert "已换好" in answer.text
    assert "陈小雪" in header(answer)
    assert "陈小雪" in header(parent(visit)), "remembered for this login"
    finish(parent(visit))
    assert child_of_event(app) == "u-sister"


def test_nothing_is_booked_for_a_child_before_a_choice(app: Flask, visit: Visitor) -> None:
    two_children(visit)
    page = parent(visit)
    assert "选择孩子" in header(page)
    assert "您有几个孩子，请先选一位" in page.get("/children").text
    finish(page)
    assert count(app, CreditEvent) == 1
    assert child_of_event(app) is None


def test_a_parent_cannot_be_here_for_somebody_elses_child(app: Flask, visit: Visitor) -> None:
    pupils_come(visit, "pupil")
    page = parent(visit)
    child = pk_of(app, "u-pupil")
    for guess in range(1, child + 10):
        assert page.post("/children/choose", {"child": str(guess)}).status == 404
        assert page.get(f"/children/{guess}/leave").status == 404
        assert page.post(f"/children/{guess}/leave").status == 404
    assert "陈小雨" not in page.get("/children").html
    assert children(app) == set()


def test_a_remembered_child_that_was_removed_is_forgotten(app: Flask, visit: Visitor) -> None:
    page = two_children(visit)
    sister = pk_of(app, "u-sister")
    page.post("/children/choose", {"child": str(sister)})
    other_tab = parent(visit)
    left = page.post(f"/children/{sister}/leave")
    assert "陈小雪" not in header(left)
    assert "陈小雪" not in header(other_tab.get("/"))
    assert "陈小雨" in header(parent(visit)), "the only one that is left"


def test_in_a_class_of_families_the_login_is_the_child(app: Flask, visit: Visitor) -> None:
    teacher = visit("teacher")
    teacher.post("/class/audience", {"audience": "families"})
    page = visit("pupil").post("/who", {"kind": "parent", "label": "妈妈"})
    assert "这个账号就是孩子的账号" in page.get("/children").text
    assert count(app, Guardianship) == 0
    finish(page)
    assert child_of_event(app) == "u-pupil"
    as_pupil = page.post("/who", {"kind": "pupil", "label": "小雨"})
    assert as_pupil.get("/children").status == 403


def test_pages_cost_the_same_with_many_children(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    counted = []
    for number in (1, 20):
        subs = [f"c-{number}-{n}" for n in range(number)]
        platform.users["granny"] = User(f"u-granny-{number}", "奶奶", platform.users["observer"].roles, subs)
        lite_visit("granny")
        client = lite_app.test_client()
        with QueryCount(lite_app) as queries:
            page = lite_visit("granny", client=client)
        with QueryCount(lite_app) as more:
            assert page.get("/children").text.count("未署名的孩子") >= number
        counted.append((len(queries), len(more)))
    assert counted[0] == counted[1]


# -- what launches say ------------------------------------------------------------------------------------


def canvas(app: Flask) -> Visitor:
    return other_platform(app, "canvas.test", kind="canvas")


def observing(**ids: str) -> dict[str, object]:
    """The claims of an observer's launch: `claim` and `typed` ids."""
    return {
        LTI + "role_scope_mentor": [id_ for id_ in ids.get("claim", "").split(",") if id_],
        LTI + "custom": {"gongyu_course": "demo", "observees": ids.get("typed", "")},
    }


def sources(app: Flask) -> dict[str, GuardianSource]:
    with app.app_context():
        query = select(LtiUser.sub, Guardianship.source).join(
            Guardianship, Guardianship.child_pk == LtiUser.id
        )
        return dict(db.session.execute(query).all())


def test_the_source_says_which_claim_it_was(app: Flask) -> None:
    visit = canvas(app)
    visit("pupil")
    visit("father")
    visit("observer", **observing(claim="u-pupil", typed="u-pupil,u-father"))
    assert sources(app) == {
        "u-pupil": GuardianSource.ROLE_SCOPE_MENTOR,
        "u-father": GuardianSource.OBSERVEES,
    }


def test_an_old_id_finds_the_child_who_came_by_a_new_one(app: Flask) -> None:
    visit = canvas(app)
    visit("pupil", **{LEGACY: {"user_id": "opaque-1"}})
    visit("observer", **observing(claim="opaque-1"))
    assert sources(app) == {"u-pupil": GuardianSource.ROLE_SCOPE_MENTOR}
    assert subs(app) == {"u-pupil", "u-observer"}, "no second one beside the real child"


def test_an_unknown_id_waits_for_the_child(app: Flask) -> None:
    visit = canvas(app)
    page = visit("observer", **observing(claim="opaque-1"))
    assert children(app) == set()
    assert subs(app) == {"u-observer"}
    visit("father")
    assert children(app) == set()
    visit("pupil", **{LEGACY: {"user_id": "opaque-1"}})
    assert sources(app) == {"u-pupil": GuardianSource.ROLE_SCOPE_MENTOR}
    assert count(app, MentionedChild) == 0
    assert "陈小雨" in page.get("/children").text


def test_an_unknown_id_waits_for_the_roster(app: Flask) -> None:
    visit = canvas(app)
    visit("observer", **observing(claim="opaque-1,opaque-2,u-x", typed="u-typed"))
    assert count(app, MentionedChild) == 4
    with app.app_context():
        registration_id = db.session.scalars(
            select(Registration.id).where(Registration.name == "canvas.test")
        ).one()
        for sub, legacy in (("u-a", "opaque-1"), ("u-x", None), ("u-typed", None)):
            db.session.add(LtiUser(registration_id=registration_id, sub=sub, legacy_id=legacy))
        for sub in ("u-b", "u-c"):  # an id that means two people means nobody
            db.session.add(LtiUser(registration_id=registration_id, sub=sub, legacy_id="opaque-2"))
        db.session.commit()
        settle_mentions(registration_id)
        db.session.commit()
    assert set(sources(app)) == {"u-a", "u-x"}, "a typed one must be a Learner of the class"
    visit("observer", **observing(claim="opaque-1,opaque-2", typed="u-typed"))
    assert count(app, MentionedChild) == 2
    visit("observer", **observing(claim="opaque-1"))
    assert count(app, MentionedChild) == 0, "whom a launch does not name any more waits no longer"


def test_what_a_teacher_typed_reaches_no_child_of_another_class(app: Flask) -> None:
    visit = canvas(app)
    visit("pupil", PUPILS)
    visit("observer", **observing(typed="u-pupil"))
    assert children(app) == set()
    visit("pupil")
    assert children(app) == {"u-pupil"}


def test_ids_of_one_platform_mean_nobody_at_another(app: Flask, visit: Visitor) -> None:
    visit("pupil", **{LEGACY: {"user_id": "opaque-1"}})
    canvas(app)("observer", **observing(claim="u-pupil,opaque-1"))
    assert children(app) == set()


def test_nobody_is_their_own_guardian(lite_app: Flask, lite_visit: Visitor) -> None:
    lite_visit("observer", **{LTI + "role_scope_mentor": ["u-observer"]})
    assert children(lite_app) == set()


def subs(app: Flask) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(select(LtiUser.sub)))


CAME = st.sampled_from(["pupil", "pupil-legacy", "sister", "father"])
SAID = st.sampled_from(["u-pupil", "u-sister", "opaque-1", "opaque-9", "u-nobody"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(CAME, st.lists(SAID, max_size=3, unique=True)), min_size=1, max_size=6))
def test_in_whatever_order_they_come_the_same_children_are_linked(
    lite_app: Flask, steps: list[str | list[str]]
) -> None:
    """At the end exactly those are linked whom some launch named and who are known by that id."""
    name = f"host-{abs(hash(str(steps)))}.test"
    with lite_app.app_context():
        known = db.session.scalars(select(Registration.name)).all()
        if name in known:
            return
    visit = other_platform(lite_app, name, kind="canvas")
    visit.platform.users["sister"] = learner("u-sister", "陈小雪")
    named: set[str] = set()
    ids: dict[str, str] = {}
    for step in steps:
        if isinstance(step, list):
            named |= set(step)
            visit("observer", **observing(claim=",".join(step)))
        else:
            user = step.removesuffix("-legacy")
            legacy = {LEGACY: {"user_id": "opaque-1"}} if step.endswith("-legacy") else {}
            visit(user, **legacy)
            ids |= {f"u-{user}": f"u-{user}"} | ({"opaque-1": "u-pupil"} if legacy else {})
    with lite_app.app_context():
        query = (
            select(LtiUser.sub)
            .join(Guardianship, Guardianship.child_pk == LtiUser.id)
            .join(Registration, Registration.id == LtiUser.registration_id)
            .where(Registration.name == name)
        )
        linked = set(db.session.scalars(query))
    last_named = next((set(step) for step in reversed(steps) if isinstance(step, list)), set())
    certain = {ids[id_] for id_ in last_named if id_ in ids}
    assert certain <= linked <= {ids[id_] for id_ in named if id_ in ids}
