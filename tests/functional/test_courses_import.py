"""`flask courses import`: all or nothing, the same again changes nothing, a new version keeps progress."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from lti_app.courses.models import (
    Course,
    CourseProgress,
    Lesson,
    LessonProgress,
    Media,
    Question,
    QuizAttempt,
)
from lti_app.credits.models import CreditEntry
from lti_app.extensions import db
from tests.browsing import Visitor
from tests.conftest import PACKS, ROOT, run
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, count, hand_in, import_pack, only
from tests.unit.courses.pack_writer import ARTICLE, COURSE, QUIZ, write_pack


def snapshot(app: Flask) -> list[tuple[object, ...]]:
    with app.app_context():
        tables = (Course, Lesson, Question, Media)
        return [
            tuple(row)
            for table in tables
            for row in db.session.execute(select(table.__table__).order_by(*table.__table__.primary_key))
        ]


def test_an_import_reports_and_the_same_again_changes_nothing(app: Flask, tmp_path: Path) -> None:
    assert import_pack(app, tmp_path / "pack") == "created: listening\n"
    before = snapshot(app)
    assert import_pack(app, tmp_path / "pack") == "unchanged: listening\n"
    assert snapshot(app) == before
    listed = run(app, "courses", "list")
    assert "listening\tv1\t3\t先听再说" in listed


def test_one_wrong_pack_keeps_all_out(app: Flask, tmp_path: Path) -> None:
    write_pack(tmp_path / "packs" / "good")
    write_pack(
        tmp_path / "packs" / "bad", course=COURSE.replace("listening", "bad"), quiz=QUIZ.replace("60", "0")
    )
    before = snapshot(app)
    output = run(app, "courses", "import", str(tmp_path / "packs"), exit_code=1)
    assert "bad/03.md:6: pass_mark: Must be" in output
    assert "nothing was imported: 1 problem(s)" in output
    assert snapshot(app) == before
    assert not list((tmp_path / "media").rglob("*"))


def test_a_dry_run_tells_and_changes_nothing(app: Flask, tmp_path: Path) -> None:
    before = snapshot(app)
    output = run(app, "courses", "import", "--dry-run", str(write_pack(tmp_path / "pack")))
    assert output == "created: listening\ndry run: nothing was changed\n"
    assert snapshot(app) == before
    assert not (tmp_path / "media").exists()


def test_media_are_kept_under_their_hash(app: Flask, tmp_path: Path) -> None:
    import_pack(app, tmp_path / "pack")
    with app.app_context():
        for row in db.session.scalars(select(Media)):
            kept = tmp_path / "media" / row.sha256[:2] / row.sha256
            assert kept.read_bytes() == (tmp_path / "pack" / row.path).read_bytes()
    assert len([p for p in (tmp_path / "media").rglob("*") if p.is_file()]) == 3


def test_changed_content_needs_a_higher_version(app: Flask, tmp_path: Path) -> None:
    import_pack(app, tmp_path / "pack", version=3)
    before = snapshot(app)
    for version in (2, 3):
        changed = COURSE.replace("version: 1", f"version: {version}").replace("一句话", "两句话")
        pack = write_pack(tmp_path / "pack", course=changed)
        output = run(app, "courses", "import", str(pack), exit_code=1)
        assert (
            "course.yaml:6: version: the content has changed, so the version must be higher than 3" in output
        )
        assert snapshot(app) == before
    assert (
        import_pack(app, tmp_path / "pack", version=4, quiz=QUIZ.replace("60", "80"))
        == "updated: listening\n"
    )


def test_a_lesson_may_not_change_its_kind(app: Flask, tmp_path: Path) -> None:
    import_pack(app, tmp_path / "pack")
    quiz = QUIZ.replace("slug: quiz", "slug: read")
    pack = write_pack(
        tmp_path / "pack",
        course=COURSE.replace("version: 1", "version: 2"),
        article=ARTICLE.replace("slug: read", "slug: other"),
        quiz=quiz,
    )
    output = run(app, "courses", "import", str(pack), exit_code=1)
    assert (
        "03.md:4: kind: this lesson was of kind article; a lesson of another kind needs a new slug" in output
    )


@pytest.fixture
def visit(app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(app, platform)


def test_a_new_version_keeps_what_people_did(app: Flask, visit: Visitor, tmp_path: Path) -> None:
    import_pack(app, tmp_path / "pack")
    page = came(visit, "parent", "listening")
    page.post("/lessons/read/read")
    hand_in(page, (["0"], ["1"]))
    assert only(app, CourseProgress).percent == 66
    swapped = COURSE.replace("[01.md, 02.md, 03.md]", "[03.md, 01.md, 02.md]")
    import_pack(app, tmp_path / "pack", version=2, course=swapped)
    again = came(visit, "parent", "listening")
    assert "66%" in again.text
    assert again.text.index("想一想") < again.text.index("读一读")
    assert count(app, LessonProgress) == 3
    assert count(app, QuizAttempt) == 1
    assert "通过了" in again.get("/lessons/quiz/result").text
    assert count(app, Question) == 2 + 2, "the questions are the same, those of `demo` beside them"


def test_a_removed_lesson_is_retired_and_who_has_done_the_rest_is_finished(
    app: Flask, visit: Visitor, tmp_path: Path
) -> None:
    import_pack(app, tmp_path / "pack")
    page = came(visit, "parent", "listening")
    page.post("/lessons/read/read")
    hand_in(page, (["0"], ["1"]))
    (tmp_path / "pack" / "02.md").unlink()
    shorter = COURSE.replace("version: 1", "version: 2").replace("[01.md, 02.md, 03.md]", "[01.md, 03.md]")
    (tmp_path / "pack" / "course.yaml").write_text(shorter)
    output = run(app, "courses", "import", str(tmp_path / "pack"))
    assert output == "updated: listening\nretired: listening/film\n"
    assert "祝贺，这门课学完了" in came(visit, "parent", "listening").text
    assert only(app, CreditEntry).amount == 25
    assert page.get("/lessons/film").status == 404
    import_pack(app, tmp_path / "pack", version=3)
    assert "祝贺，这门课学完了" in came(visit, "parent", "listening").text, "finished stays finished"
    assert count(app, Lesson) == 3 + 3
    assert page.get("/lessons/film").status == 200


def test_an_old_attempt_shows_the_questions_that_were_asked(
    app: Flask, visit: Visitor, tmp_path: Path
) -> None:
    import_pack(app, tmp_path / "pack")
    page = came(visit, "parent", "listening")
    hand_in(page, (["0"], ["0"]))
    import_pack(
        app,
        tmp_path / "pack",
        version=2,
        quiz=QUIZ.replace("要打断。", "要先听。").replace("answer: false", "answer: true"),
    )
    old = page.get("/lessons/quiz/result")
    assert "得分 50" in old.text
    assert "要打断。" in old.text
    assert "要先听。" not in old.text
    assert "要打断。" not in page.get("/lessons/quiz").text
    new = hand_in(page, (["0"], ["0"]))
    assert "得分 100" in new.text
    assert "要先听。" in new.text
    import_pack(app, tmp_path / "pack", version=3)
    assert count(app, Question) == 2 + 3, "a question that comes back is the old one"
    assert only(app, CourseProgress).percent == 33


def test_the_shipped_catalogue_is_right_and_wide(lite_app: Flask) -> None:
    output = run(lite_app, "courses", "import", str(ROOT / "lti_app/demo/courses"))
    assert output.count("created: ") >= 12
    assert run(lite_app, "courses", "import", str(PACKS)).count("unchanged: ") == 2
    with lite_app.app_context():
        courses = db.session.scalars(select(Course).where(Course.slug.not_in(["demo", "second"]))).all()
        assert {course.kind for course in courses} == {"general", "foundation", "customised", "web"}


def test_an_import_waits_for_nothing_it_does_not_need(lite_app: Flask, tmp_path: Path) -> None:
    run(lite_app, "courses", "import", str(tmp_path / "none"), exit_code=2)
