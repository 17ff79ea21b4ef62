"""The teacher's pages of families: only pupils of their own class, slips once, wrong guardians removed."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import insert, select

from integrations.terms import CourseRole
from lti_app.clock import utc_now
from lti_app.extensions import db
from lti_app.families.models import ClaimCode
from lti_app.roster.models import (
    Context,
    Guardianship,
    GuardianSource,
    LtiUser,
    Membership,
    MembershipStatus,
    Person,
    PersonKind,
    PersonLink,
    RemovedBy,
)
from tests.browsing import QueryCount, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import count, only
from tests.functional.families_steps import (
    PUPILS,
    children,
    learner,
    parent,
    pk_of,
    pupils_come,
    slips,
    typed,
)

FORMS = ["/families/codes", "/families/links/{link}/remove", "/families/links/{link}/restore"]


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def test_slips_are_made_for_everybody_without_a_code_and_shown_once(
    app: Flask, visit: Visitor, platform: FakePlatform
) -> None:
    platform.users |= {f"p{n}": learner(f"u-p{n}", f"学生{n:02}") for n in range(11)}
    teacher = pupils_come(visit, *(f"p{n}" for n in range(11)))
    assert "为没有码的 11 名学生制作" in teacher.get("/families/codes").text
    made = slips(teacher)
    assert list(made) == [f"学生{n:02}" for n in range(11)]
    assert len(set(made.values())) == 11
    again = teacher.post("/families/codes")
    assert "没有要制作的" in again.text
    assert not any(code in again.html or code in teacher.get("/families").html for code in made.values())
    assert "有可用的认领码" in teacher.get("/families").text
    visit("pupil", PUPILS)
    assert list(slips(teacher)) == ["陈小雨"], "those who came later"


def test_a_new_slip_for_one_pupil_leaves_the_others_alone(app: Flask, visit: Visitor) -> None:
    teacher = pupils_come(visit, "pupil", "nameless")
    first = slips(teacher)
    asked = teacher.get(f"/families/codes?child={pk_of(app, 'u-pupil')}")
    assert "给 陈小雨 制作认领码" in asked.text
    assert "旧纸条不能再用" in asked.text
    renewed = slips(teacher, pk_of(app, "u-pupil"))
    assert list(renewed) == ["陈小雨"]
    assert "已认领" in typed(parent(visit), renewed["陈小雨"]).text
    nameless = next(code for name, code in first.items() if name.startswith("未署名学生"))
    assert "已认领：未署名的孩子" in typed(parent(visit), nameless).text


def test_who_counts_as_a_pupil(app: Flask, visit: Visitor) -> None:
    def listed(audience: str) -> set[str]:
        teacher.post("/class/audience", {"audience": audience})
        page = teacher.get("/families").html
        names = re.findall(r'role="rowheader" scope="row">([^<]+)', page)
        return {unescape(name) for name in names}

    teacher = visit("teacher")
    parent(visit, "parent")
    parent(visit, "pupil", kind="pupil")
    visit("father")
    visit("observer")
    visit("test-student")
    assert listed("") == {"陈小雨", "刘爸爸"}, "who said that they are a parent is none"
    assert listed("pupils") == {"陈妈妈", "陈小雨", "刘爸爸"}
    assert listed("parents") == {"陈小雨"}
    with app.app_context():
        db.session.execute(Membership.__table__.update().values(status=MembershipStatus.INACTIVE))
        db.session.commit()
    assert listed("pupils") == set()
    assert "这里还没有学生" in teacher.get("/families").text


@pytest.mark.parametrize("user", ["parent", "observer", "pupil", "test-student", "anonymous"])
def test_only_teachers_see_families(lite_app: Flask, lite_visit: Visitor, user: str) -> None:
    pupils_come(lite_visit, "pupil")
    page = parent(lite_visit, user, PUPILS) if user != "anonymous" else lite_visit(user, PUPILS)
    for path in ("/families", "/families/codes"):
        assert page.get(path).status == 403
    for form in FORMS:
        assert page.post(form.format(link=1)).status == 403
    assert count(lite_app, ClaimCode) == 0


def test_a_teacher_of_another_class_reaches_nothing(app: Flask, visit: Visitor) -> None:
    own = pupils_come(visit, "pupil")
    typed(parent(visit), slips(own)["陈小雨"])
    child, link = pk_of(app, "u-pupil"), only(app, Guardianship).id
    stranger = visit("assistant", "demo/other")
    assert "陈小雨" not in stranger.get("/families").text
    assert stranger.get(f"/families/codes?child={child}").status == 404
    assert stranger.post("/families/codes", {"child": str(child)}).status == 404
    assert stranger.post(f"/families/codes/{child}/revoke").status == 404
    assert stranger.post(f"/families/links/{link}/remove").status == 404
    assert stranger.post(f"/families/links/{link}/restore").status == 404
    assert children(app) == {"u-pupil"}
    assert only(app, ClaimCode).uses_left == 3


def test_a_removed_guardian_sees_the_child_no_more_and_does_not_come_back_alone(
    app: Flask, visit: Visitor
) -> None:
    teacher = pupils_come(visit, "pupil")
    code = slips(teacher)["陈小雨"]
    observer = visit("observer")
    assert "陈小雨" in observer.get("/credits").html, "the header names the child"
    link = only(app, Guardianship).id
    listed = teacher.get("/families").text
    assert "赵奶奶 学校平台登记的家长" in listed
    removed = teacher.post(f"/families/links/{link}/remove")
    assert "已移除这位家长" in removed.text
    assert "赵奶奶 已移除" in removed.text
    assert "陈小雨" not in observer.get("/children").html, "in pages that are open, too"
    assert "陈小雨" not in visit("observer").get("/children").html, "the platform says it again"
    assert typed(observer, code).status == 422, "an old slip opens nothing any more"
    assert children(app) == set()
    restored = teacher.post(f"/families/links/{link}/restore")
    assert "已恢复这位家长" in restored.text
    assert "陈小雨" in visit("observer").get("/children").html


def test_a_new_slip_brings_a_removed_guardian_back(app: Flask, visit: Visitor) -> None:
    teacher = pupils_come(visit, "pupil")
    observer = visit("observer")
    teacher.post(f"/families/links/{only(app, Guardianship).id}/remove")
    assert "已认领" in typed(observer, slips(teacher)["陈小雨"]).text
    assert only(app, Guardianship).source is GuardianSource.CLAIM_CODE


def test_what_a_parent_left_is_theirs_to_decide(app: Flask, visit: Visitor) -> None:
    teacher = pupils_come(visit, "pupil")
    observer = visit("observer")
    child = pk_of(app, "u-pupil")
    assert "陈小雨 不是您的孩子？" in observer.get(f"/children/{child}/leave").text
    assert "已解除" in observer.post(f"/children/{child}/leave").text
    link = only(app, Guardianship)
    assert link.removed_by is RemovedBy.GUARDIAN
    assert "赵奶奶" not in teacher.get("/families").text
    assert teacher.post(f"/families/links/{link.id}/restore").status == 404
    assert children(app) == set()
    visit("observer")
    assert children(app) == set()


def test_the_list_is_searched_filtered_and_paged(
    lite_app: Flask, lite_visit: Visitor, platform: FakePlatform
) -> None:
    teacher = pupils_come(lite_visit, "pupil")
    fill(lite_app, 120)
    typed(parent(lite_visit), slips(teacher, pk_of(lite_app, "u-pupil"))["陈小雨"])
    assert "第 1 页，共 3 页" in teacher.get("/families").text
    assert "学生119" in teacher.get("/families?page=3").text
    found = teacher.get("/families?q=学生 017").text
    assert "学生017" in found
    assert "学生018" not in found
    assert "没有找到" in teacher.get("/families?q=%25").text
    some = teacher.get("/families?show=some").text
    assert "陈小雨 陈妈妈 认领码" in some
    assert "学生000" not in some
    assert "陈小雨" not in teacher.get("/families?q=陈&show=none").text


def test_the_number_of_queries_does_not_depend_on_the_class(lite_app: Flask, lite_visit: Visitor) -> None:
    teacher = pupils_come(lite_visit, "pupil")
    fill(lite_app, 9, guardians=2)
    counted = []
    for more in (0, 190):
        fill(lite_app, more, guardians=2, start=100)
        numbers = []
        for path in ("/families", "/families?page=2", "/families/codes"):
            with QueryCount(lite_app) as queries:
                assert teacher.get(path).status == 200
            numbers.append(len(queries))
        with QueryCount(lite_app) as queries:
            assert teacher.post("/families/codes").status == 200
        counted.append([*numbers, len(queries)])
    assert counted[0] == counted[1]
    assert max(counted[0]) <= 6


def fill(app: Flask, pupils: int, *, guardians: int = 0, start: int = 0) -> None:
    """Put pupils into the class of pupils, as a roster does, and guardians beside them."""
    if not pupils:
        return
    with app.app_context():
        context = db.session.scalars(select(Context).where(Context.context_id == "pupils-1")).one()
        now = utc_now()
        for number in range(start, start + pupils):
            user = LtiUser(
                registration_id=context.registration_id,
                sub=f"u-{number}",
                name=f"学生{number:03}",
                sis_id=f"2026{number:04}",
            )
            db.session.add(user)
            db.session.flush()
            db.session.execute(
                insert(Membership).values(
                    context_pk=context.id,
                    lti_user_pk=user.id,
                    role=CourseRole.LEARNER,
                    status=MembershipStatus.ACTIVE,
                )
            )
            for _ in range(guardians):
                person = Person(kind=PersonKind.PARENT)
                db.session.add(person)
                db.session.flush()
                db.session.add(PersonLink(lti_user_pk=user.id, person_id=person.id, role_key=f"g{person.id}"))
                db.session.add(
                    Guardianship(
                        person_id=person.id,
                        child_pk=user.id,
                        source=GuardianSource.SIS_IMPORT,
                        created_at=now,
                    )
                )
        db.session.commit()
