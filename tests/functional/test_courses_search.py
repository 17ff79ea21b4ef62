"""Finding courses by words, on SQLite, PostgreSQL, and PostgreSQL in the locale C."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text
from sqlalchemy.orm import selectinload

from lti_app import create_app
from lti_app.courses.models import Course, CourseKind, CourseStatus, Stage
from lti_app.courses.queries import PAGE, catalogue, facets
from lti_app.extensions import db
from lti_app.roster.models import Audience
from tests.browsing import QueryCount, Visitor
from tests.conftest import ROOT, run, settings_for
from tests.databases import new_database, service
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import import_pack
from tests.load.catalogue import stock
from tests.unit.courses.pack_writer import COURSE

MIGRATIONS = str(ROOT / "migrations")
MANY = 2000
ANY_DATABASE = ["sqlite"] + [pytest.param(p, marks=pytest.mark.postgres) for p in ("postgres", "postgres-c")]
SAME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FIELDS = ("title", "theme", "brand", "summary")


@contextlib.contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[Flask]:
    """An application on an empty database, which nobody has migrated."""
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder / 'search.sqlite3'}"
        if kind != "sqlite":
            server = service("PostgreSQL", "TEST_POSTGRES_URL")
            url = stack.enter_context(new_database(server, locale="C" if kind == "postgres-c" else None))
        app = create_app(settings_for(folder, url))
        try:
            yield app
        finally:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()


@pytest.fixture(scope="module", params=ANY_DATABASE)
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A large catalogue that nobody changes."""
    with empty_database(request.param, tmp_path_factory.mktemp("large")) as app:
        with app.app_context():
            flask_migrate.upgrade(directory=MIGRATIONS)
            stock(MANY)
            if request.param != "sqlite":  # what PostgreSQL's autovacuum does by itself
                with db.engine.begin() as connection:
                    connection.execute(text("ANALYZE"))
        yield app


@pytest.fixture(scope="module")
def published(large: Flask) -> list[Course]:
    """All courses of it that can be found."""
    query = select(Course).where(Course.status == CourseStatus.PUBLISHED)
    with large.app_context():
        courses = list(db.session.scalars(query.options(selectinload(Course.stages))))
        db.session.expunge_all()
    return courses


@pytest.fixture
def open_large(large: Flask) -> Iterator[Flask]:
    with large.app_context():
        yield large


def plain(value: str | None) -> str:
    return unicodedata.normalize("NFKC", value or "").casefold()


def holds(course: Course, word: str) -> bool:
    """What a search promises, said without any token."""
    beginning = r"(?<![a-z0-9])" if word[0].isascii() else ""
    pattern = beginning + re.escape(plain(word))
    return any(re.search(pattern, plain(getattr(course, field))) for field in FIELDS)


def found(words: str, **filters: Any) -> list[int]:
    """The ids of all that a search finds, page after page."""
    first = catalogue(words, None, None, 1, **filters)
    rest = [catalogue(words, None, None, number, **filters) for number in range(2, first.pages + 1)]
    ids = [course.id for page in (first, *rest) for course in page.courses]
    assert len(ids) == first.total
    return ids


# -- what is found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "读",
        "家",
        "共读",
        "作业",
        "亲子共读",
        "防网络诈骗",
        "十分钟",
        "read",
        "Reading Tog",
        "ste",
        "3",
        "30问",
        "渝见明眸",
    ]
    + ["妈妈 共读", "亲子 STEAM 读", "ＲＥＡＤ", "龘"],
)
@pytest.mark.usefixtures("open_large")
def test_a_search_finds_what_holds_every_word(words: str, published: list[Course]) -> None:
    wanted = [c.id for c in published if all(holds(c, word) for word in words.split())]
    ids = found(words)
    assert sorted(ids) == sorted(wanted)
    assert bool(ids) == (words != "龘")


@pytest.mark.usefixtures("open_large")
def test_a_title_comes_before_a_theme_and_a_theme_before_a_summary(published: list[Course]) -> None:
    def place(course: Course) -> tuple[int, int]:
        if "家务" in course.title:
            return 0, len(course.title)
        return (1 if "家务" in course.theme else 2), len(course.title)

    by_id = {course.id: course for course in published}
    places = [place(by_id[id]) for id in found("家务")]
    assert {first for first, _ in places} == {0, 1, 2}
    assert places == sorted(places)


@pytest.mark.usefixtures("open_large")
def test_no_course_is_missing_or_shown_twice_while_somebody_turns_pages() -> None:
    for words in ("周末", ""):
        ids = found(words)
        assert len(ids) == len(set(ids)) > 3 * PAGE
        assert ids == found(words)
    last = catalogue("周末", None, None, 100_000)
    assert last.page == last.pages
    assert last.courses


SYNTAX = [
    *"\"'*^:()+-{}[]<>&|!@\\%_~.,;#$/?=\t\n\0 ",
    "AND",
    " OR ",
    "NOT",
    "NEAR(",
    "title:",
    "rowid",
    ":*",
    ":A",
    "''",
]
PARTS = st.sampled_from([*SYNTAX, "家", "共读", "a"])
HOSTILE = st.one_of(st.text(max_size=40), st.lists(PARTS, max_size=9).map("".join))
CHINESE = st.text("亲子共读家作业睡前 ", min_size=1, max_size=4)


@SAME
@given(words=HOSTILE)
@pytest.mark.usefixtures("open_large")
def test_what_is_typed_is_never_syntax(words: str) -> None:
    page = catalogue(words, None, None, 1)
    assert page.total >= len(page.courses)
    facets(words, None, None)


@SAME
@given(words=st.lists(CHINESE, min_size=1, max_size=3).map(" ".join))
@pytest.mark.usefixtures("open_large")
def test_any_chinese_characters_are_found_where_they_stand_together(
    words: str, published: list[Course]
) -> None:
    wanted = [c.id for c in published if all(holds(c, word) for word in words.split())]
    assert catalogue(words, None, None, 1).total == len(wanted)


# -- filters ---------------------------------------------------------------------------------------------


FILTERS: list[dict[str, Any]] = [
    {},
    {"words": "共读"},
    {"stage": Stage.PRIMARY},
    {"kind": CourseKind.WEB, "theme": "亲子沟通"},
    {"words": "家", "stage": Stage.SENIOR, "audience": Audience.FAMILIES, "hours": (50, 100)},
    {"words": "没有这样的课程"},
    {"words": "%", "theme": "亲子沟通"},
]


@pytest.mark.parametrize("chosen", FILTERS)
@pytest.mark.usefixtures("open_large")
def test_the_counts_beside_the_filters_are_what_choosing_them_finds(
    chosen: dict[str, Any], published: list[Course]
) -> None:
    wanted = {"words": "", "stage": None, "kind": None, **chosen}
    counts = facets(**wanted)
    assert counts.total == catalogue(page=1, **wanted).total
    for name, choices, numbers in (
        ("stage", Stage, counts.stages),
        ("kind", CourseKind, counts.kinds),
        ("audience", Audience, counts.audiences),
        ("theme", {course.theme for course in published}, counts.themes),
    ):
        by_hand = {choice: catalogue(page=1, **{**wanted, name: choice}).total for choice in choices}
        assert numbers == {choice: number for choice, number in by_hand.items() if number}
    assert list(counts.themes.values()) == sorted(counts.themes.values(), reverse=True)


@pytest.mark.usefixtures("open_large")
def test_hours_and_the_other_filters_are_joined(published: list[Course]) -> None:
    def fits(course: Course) -> bool:
        return 50 <= course.class_hours <= 100 and Stage.PRIMARY in {row.stage for row in course.stages}

    page = catalogue("", Stage.PRIMARY, None, 2, hours=(50, 100))
    assert page.total == sum(map(fits, published))
    assert all(map(fits, page.courses))
    assert catalogue("", None, None, 1, hours=(300, 400)).total == 0


# -- how it is found -------------------------------------------------------------------------------------


def plans_of(words: str) -> list[str]:
    """How the database runs each statement of a search, beginning with the count."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        catalogue(words, None, None, 1)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    db.session.rollback()  # on SQLite it would keep the next connection waiting
    explain = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
    with db.engine.connect() as connection:
        return [
            "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, values))
            for statement, values in statements
        ]


@pytest.mark.parametrize(
    ("words", "rare"),
    [("龘", True), ("家长里短", True), ("Xylophone", True), ("家务", False), ("phonics 周末", False)],
)
@pytest.mark.usefixtures("open_large")
def test_a_search_reads_the_index_and_not_the_catalogue(words: str, rare: bool) -> None:
    """For a word that many courses hold, PostgreSQL rightly reads all courses to join them."""
    counting, showing, *_ = plans_of(words)
    for plan in (counting, showing):
        if db.engine.dialect.name == "sqlite":
            assert "VIRTUAL TABLE INDEX" in plan
            assert "SEARCH course USING INTEGER PRIMARY KEY" in plan, plan
            assert not re.search(r"SCAN course\b(?!_search)", plan), plan
            assert "CORRELATED" not in plan, plan
        else:
            assert "Bitmap Index Scan on ix_course_search_tokens" in plan
            assert "Seq Scan on course_search" not in plan
            assert not (rare and "Seq Scan" in plan), plan


@pytest.mark.usefixtures("open_large")
def test_the_catalogue_without_words_is_read_in_the_order_of_an_index() -> None:
    _, showing, *_ = plans_of("")
    assert "ix_course_theme_title" in showing


def test_a_search_makes_as_many_queries_for_one_course_as_for_thousands(open_large: Flask) -> None:
    counted = []
    for words in ("家", "龘", ""):
        db.session.scalar(select(1))  # the transaction's beginning is a statement too
        with QueryCount(open_large) as queries:
            catalogue(words, None, None, 1)
            facets(words, None, None)
        counted.append(len(queries))
    assert counted == [6, 5, 6]  # no stages to load where there is no course


# -- how the index is kept -------------------------------------------------------------------------------


def titles(app: Flask, words: str) -> list[str]:
    with app.app_context():
        return [course.title for course in catalogue(words, None, None, 1).courses]


def test_an_import_is_found_at_once_and_its_old_words_no_longer(app: Flask, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    import_pack(app, pack)
    assert titles(app, "先听再说") == ["先听再说"]
    import_pack(app, pack, version=2, course=COURSE.replace("title: 先听再说", "title: 饭后散步"))
    assert titles(app, "先听再说") == []
    assert titles(app, "散步") == ["饭后散步"]
    (pack / "course.yaml").write_text(
        COURSE.replace("version: 1", "version: 3").replace("先听再说", "睡前聊天")
    )
    run(app, "courses", "import", "--dry-run", str(pack))
    assert titles(app, "睡前聊天") == []
    assert titles(app, "散步") == ["饭后散步"]


def test_the_index_can_be_made_anew(app: Flask) -> None:
    with app.app_context():
        db.session.execute(text("DELETE FROM course_search"))
        db.session.execute(text("UPDATE course SET title = '手写的标题' WHERE slug = 'second'"))
        db.session.commit()
    assert titles(app, "测试课程") == []
    assert run(app, "courses", "reindex") == "indexed: 2 course(s)\n"
    assert titles(app, "测试课程") == ["测试课程：好好说话"]
    assert titles(app, "手写") == ["手写的标题"]
    assert run(app, "courses", "reindex") == "indexed: 2 course(s)\n"
    assert titles(app, "手写") == ["手写的标题"]


@pytest.mark.parametrize("kind", ANY_DATABASE)
def test_courses_of_an_older_installation_are_found_after_the_migration(kind: str, tmp_path: Path) -> None:
    values = {
        "slug": "old",
        "title": "爸爸的“Reading” 时间：O'Brien & 共读",
        "summary": "每天十分钟。",
        "language": "zh-CN",
        "version": 1,
        "kind": "general",
        "theme": "父亲陪伴",
        "audience": "parents",
        "class_hours": 50,
        "credits": 50,
        "brand": None,
        "cover": "eye",
        "status": "published",
        "content_hash": "",
        "updated_at": "2026-11-01 00:00:00+00:00",
    }
    with empty_database(kind, tmp_path) as app, app.app_context():
        flask_migrate.upgrade(directory=MIGRATIONS, revision="0005")
        names = ", ".join(values)
        with db.engine.begin() as connection:
            marks = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO course ({names}) VALUES ({marks})"), values)
        flask_migrate.upgrade(directory=MIGRATIONS)
        for words in ("父", "共读", "父亲陪伴", "read", "o'brien", "十分钟"):
            assert titles(app, words) == [values["title"]], words
        assert titles(app, "十分种") == []


def test_a_course_that_is_deleted_is_not_found(app: Flask) -> None:
    with app.app_context():
        for table in ("question", "lesson", "media", "course_stage"):
            db.session.execute(text(f"DELETE FROM {table}"))
        db.session.execute(text("DELETE FROM course"))
        db.session.commit()
    assert titles(app, "测试") == []


def test_the_page_finds_by_words_in_the_address(app: Flask, platform: FakePlatform) -> None:
    page = Visitor(app, platform)("teacher", "/class-1")
    assert "共 1 门课程" in page.get("/choose?q=第二门").text
    assert "共 1 门课程" in page.get("/choose?q=好").text
    assert "没有找到这样的课程" in page.get("/choose?q=%22%20OR%20*").text
