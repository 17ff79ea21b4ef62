"""Walks past every page and state of the tool. A tour yields the name of what its page shows at that moment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from playwright.sync_api import FilePayload, Page, expect

from tests.browser import pages
from tests.browser.pages import School

MEALS, READING = "screen-free-meals", "shared-reading-15-minutes"
ADMIN, TEACHER = "guanliyuan", "wang-laoshi"
INVITATION = ("--district", "渝中区", "--school", "晨光实验学校", "--deployments", "accept")
LINKS = "学号,家长编号,关系\nCG-chen-xiaoyu,CG-liu-baba,爸爸\nCG-nobody,CG-chen-mama,妈妈\n"
ACCOUNTS = (
    "学号,学生姓名,班级,家长姓名,关系,手机,邮箱\n"
    "20250101,陈小雨,一年级1班,李静,妈妈,13800138001,\n"
    "20250101,陈小雨,一年级1班,陈建国,爸爸,13800138002,chen@example.com\n"
    "20250102,刘一鸣,一年级1班,,奶奶,,\n"
    ",无学号,一年级1班,王芳,妈妈,13800138003,\n"
)


def get_busy(page: Page, school: School) -> None:
    """Let people do what fills the pages. Grandmother has finished a course, two pupils are in the class; a
    parent's grade waits, another parent is half through a course; one has claimed a child, another both; the
    connection was checked, lists were sent; the LMS's administrator was granted the right of a district."""
    pages.open_alone(page, school, "g1-meals", "zhao-nainai")
    pages.finish_course(page, MEALS)
    pages.open_alone(page, school, "g1-meals", "chen-xiaoyu")
    pages.say_who(page, "我是学生")
    pages.finish_course(page, MEALS)
    pages.open_alone(page, school, "g1-meals", "parent-03")
    pages.say_who(page, "我是学生")
    pages.eventually(page, lambda: school.grade("chen-xiaoyu", "g1-meals"))
    school.switch(unpublished="all")
    pages.open_alone(page, school, "g1-meals", "parent-02")
    pages.say_who(page)
    pages.finish_course(page, MEALS)
    pages.eventually(page, lambda: school.posts("parent-02"))
    pages.open_alone(page, school, "g1-reading", "parent-01")
    pages.say_who(page)
    pages.visit(page, "/lessons/first-week")
    page.get_by_role("button", name="读完了").click()
    pages.visit(page, "/lessons/quiz")
    pages.answer_quiz(page, READING, wrong=2)
    _claim_children(page, school)
    pages.open_alone(page, school, "g1-meals", ADMIN)
    login = school.tool.flask("people", "find", "孙主任").split("\t")[0]
    school.tool.flask("people", "grant", login, "district")
    _send_lists(page)
    pages.visit(page, "/connection")
    page.get_by_role("button", name="开始检查").click()
    expect(page.get_by_role("button", name="再检查一次")).to_be_visible(timeout=60_000)


def _claim_children(page: Page, school: School) -> None:
    pages.open_alone(page, school, "g1-meals", TEACHER)
    codes = make_slips(page)
    for parent, children in (("liu-baba", ["陈小雨"]), ("chen-mama", ["陈小雨", "郑晓燕"])):
        pages.open_alone(page, school, "g1-meals", parent)
        pages.say_who(page)
        for child in children:
            claim(page, codes[child])


def make_slips(view: pages.View) -> dict[str, str]:
    """Make a claim code for every pupil who has none; returns the codes by the pupils' names."""
    if not view.url.endswith("/families/codes"):
        pages.visit(view, "/families/codes")
    pages.press(view.locator("main form .btn-thumb"))
    expect(view.locator(".slip").first).to_be_visible()
    names = [text.removesuffix(" 的家长") for text in view.locator(".slip-name").all_inner_texts()]
    return dict(zip(names, view.locator(".slip-code").all_inner_texts(), strict=True))


def claim(view: pages.View, code: str) -> None:
    """Become the guardian of a child, as the parent who is here."""
    pages.visit(view, "/children")
    view.get_by_label("认领码").fill(code)
    pages.press(view.get_by_role("button", name="认领", exact=True))
    expect(view.get_by_text("已认领：")).to_be_visible()


def _send(page: Page, kind: str, table: str) -> None:
    pages.visit(page, f"/accounts/{kind}")
    file: FilePayload = {"name": "list.csv", "mimeType": "text/csv", "buffer": table.encode("utf-8-sig")}
    page.locator("input[type=file]").set_input_files(file)
    page.locator("main form .btn-primary").click()
    expect(page.locator("#lines")).to_be_visible()


def _send_lists(page: Page) -> None:
    """Of links, and of accounts, whose files are made."""
    _send(page, "links", LINKS)
    _send(page, "accounts", ACCOUNTS)
    page.locator("form[action$='/files'] .btn-primary").click()
    expect(page.locator("#files")).to_be_visible()


def inside(page: Page, school: School, language: str, person: str, *paths: str) -> Iterator[str]:
    """Pages of a launch, without its first."""
    pages.open_alone(page, school, "g1-meals", person, lang=language)
    for path in paths:
        pages.visit(page, path)
        yield f"{person} {path}"


def learning(page: Page, school: School, language: str) -> Iterator[str]:
    """Courses, credits, the class and its school."""

    def visited(link: str, person: str, *paths: str) -> Iterator[str]:
        pages.open_alone(page, school, link, person, lang=language)
        yield f"{person} {link}"
        for path in paths:
            pages.visit(page, path)
            yield f"{person} {path}"

    yield from visited("g1-new", "wuming")
    lessons = (f"/lessons/{slug}" for slug in ("watch", "talk", "quiz", "quiz/result?number=1"))
    yield from visited("g1-reading", "parent-01", *lessons, "/credits", "/privacy")
    yield from visited("g1-meals", "zhao-nainai", "/lessons/quiz", "/lessons/quiz/result", "/credits")
    # As without script: the form's own answer, in this tab.
    page.evaluate("document.querySelector('form[action$=\"/open\"]').submit()")
    expect(page.locator("a[href*='/lti/open/']")).to_be_visible()
    yield "a one-time link"
    yield from visited("g1-meals", "chen-xiaoyu", "/credits")
    teacher = ("/class?show=settled", "/course", "/lessons/agree", "/choose", "/choose?q=zzzz")
    yield from visited("g1-meals", TEACHER, *teacher, f"/choose?course={MEALS}", "/credits")
    yield from _grades(page)
    yield from visited("g7-fraud", TEACHER)
    yield from visited("g1-new", "zhao-nainai", "/class")
    yield from visited("g1-meals", ADMIN, "/connection", "/connection/delivery", "/overview")
    page.goto(f"{school.url}/launch/g1-meals?as=wang-laoshi&review=zhao-nainai&target=window&lang={language}")
    pages.arrived(page)
    yield "review"
    for path in ("/", "/lti/launch", "/nothing"):
        page.goto(f"{school.tool.url}{path}")
        yield path


def _grades(page: Page) -> Iterator[str]:
    """The sync page of the class that is open, and what leads on from it."""
    for path in ("/grades", "/grades?q=zzzz", "/grades?show=sending", "/grades/credits"):
        pages.visit(page, path)
        yield path
    page.locator("main form .btn-primary").click()
    yield "a column of credits without a target"
    pages.visit(page, "/grades")
    page.goto(page.locator("a[href*='/grades/columns/']").first.evaluate("link => link.href"))
    yield "the settings of a column"
    pages.visit(page, "/grades")
    page.locator("main details").first.evaluate("details => { details.open = true; }")
    yield "a column opened"
    page.locator("main details a[href*='/grades/columns/']").first.click()
    yield "how a column works"


def families(page: Page, school: School, language: str) -> Iterator[str]:
    """The class's list, claim codes, children, and the link to another account."""
    teacher = ("/members", "/members?q=zzzz", "/families", "/families/codes")
    yield from inside(page, school, language, TEACHER, *teacher)
    pages.visit(page, "/families")
    page.locator("a[href*='/families/codes?child=']").first.click()
    yield "a code for one pupil"
    page.locator("main form .btn-thumb").click()
    expect(page.locator(".slip")).to_be_visible()
    yield "slips"
    yield from inside(page, school, language, "parent-02", "/children", "/account")
    yield from inside(page, school, language, "liu-baba", "/children")
    page.locator("a[href$='/leave']").first.click()
    yield "not my child"
    pages.visit(page, "/account")
    page.locator("form[action$='/account/code'] button").click()
    yield "a code for the other account"
    code = page.locator(".slip-code").inner_text()
    yield from inside(page, school, language, "chen-mama", "/children")
    page.locator("#field-code").fill("0000")
    page.locator("form[action$='/children/claim'] button").click()
    yield "a wrong claim code"
    pages.visit(page, "/account")
    page.locator("#field-code").fill(code)
    page.locator("form[action$='/account/link'] button").click()
    yield "the other account found"


def lists(page: Page, school: School, language: str) -> Iterator[str]:
    """Account files and links by list, as the school's staff and as a teacher."""
    paths = ("/accounts", "/accounts/links", "/accounts/accounts", "/accounts/arrivals?show=all")
    yield from inside(page, school, language, ADMIN, *paths)
    for kind in ("links", "accounts"):
        pages.visit(page, "/accounts")
        page.locator(f"a.btn[href*='/accounts/{kind}/']").first.click()
        expect(page.locator("#lines")).to_be_visible()
        yield f"a list of {kind}"
    page.locator("a[href$='/slips']").click()
    expect(page.locator(".slip").first).to_be_visible()
    yield "slips for the first login"
    yield from inside(page, school, language, TEACHER, "/accounts", "/accounts/arrivals")


def picking(page: Page, school: School, language: str) -> Iterator[str]:
    """The picker, from the catalogue to the answer on its way."""
    page.goto(f"{school.url}/launch/content/grade-1?as={TEACHER}&target=window&lang={language}")
    pages.arrived(page)
    yield "picker"
    root = pages.root_of(page)
    for path in (
        "?q=情绪",
        "?q=zzzz",
        f"/courses/{READING}",
        f"/courses/{READING}/quiz",
        "/basket",
        "/cancel",
    ):
        page.goto(f"{root}/pick{path}")
        yield f"/pick{path}"
    for slug in (READING, MEALS):
        page.goto(f"{root}/pick/courses/{slug}")
        page.locator("form[action*='/pick/courses'] .btn-thumb").first.click()
    yield "picker with a basket"
    page.goto(f"{root}/pick/cancel")
    yield "cancel a basket"
    page.goto(f"{root}/pick/basket")
    yield "basket"
    page.locator("input[name^=maximum]").first.fill("0")
    page.locator("button[value=send]").click()
    yield "basket with a mistake"
    page.locator("input[name^=maximum]").first.fill("20")
    # The LMS does not answer, so the page that sends stays.
    page.route("**/lti/courses/*/content", lambda route: route.fulfill(status=204))
    page.locator("button[value=send]").click()
    expect(page.locator("form[data-post-now]")).to_be_visible()
    yield "sending"


def invite(school: School) -> str:
    """The address by which the school's LMS may register."""
    said = school.tool.flask("platforms", "invite", *INVITATION, "--allow-http", "--allow-private-network")
    found = re.search(rf"{re.escape(school.tool.url)}/lti/register/\S+", said)
    assert found, said
    return found.group(0)


def registration(page: Page, school: School, language: str) -> Iterator[str]:
    """An invitation opened in a browser, and in the LMS."""
    address = invite(school)
    page.goto(address)
    yield "registration address"
    asked = page.request.get(f"{school.url}/tools", params={"as": ADMIN, "add": address})
    frame = re.search(r'data-launch="([^"]+)"', asked.text())
    assert frame
    page.goto(frame.group(1).replace("&amp;", "&"))
    yield "registration asked"
    page.locator("form .btn-thumb").click()
    expect(page.locator("[data-registration-done]")).to_be_attached()
    yield "registered"
    page.goto(address)
    yield "invitation used"
