"""Course packs: what is right is read, and what is wrong is told by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lti_app.courses import pack_files
from lti_app.courses.models import CourseKind, LessonKind
from lti_app.courses.packs import BadPacks, read_packs
from tests.unit.courses.pack_writer import ARTICLE, COURSE, QUIZ, VIDEO, lesson, write_pack


def problems(path: Path) -> list[str]:
    with pytest.raises(BadPacks) as caught:
        read_packs(path)
    return [str(problem) for problem in caught.value.problems]


def test_a_right_pack_is_read(tmp_path: Path) -> None:
    [pack] = read_packs(write_pack(tmp_path))
    article, film, quiz = pack.lessons
    assert pack.values["kind"] is CourseKind.GENERAL
    assert (pack.values["class_hours"], pack.values["credits"]) == (50, 25)
    assert [entry.values["kind"] for entry in pack.lessons] == list(LessonKind)
    assert film.transcripts == {"media/film.vtt": ["先听完 再说", "A & B"]}
    assert film.values["seconds"] == 19
    assert quiz.values["questions"][1]["answer"] is False
    assert set(pack.media) == {"media/kneel.png", "media/film.mp4", "media/film.vtt"}
    picture = pack.media["media/kneel.png"]
    assert picture.content_type == "image/png"
    assert f'src="media:{picture.sha256}" alt="蹲下来"' in article.body_html
    assert "<h2>标题</h2>" in article.body_html, "the page has its own h1"


def test_the_hash_follows_every_file_that_counts_and_nothing_else(tmp_path: Path) -> None:
    before = read_packs(write_pack(tmp_path))[0].content_hash
    (tmp_path / "media/draft.png").write_bytes(b"never mentioned")
    (tmp_path / "01.md").write_text(ARTICLE.replace("\n", "\r\n"), encoding="utf-8-sig")
    assert read_packs(tmp_path)[0].content_hash == before
    (tmp_path / "media/kneel.png").write_bytes(b"\x89PNG\r\n\x1a\n other")
    assert read_packs(tmp_path)[0].content_hash != before


def test_a_folder_of_packs_is_read_and_every_problem_of_all_is_told(tmp_path: Path) -> None:
    write_pack(tmp_path / "b", course=COURSE.replace("title: 先听再说", "title: ''"))
    write_pack(tmp_path / "a", quiz=QUIZ.replace("pass_mark: 60", "pass_mark: 101"), mp4=b"nonsense")
    write_pack(tmp_path / "c", course=COURSE.replace("listening", "third"))
    assert problems(tmp_path) == [
        "a/02.md:6: video: 'media/film.mp4' is not what its name says (video/mp4)",
        "a/03.md:6: pass_mark: Must be greater than or equal to 1 and less than or equal to 100.",
        "b/course.yaml:3: title: Length must be between 1 and 120.",
        "b/course.yaml:3: title: Must not be blank.",
    ]


def test_two_packs_of_one_slug_are_refused(tmp_path: Path) -> None:
    write_pack(tmp_path / "a")
    write_pack(tmp_path / "b")
    assert problems(tmp_path) == ["b/course.yaml:6: slug: 'listening' is also the slug of a/course.yaml"]


COURSE_PROBLEMS = [
    ("format: 1", "format: 2", "course.yaml:1: format: Must be one of: 1."),
    ("slug: listening", "slug: Zuhören!", "course.yaml:2: slug: Must be 3 to 80 of the characters"),
    ("title: 先听再说\n", "", "course.yaml:1: title: Missing data for required field."),
    ("title: 先听再说", "title: 2024-01-01", "course.yaml:3: title: Not a valid string."),
    ("title: 先听再说", "titel: 先听再说\ntitle: x", "course.yaml:3: titel: Unknown field."),
    (
        "title: 先听再说",
        "title: a\ntitle: b",
        "course.yaml:4: not valid YAML: the key 'title' is given twice",
    ),
    ("title: 先听再说", 'title: "a\\nb"', "course.yaml:3: title: Must be one line."),
    ("language: zh-CN", "language: Chinese!", "course.yaml:5: language: Must be a language tag"),
    ("version: 1", "version: 1.5", "course.yaml:6: version: Not a valid integer."),
    ("version: 1", "version: true", "course.yaml:6: version: Not a valid integer."),
    ("kind: general", "kind: 通识", "course.yaml:7: kind: Must be one of: general, foundation"),
    ("kind: general", "kind: [general]", "course.yaml:7: kind: Must be one of: general, foundation"),
    (
        "stages: [primary]",
        "stages: [primary, nursery]",
        "course.yaml:9: stages.2: Must be one of: kindergarten",
    ),
    ("stages: [primary]", "stages: [primary, primary]", "course.yaml:9: stages.2: Listed twice."),
    ("stages: [primary]", "stages: []", "course.yaml:9: stages: Length must be between 1 and 4."),
    ("class_hours: 0.5", "class_hours: 0", "course.yaml:11: class_hours: Must be above 0"),
    ("class_hours: 0.5", "class_hours: .nan", "course.yaml:11: class_hours: Not a valid number."),
    ("class_hours: 0.5", "class_hours: 0.125", "course.yaml:11: class_hours: At most two decimals."),
    ("credits: 0.25", "credits: -1", "course.yaml:12: credits: Must be 0 to 1000."),
    ("credits: 0.25", "credits: many", "course.yaml:12: credits: Not a valid number."),
    (
        "credits: 0.25",
        "credits: 1\ncover: no-such-icon",
        "course.yaml:13: cover: Bootstrap Icons has no picture",
    ),
    ("[01.md, 02.md, 03.md]", "[01.md, 02.md]", "03.md:1: is not listed under lessons in course.yaml"),
    (
        "[01.md, 02.md, 03.md]",
        "[01.md, 02.md, 03.md, 04.md]",
        "course.yaml:13: lessons: '04.md' is not in the pack",
    ),
    ("[01.md, 02.md, 03.md]", "[01.md, 02.md, 03.md, 01.md]", "course.yaml:13: lessons.4: Listed twice."),
    (
        "[01.md, 02.md, 03.md]",
        "[../../etc/passwd.md]",
        "course.yaml:13: lessons.1: Must be the name of a .md file",
    ),
    ("format: 1", "format: [1", "course.yaml:2: not valid YAML"),
    ("format: 1", "&a format: 1\nx: *a", "course.yaml:2: not valid YAML: aliases are not allowed"),
    ("format: 1", "format: " + "[" * 5000, "course.yaml:1: not valid YAML: nested too deeply"),
    ("version: 1", "version: 2024-13-45", "course.yaml:1: not valid YAML: month must be in 1..12"),
    ("version: 1", "version: \x07", "course.yaml:6: not valid YAML: a character that is not allowed"),
]


@pytest.mark.parametrize(("old", "new", "expected"), COURSE_PROBLEMS)
def test_a_problem_of_course_yaml_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in COURSE
    found = problems(write_pack(tmp_path, course=COURSE.replace(old, new)))
    assert any(text.startswith(expected) for text in found), found


ARTICLE_HEAD = "slug: read\ntitle: 读一读\nkind: article\nminutes: 5\n"
LESSON_PROBLEMS = [
    ("article", "no front matter", "01.md:1: must start with front matter"),
    ("article", "---\nslug: read\nno end", "01.md:1: must start with front matter"),
    ("article", "---\n- a\n---\nx", "01.md:2: must be a mapping"),
    ("article", lesson(ARTICLE_HEAD.replace("minutes: 5", "minutes: 0")), "01.md:5: minutes: Must be greater"),
    ("article", lesson(ARTICLE_HEAD.replace("article", "essay")), "01.md:4: kind: Must be one of: article, video, quiz"),
    ("article", lesson(ARTICLE_HEAD + "video: media/film.mp4\n"), "01.md:6: video: Unknown field."),
    ("article", lesson(ARTICLE_HEAD + "required: 'yes'\n"), "01.md:6: required: Not a valid boolean."),
    ("article", lesson(ARTICLE_HEAD, "\n"), "01.md:7: an article needs a text"),
    ("article", lesson(ARTICLE_HEAD.replace("slug: read", "slug: quiz")), "03.md:2: slug: 'quiz' is also the slug of 01.md"),
    ("article", ARTICLE.replace("media/kneel.png", "media/none.png"), "01.md:11: image: 'media/none.png' is not in the pack"),
    ("article", ARTICLE.replace("media/kneel.png", "https://evil.test/x.png"), "01.md:11: image: 'https://evil.test/x.png' must be"),
    ("article", ARTICLE.replace("media/kneel.png", "media/../../x.png"), "01.md:11: image: 'media/../../x.png' must be"),
    ("article", ARTICLE.replace("media/kneel.png", "/etc/x.png"), "01.md:11: image: '/etc/x.png' must be"),
    ("article", ARTICLE.replace("media/kneel.png", "media/film.mp4"), "01.md:11: image: 'media/film.mp4' must be one of: .gif"),
    ("video", VIDEO.replace("seconds: 19\n", ""), "02.md:2: seconds: Missing data"),
    ("video", VIDEO.replace("media/film.mp4", "media/kneel.png"), "02.md:6: video: 'media/kneel.png' must be one of: .mp4"),
    ("video", VIDEO[: VIDEO.index("captions")] + "captions: []\n---\n", "02.md:8: captions: A video has at least one"),
    ("video", VIDEO.replace("label: 中文", "label: ''"), "02.md:9: captions.1.label: Must not be blank."),
    ("video", VIDEO.replace("media/film.vtt", "media/none.vtt"), "02.md:9: captions: 'media/none.vtt' is not in the pack"),
    ("quiz", QUIZ.replace(", correct: true", ""), "03.md:11: questions.1.choices: Exactly one choice must"),
    ("quiz", QUIZ.replace("{text: 说}", "{text: 说, correct: true}"), "03.md:11: questions.1.choices: Exactly one choice must"),
    ("quiz", QUIZ.replace("      - {text: 说}\n", ""), "03.md:11: questions.1.choices: Must be 2 to 8 choices."),
    ("quiz", QUIZ.replace("kind: single", "kind: multiple").replace(", correct: true", ""), "03.md:11: questions.1.choices: At least one"),
    ("quiz", QUIZ.replace("    answer: false\n", ""), "03.md:14: questions.2.answer: true_false needs answer"),
    ("quiz", QUIZ.replace("answer: false", "answer: no way"), "03.md:16: questions.2.answer: Not a valid boolean."),
    ("quiz", QUIZ.replace("text: 先做什么？", "text: 先做什么？\n    answer: true"), "03.md:11: questions.1.answer: Only true_false"),
    ("quiz", QUIZ.replace("text: 先做什么？", "text: 先做什么？\n    points: 0"), "03.md:11: questions.1.points: Must be"),
    ("png", b"<svg onload=alert(1)>", "01.md:11: image: 'media/kneel.png' is not what its name says (image/png)"),
    ("vtt", "no captions", "02.md:9: captions: 'media/film.vtt' is not what its name says"),
    ("vtt", "WEBVTT\n\nNOTE nothing\n", "media/film.vtt:1: holds no captions"),
    ("vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\n\xff\n", "media/film.vtt:4: is not UTF-8 text"),
    ("course", None, "course.yaml:1: is missing"),
    ("course", "", "course.yaml:1: must be a mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "content", "expected"), LESSON_PROBLEMS)
def test_a_problem_of_a_lesson_is_told_with_its_file_and_line(
    tmp_path: Path, key: str, content: str | bytes | None, expected: str
) -> None:
    folder = write_pack(tmp_path / "pack", **{key: content})
    found = [text.removeprefix("pack/") for text in problems(folder if key != "course" else tmp_path)]
    assert any(text.startswith(expected) for text in found), found


def test_at_least_one_lesson_is_required(tmp_path: Path) -> None:
    optional = {
        key: text.replace("minutes:", "required: false\nminutes:")
        for key, text in (("article", ARTICLE), ("video", VIDEO), ("quiz", QUIZ))
    }
    assert problems(write_pack(tmp_path, **optional)) == [
        "course.yaml:13: lessons: at least one must be required"
    ]


def test_symbolic_links_are_refused_wherever_they_are(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG\r\n\x1a\n secret")
    pack = write_pack(tmp_path / "packs" / "one", png=None)
    (pack / "media/kneel.png").symlink_to(secret)
    found = problems(tmp_path / "packs")
    assert "one/media/kneel.png:1: is a symbolic link, which a pack may not hold" in found
    (tmp_path / "packs" / "two").symlink_to(pack)
    assert problems(tmp_path / "packs") == ["two:1: is a symbolic link, which a pack may not be"]


def test_sizes_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = ARTICLE + "字" * (pack_files.MAX_TEXT // 3)
    assert problems(write_pack(tmp_path / "text", article=long))[0] == (
        "01.md:1: the texts of the pack are larger than 2 MB"
    )
    film = write_pack(tmp_path / "film") / "media/film.mp4"
    with film.open("r+b") as file:
        file.truncate(pack_files.MAX_MEDIA + 1)  # a hole in the file: takes no space
    assert problems(tmp_path / "film") == ["02.md:6: video: 'media/film.mp4' is larger than 50 MB"]
    names = ", ".join(f"l{number}.md" for number in range(201))
    many = COURSE.replace("[01.md, 02.md, 03.md]", f"[{names}]")
    assert problems(write_pack(tmp_path / "many", course=many)) == [
        "course.yaml:13: lessons: A course has 1 to 200 lessons."
    ]
    for number in range(pack_files.MAX_FILES):
        (tmp_path / "film" / f"{number}.txt").touch()
    assert any("more than 2000 files" in text for text in problems(tmp_path / "film"))


def test_a_path_that_holds_no_packs_is_told(tmp_path: Path) -> None:
    assert "holds no packs" in problems(tmp_path)[0]
    assert "is not a folder" in problems(tmp_path / "none")[0]
    (tmp_path / "empty").mkdir()
    assert problems(tmp_path) == ["empty/course.yaml:1: is missing"]
