"""From a school's list of pupils and guardians to account files, slips, and who has arrived."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from integrations.content.spreadsheet import Sheet, write_xlsx
from lti_app.delivery.worker import run_once
from lti_app.extensions import db
from lti_app.roster.models import LtiUser
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import run
from tests.fake_platform import MEMBERSHIP, FakePlatform, User
from tests.functional.courses_steps import came

HEAD = ["学号", "学生姓名", "班级", "家长姓名", "关系", "手机", "邮箱"]
FAMILIES = [
    ["20250101", "陈小雨", "三年级2班", "李静", "妈妈", "13800138001", ""],
    ["20250101", "陈小雨", "三年级2班", "陈建国", "爸爸", "13800138002", "chen@example.com"],
    ["20230107", "陈小雪", "五年级1班", "李静", "妈妈", "+86 138-0013-8001", ""],
    ["20250102", "刘一鸣", "三年级2班", "", "奶奶", "", ""],
]
CHOICES = {
    "form": "user-upload",
    "course": "parents-2025",
    "role": "student",
    "language": "zh_cn",
    "with_groups": "true",
    "with_observers": "true",
    "with_names": "true",
    "only_new": "true",
    "prefix": "p",
    "placeholder_domain": "school.invalid",
    "site": "https://lms.test",
}


@pytest.fixture
def lite_visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


def clerk(visit: Visitor) -> Page:
    """Somebody who was granted the right of the school."""
    page = visit("teacher")
    with visit.app.app_context():
        login = db.session.scalars(select(LtiUser.id).where(LtiUser.sub == "u-teacher")).one()
    run(visit.app, "people", "grant", str(login), "school_admin")
    return page


def upload(page: Page, rows: list[list[str]] | bytes, kind: str = "accounts", head: list[str] = HEAD) -> Page:
    data = rows if isinstance(rows, bytes) else write_xlsx([Sheet("名单", [head, *rows], [])])
    boundary, body = encode_multipart({"file": FileStorage(io.BytesIO(data), "list.xlsx")})
    return page.post(f"/accounts/{kind}", body, content_type=f'multipart/form-data; boundary="{boundary}"')


def batch_path(page: Page) -> str:
    return page.response.request.path.removesuffix("/files")


def make(page: Page, **changes: Any) -> Page:
    """Make the files of an open preview."""
    choices = {name: value for name, value in (CHOICES | changes).items() if value is not None}
    return page.post(f"{batch_path(page)}/files", choices)


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"))))


def moodle(page: Page) -> list[dict[str, str]]:
    return table(page.get(f"{batch_path(page)}/files").response.data)


def sis(page: Page) -> dict[str, list[dict[str, str]]]:
    archive = zipfile.ZipFile(io.BytesIO(page.get(f"{batch_path(page)}/files").response.data))
    return {name: table(archive.read(name)) for name in archive.namelist()}


def arrive(visit: Visitor, number: str, name: str = "家长") -> Page:
    """Somebody launches with an account that has our number."""
    lis = "https://purl.imsglobal.org/spec/lti/claim/lis"
    visit.platform.users[number] = User(f"u-{number}", name, [MEMBERSHIP + "Learner"])
    return visit(number, **{lis: {"person_sourcedid": number}})


def test_one_table_with_what_the_upload_needs(app: Flask, visit: Visitor) -> None:
    preview = upload(clerk(visit), FAMILIES)
    assert preview.status == 200
    assert "要做的账号 3 个账号" in preview.text
    assert "合用一个账号" in preview.text
    made = make(preview)
    assert "3 个账号，其中 3 个有首次登录密码" in made.text
    rows = {row["username"]: row for row in moodle(made)}
    assert set(rows) == {"p20250101a", "p20250101b", "p20250102a"}
    mother = rows["p20250101a"]
    assert (mother["lastname"], mother["firstname"]) == ("李", "静")
    assert mother["email"] == "p20250101a@school.invalid"
    assert (mother["course1"], mother["group1"], mother["role1"]) == ("parents-2025", "三年级2班", "student")
    assert (mother["course2"], mother["group2"]) == ("parents-2025", "五年级1班"), "a sibling's class"
    assert rows["p20250101b"]["email"] == "chen@example.com"
    assert rows["p20250101b"]["course2"] == ""
    grandmother = rows["p20250102a"]
    assert (grandmother["lastname"], grandmother["firstname"]) == ("刘", "一鸣奶奶")
    for row in rows.values():
        assert re.fullmatch(r"[a-z0-9]+", row["username"])
        assert row["idnumber"] == row["username"]
        password = row["password"]
        assert len(password) >= 10
        assert all(re.search(kind, password) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    assert len({row["email"] for row in rows.values()}) == 3, "the upload refuses an address twice"
    assert len({row["password"] for row in rows.values()}) == 3


def test_no_phone_number_is_kept_or_sent(app: Flask, visit: Visitor) -> None:
    made = make(upload(clerk(visit), FAMILIES))
    assert b"13800138001" not in made.get(f"{batch_path(made)}/files").response.data
    assert "13800138001" not in made.html
    with app.app_context():
        for name in ("import_batch", "expected_guardian", "expected_child"):
            assert "1380013800" not in str(db.session.execute(text(f"SELECT * FROM {name}")).all())


def test_three_tables_for_sis(app: Flask, visit: Visitor) -> None:
    made = make(upload(clerk(visit), FAMILIES), form="sis", course="PARENTS")
    files = sis(made)
    assert set(files) == {"users.csv", "enrollments.csv", "user_observers.csv"}
    users = {row["user_id"]: row for row in files["users.csv"]}
    assert users["p20250101a"]["login_id"] == "p20250101a"
    assert users["p20250101a"]["full_name"] == "李静"
    assert users["p20250101a"]["email"] == "", "no mail goes to an address that was made up"
    assert {row["status"] for row in users.values()} == {"active"}
    assert files["enrollments.csv"][0] == {
        "course_id": "PARENTS",
        "user_id": "p20250101a",
        "role": "student",
        "status": "active",
        "associated_user_id": "",
    }
    observed = {(row["observer_id"], row["student_id"]) for row in files["user_observers.csv"]}
    assert observed == {
        ("p20250101a", "20250101"),
        ("p20250101a", "20230107"),
        ("p20250101b", "20250101"),
        ("p20250102a", "20250102"),
    }


def test_an_observer_is_enrolled_for_each_child(lite_app: Flask, lite_visit: Visitor) -> None:
    made = make(
        upload(clerk(lite_visit), FAMILIES), form="sis", course="C1", role="observer", with_observers=None
    )
    files = sis(made)
    assert set(files) == {"users.csv", "enrollments.csv"}
    mine = [row["associated_user_id"] for row in files["enrollments.csv"] if row["user_id"] == "p20250101a"]
    assert mine == ["20250101", "20230107"]


def test_slips_carry_the_same_passwords_as_the_file(app: Flask, visit: Visitor) -> None:
    made = make(upload(clerk(visit), FAMILIES))
    slips = made.get(f"{batch_path(made)}/slips")
    for row in moodle(made):
        assert row["username"] in slips.text
        assert row["password"] in slips.text
    assert "https://lms.test" in slips.text


def test_making_again_keeps_what_may_be_on_paper(app: Flask, visit: Visitor) -> None:
    made = make(upload(clerk(visit), FAMILIES))
    first = moodle(made)
    again = make(made, course="other")
    assert [(row["username"], row["password"]) for row in moodle(again)] == [
        (row["username"], row["password"]) for row in first
    ]


def test_the_same_guardians_keep_their_numbers(app: Flask, visit: Visitor) -> None:
    page = clerk(visit)
    numbers = {row["username"] for row in moodle(make(upload(page, FAMILIES)))}
    changed = [
        ["20250101", "陈小雨", "四年级2班", "陈建国", "爸爸", "13900000009", ""],  # a new phone
        ["20230107", "陈小雪", "六年级1班", "李静", "母亲", "13800138001", ""],  # known by the phone alone
        ["20250102", "刘一鸣", "四年级2班", "赵秀英", "奶奶", "13900000010", ""],  # known by the place alone
        ["20250103", "周天", "四年级2班", "周海", "爸爸", "13900000011", ""],
    ]
    only_new = make(upload(page, changed))
    assert [row["username"] for row in moodle(only_new)] == ["p20250103a"]
    everybody = {row["username"] for row in moodle(make(upload(page, changed), only_new=None))}
    assert everybody == numbers | {"p20250103a"}


def test_who_has_come(app: Flask, visit: Visitor) -> None:
    page = clerk(visit)
    make(upload(page, FAMILIES))
    arrive(visit, "p20250101a")
    arrivals = page.get("/accounts/arrivals")
    assert "已来过 1 人" in arrivals.text
    assert "已邀请 3 人" in arrivals.text
    assert "p20250101b" in arrivals.text
    assert "p20250101a" not in arrivals.text, "the list begins with those who have not come"
    assert "p20250101a" in page.get("/accounts/arrivals?show=all").text
    rows = csv.reader(io.StringIO(page.get("/accounts/arrivals.csv").response.data.decode("utf-8-sig")))
    assert ["三年级2班", "20250101", "妈妈", "p20250101a", "李静", "已来过"] in list(rows)


def test_whoever_has_come_gets_no_new_password(app: Flask, visit: Visitor) -> None:
    page = clerk(visit)
    make(upload(page, FAMILIES))
    arrive(visit, "p20250101a")
    made = make(upload(page, FAMILIES), only_new=None)
    passwords = {row["username"]: row["password"] for row in moodle(made)}
    assert passwords["p20250101a"] == ""
    assert passwords["p20250101b"] != ""
    assert "p20250101a" not in made.get(f"{batch_path(made)}/slips").text


def test_a_list_is_its_own_login_s_for_a_day(app: Flask, visit: Visitor) -> None:
    made = make(upload(clerk(visit), FAMILIES))
    path = batch_path(made).removeprefix(made.root)
    admin = visit("admin")
    for end in ("", "/files", "/slips"):
        assert admin.get(f"{path}{end}").status == 404
    with app.app_context():
        db.session.execute(text("UPDATE import_batch SET expires_at = '2020-01-01 00:00:00+00:00'"))
        db.session.commit()
    assert made.get(path).status == 404
    assert run_once(app, app.extensions["works"]) == 1, "it goes also when nobody comes back"
    with app.app_context():
        assert db.session.execute(text("SELECT count(*) FROM import_batch")).scalar() == 0


@pytest.mark.parametrize("user", ["parent", "pupil", "observer", "test-student", "anonymous"])
def test_not_for_families(lite_app: Flask, lite_visit: Visitor, user: str) -> None:
    page = came(lite_visit, user)
    for path in ("", "/accounts", "/links", "/arrivals", "/arrivals.csv", "/accounts/template"):
        assert page.get(f"/accounts{path}").status == 403
    assert upload(page, FAMILIES).status == 403


def test_a_teacher_makes_accounts_for_own_pupils_only(app: Flask, visit: Visitor) -> None:
    arrive(visit, "20250101", "陈小雨")
    page = visit("teacher")
    preview = upload(page, FAMILIES)
    assert "要做的账号 2 个账号" in preview.text
    assert preview.text.count("不是您班上的学生") == 2
    make(preview)
    assert "20250101" in page.get("/accounts/arrivals").text
    make(upload(clerk(visit), FAMILIES))
    assert "20250102" not in visit("assistant").get("/accounts/arrivals").text


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (["", "陈", "1班", "李静", "妈妈", "", ""], "没有学号"),
        (["2.02E+09", "陈", "1班", "李静", "妈妈", "", ""], "科学计数"),
        (["=1+1", "陈", "1班", "李静", "妈妈", "", ""], "以 = + - @ 开头"),
        (["1", "陈", "1班", "@SUM(A1)", "妈妈", "", ""], "家长姓名以 = + - @ 开头"),
        (["1", "陈", "1班", "李静", "妈妈", "1380013800", ""], "手机号不对"),
        (["1", "陈", "1班", "李静", "妈妈", "1.38E+10", ""], "手机号被表格软件"),
        (["1", "陈", "1班", "李静", "妈妈", "", "li@"], "邮箱写得不对"),
        (["1", "陈", "1班", "", "", "", ""], "没有家长"),
        (["1", "陈" * 101, "1班", "李静", "妈妈", "", ""], "学生姓名太长"),
        (["x" * 65, "陈", "1班", "李静", "妈妈", "", ""], "学号太长"),
        (["510103200902280016", "陈", "1班", "李静", "妈妈", "13800138001", ""], "随机编码"),
    ],
)
def test_what_is_wrong_is_said(lite_app: Flask, lite_visit: Visitor, row: list[str], sentence: str) -> None:
    preview = upload(clerk(lite_visit), [row])
    assert preview.status == 200
    assert sentence in preview.text


def test_an_identity_number_never_becomes_a_user_name(lite_app: Flask, lite_visit: Visitor) -> None:
    row = ["G510103200902280016", "陈小雨", "1班", "李静", "妈妈", "13800138001", ""]
    rows = moodle(make(upload(clerk(lite_visit), [row])))
    assert "5101032009" not in str(rows)
    assert re.fullmatch(r"p[a-z2-7]{10}-a", rows[0]["username"])


def test_columns_as_schools_name_them(lite_app: Flask, lite_visit: Visitor) -> None:
    head = ["学籍号（必填）", "姓名", "所在班级", "父亲姓名", "父亲电话", "母亲姓名", "母亲电话"]
    title = ["晨光实验学校 家长信息表"]
    data = write_xlsx(
        [
            Sheet(
                "x",
                [title, head, ["１００１", "陈雨", "701", "陈江", "13800138001", "李静", "13800138002"]],
                [],
            )
        ]
    )
    rows = moodle(make(upload(clerk(lite_visit), data)))
    assert [(row["username"], row["lastname"] + row["firstname"], row["group1"]) for row in rows] == [
        ("p1001a", "陈江", "701班"),
        ("p1001b", "李静", "701班"),
    ]


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (["编号", "谁"], "没有找到表头"),
        (["学号", "学生姓名"], "缺少要用的列"),
        (["学号", "学号", "家长姓名"], "出现了两次"),
        (["学号", "家长1姓名", "家长1姓名"], "出现了两次"),
    ],
)
def test_headers_that_do_not_fit(
    lite_app: Flask, lite_visit: Visitor, head: list[str], sentence: str
) -> None:
    answer = upload(clerk(lite_visit), [["1", "2", "3"]], head=head)
    assert answer.status == 422
    assert sentence in answer.text


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"prefix": "9x"}, "以字母开头"),
        ({"placeholder_domain": "nodots"}, "写成域名的样子"),
        ({"role": ""}, "也写角色"),
        ({"course": "=cmd"}, "不能以"),
        ({"site": "javascript:alert(1)"}, "完整的网址"),
        ({"form": "other"}, "需要改正"),
        ({"language": "xx"}, "需要改正"),
    ],
)
def test_choices_that_do_not_fit(
    lite_app: Flask, lite_visit: Visitor, choices: dict[str, str], sentence: str
) -> None:
    preview = upload(clerk(lite_visit), FAMILIES)
    answer = make(preview, **choices)
    assert answer.status == 422
    assert sentence in answer.text
    assert preview.get(f"{batch_path(preview)}/files").status == 404, "nothing was made"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "没有内容"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "旧的 .xls"),
        (b"PK\x03\x04 not really", "打不开"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "不是表格文件"),
        (b"\xff\xff\xff\xff\x80\x81", "编码"),
        (b"x" * (6 * 1024 * 1024), "文件太大"),
    ],
)
def test_files_that_are_no_list(lite_app: Flask, lite_visit: Visitor, data: bytes, sentence: str) -> None:
    answer = upload(clerk(lite_visit), data)
    assert answer.status == 422
    assert sentence in answer.text


def test_a_form_without_a_file(lite_app: Flask, lite_visit: Visitor) -> None:
    answer = clerk(lite_visit).post("/accounts/accounts", {"file": "text"})
    assert answer.status == 422


@pytest.mark.parametrize("locale", ["zh", "en"])
def test_a_template_can_be_sent_back(lite_app: Flask, lite_visit: Visitor, locale: str) -> None:
    page = clerk(lite_visit)
    page.post("/language", {"locale": locale, "next": f"{page.root}/accounts"})
    for kind in ("accounts", "links"):
        template = page.get(f"/accounts/{kind}/template")
        assert "xlsx" in template.response.headers["Content-Disposition"]
        preview = upload(page, template.response.data, kind)
        assert preview.status == 200
        assert ("p20250101a" if kind == "links" else "20230107") in preview.text


def test_twenty_thousand_rows_cost_a_bounded_number_of_queries(lite_app: Flask, lite_visit: Visitor) -> None:
    page = clerk(lite_visit)
    rows = [
        [f"{n:08d}", f"学生{n}", f"{n % 60}班", f"家长{n}", "妈妈", f"138{n:08d}", ""] for n in range(20_000)
    ]
    preview = upload(page, rows)
    assert "要做的账号 20000 个账号" in preview.text
    with QueryCount(lite_app) as queries:
        made = make(preview)
    assert "20000 个账号" in made.text
    # Inserts are batched; what is asked is asked for 500 guardians at a time.
    assert len([q for q in queries.statements if q.lstrip().startswith("SELECT")]) < 200
    with QueryCount(lite_app) as queries:
        page.get("/accounts/arrivals")
    assert len(queries) < 12
