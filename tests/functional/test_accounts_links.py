"""Linking guardians to pupils by an imported list."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, literal, select
from sqlalchemy.orm import aliased

from integrations.content.spreadsheet import Sheet, write_csv, write_xlsx
from lti_app.extensions import db
from lti_app.roster.models import (
    Audience,
    Context,
    Guardianship,
    LtiUser,
    Membership,
    Person,
    PersonKind,
    PersonLink,
)
from tests.browsing import Page, QueryCount, Visitor
from tests.fake_platform import MEMBERSHIP, FakePlatform, User
from tests.functional.test_accounts_files import FAMILIES, arrive, batch_path, clerk, make, upload

HEAD = ["学号", "学生姓名", "家长编号", "关系", "身份"]
LIS = "https://purl.imsglobal.org/spec/lti/claim/lis"


def come(visit: Visitor, number: str, class_: str = "class-1", **more: Any) -> None:
    visit.platform.users[number] = User(f"u-{number}", f"名{number}", [MEMBERSHIP + "Learner"])
    visit(number, f"demo/{class_}", **{LIS: {"person_sourcedid": number}, **more})


def linked(app: Flask) -> set[tuple[str, str]]:
    """(guardian's number, pupil's number) of every guardianship, by whatever login the person comes."""
    child = aliased(LtiUser)
    with app.app_context():
        query = (
            select(LtiUser.sis_id, child.sis_id)
            .select_from(Guardianship)
            .join(PersonLink, PersonLink.person_id == Guardianship.person_id)
            .join(LtiUser, LtiUser.id == PersonLink.lti_user_pk)
            .join(child, child.id == Guardianship.child_pk)
            .where(Guardianship.removed_at.is_(None), Guardianship.source == "sis_import")
        )
        return {(a, b) for a, b in db.session.execute(query)}


def links(page: Page, rows: list[list[str]]) -> Page:
    return upload(page, rows, "links", HEAD)


def apply(preview: Page) -> Page:
    return preview.post(f"{batch_path(preview)}/apply")


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def test_preview_writes_nothing_and_apply_links(app: Flask, visit: Visitor) -> None:
    for number in ("s1", "s2", "g1", "g2"):
        come(visit, number)
    page = visit("teacher")
    preview = links(
        page, [["s1", "一", "g1", "妈妈", ""], ["s2", "二", "G2", "", ""], ["s1", "一", "g9", "", ""]]
    )
    assert "将关联 2" in preview.text
    assert "家长还没有来 1" in preview.text
    assert linked(app) == set()
    done = apply(preview)
    assert "已关联 2 对" in done.text
    assert linked(app) == {("g1", "s1"), ("g2", "s2")}
    assert "没有要写入的行了" in done.text
    assert "已关联 0 对" in apply(preview).text, "twice is the same as once"
    assert linked(app) == {("g1", "s1"), ("g2", "s2")}


def test_a_guardian_is_found_by_mail(lite_app: Flask, lite_visit: Visitor) -> None:
    come(lite_visit, "s1")
    come(lite_visit, "g1", email="Mum@Example.com")
    apply(links(lite_visit("teacher"), [["s1", "", "mum@example.com", "", ""]]))
    assert linked(lite_app) == {("g1", "s1")}


def test_a_teacher_links_only_people_of_own_classes(app: Flask, visit: Visitor) -> None:
    come(visit, "mine")
    come(visit, "g1")
    come(visit, "theirs", "class-2")
    come(visit, "g2", "class-2")
    page = visit("teacher")
    preview = links(
        page, [["theirs", "", "g1", "", ""], ["mine", "", "g2", "", ""], ["mine", "", "g1", "", ""]]
    )
    assert "没有这个学生 1" in preview.text
    assert "家长还没有来 1" in preview.text
    apply(preview)
    assert linked(app) == {("g1", "mine")}
    school = clerk(visit)
    apply(links(school, [["theirs", "", "g1", "", ""]]))
    assert linked(app) == {("g1", "mine"), ("g1", "theirs")}


def test_an_applied_import_brings_back_what_was_removed(lite_app: Flask, lite_visit: Visitor) -> None:
    come(lite_visit, "s1")
    come(lite_visit, "g1")
    page = lite_visit("teacher")
    apply(links(page, [["s1", "", "g1", "", ""]]))
    with lite_app.app_context():
        row = db.session.scalars(select(Guardianship)).one()
        row.removed_at, row.removed_by = row.created_at, "teacher"
        db.session.commit()
    assert linked(lite_app) == set()
    apply(links(page, [["s1", "", "g1", "", ""]]))
    assert linked(lite_app) == {("g1", "s1")}


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (["s1", "", "s1", "", ""], "同一个账号"),
        (["", "", "g1", "", ""], "这一行有误"),
        (["s1", "", "", "", ""], "这一行有误"),
        (["s1", "", "g1", "", "老师"], "这一行有误"),
        (["2.02E+09", "", "g1", "", ""], "这一行有误"),
        (["nobody", "", "g1", "", ""], "没有这个学生"),
        (["s1", "", "twin", "", ""], "不止一个人"),
    ],
)
def test_lines_that_are_left_out(lite_app: Flask, lite_visit: Visitor, row: list[str], word: str) -> None:
    come(lite_visit, "s1")
    come(lite_visit, "g1")
    for sub in ("twin-1", "twin-2"):
        come(lite_visit, sub, **{LIS: {"person_sourcedid": "twin"}})
    preview = links(lite_visit("teacher"), [row])
    assert word in preview.text
    apply(preview)
    assert linked(lite_app) == set()


def test_a_list_says_who_is_a_pupil_in_a_parents_class(app: Flask, visit: Visitor) -> None:
    come(visit, "s1")
    page = visit("teacher")
    with app.app_context():
        db.session.scalars(select(Context)).one().audience = Audience.PARENTS
        db.session.commit()
    apply(links(page, [["s1", "", "", "", "学生"]]))
    come(visit, "s1")
    with app.app_context():
        kinds = set(
            db.session.scalars(
                select(Person.kind)
                .join(PersonLink)
                .join(LtiUser, LtiUser.id == PersonLink.lti_user_pk)
                .where(LtiUser.sis_id == "s1")
            )
        )
        assert kinds == {PersonKind.PUPIL}


def test_those_who_came_by_our_accounts_are_linked_with_one_press(app: Flask, visit: Visitor) -> None:
    page = clerk(visit)
    make(upload(page, FAMILIES))
    assert "还没有能关联的家长" in page.post("/accounts/arrivals/link").text
    come(visit, "20250101")
    arrive(visit, "p20250101a")
    preview = page.post("/accounts/arrivals/link")
    assert "将关联 1" in preview.text
    apply(preview)
    assert linked(app) == {("p20250101a", "20250101")}


def test_twenty_thousand_rows(lite_app: Flask, lite_visit: Visitor) -> None:
    page = lite_visit("teacher")
    with lite_app.app_context():
        context = db.session.scalars(select(Context)).one()
        numbers = [*(f"s{n}" for n in range(10_000)), *(f"g{n}" for n in range(20_000))]
        rows = [{"registration_id": context.registration_id, "sub": n, "sis_id": n} for n in numbers]
        db.session.execute(insert(LtiUser), rows)
        learner = select(context.id, LtiUser.id, literal("learner"), literal("active"))
        db.session.execute(
            insert(Membership).from_select(
                ["context_pk", "lti_user_pk", "role", "status"], learner.where(LtiUser.sis_id.is_not(None))
            )
        )
        db.session.commit()
    preview = upload(
        page, write_csv([HEAD, *([f"s{n // 2}", "", f"g{n}", "", ""] for n in range(20_000))]), "links"
    )
    assert "将关联 20000" in preview.text
    with QueryCount(lite_app) as queries:
        preview.get(f"{batch_path(preview)}?page=200")
    assert len(queries) < 5
    with QueryCount(lite_app) as queries:
        done = apply(preview)
    assert "已关联 20000 对" in done.text
    assert len(queries) < 20 + 20 * 20_000 // 500
    with lite_app.app_context():
        assert db.session.scalar(select(func.count(Guardianship.id))) == 20_000


CELLS = st.text(max_size=12) | st.sampled_from(["s1", "g1", "家长", "学生", "13800138000", "a@b.cn", "=1"])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=st.lists(st.lists(CELLS, max_size=7), max_size=8), kind=st.sampled_from(["links", "accounts"]))
def test_any_table_is_answered(
    lite_app: Flask, lite_visit: Visitor, rows: list[list[str]], kind: str
) -> None:
    """Whatever the cells hold: a preview or a sentence, and using it writes all or nothing."""
    if not hasattr(lite_visit, "page"):
        come(lite_visit, "s1")
        come(lite_visit, "g1")
        lite_visit.page = lite_visit("teacher")  # type: ignore[attr-defined]
    page = lite_visit.page  # type: ignore[attr-defined]
    head = HEAD if kind == "links" else ["学号", "学生姓名", "班级", "家长姓名", "关系", "手机", "邮箱"]
    for data in (
        write_csv([head, *rows]) if all("\0" not in c for r in rows for c in r) else b"\0",
        write_xlsx([Sheet("x", [head, *rows], [])]),
    ):
        preview = upload(page, data, kind)
        assert preview.status in (200, 422)
        if preview.status == 422:
            continue
        if kind == "links":
            assert apply(preview).status == 200
            assert linked(lite_app) <= {("g1", "s1")}
        else:
            assert make(preview).status == 200
