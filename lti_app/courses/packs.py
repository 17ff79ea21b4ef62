"""Course packs, format 1: a folder with `course.yaml`, lessons in Markdown and a media folder.

`read_packs` checks everything before anything is taken: either all packs are right or all that is wrong is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lti_app.courses.markdown import render
from lti_app.courses.models import LessonKind
from lti_app.courses.pack_files import CAPTIONS, IMAGES, VIDEOS, MediaFile, transcript_of, walk
from lti_app.courses.pack_source import PackSource
from lti_app.courses.schemas import LESSONS, CourseYaml, LessonYaml
from lti_app.courses.yaml_lines import BadYaml, Document, Problem, load_yaml

COURSE_FILE = "course.yaml"


class BadPacks(Exception):
    """Everything that is wrong with the packs, in the order of files and lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class LessonPack:
    """A lesson as its file says. `body_html` names images `media:<sha256>`."""

    values: dict[str, Any]
    body_html: str
    media: tuple[MediaFile, ...]
    transcripts: dict[str, list[str]]
    """By the name of the caption file."""
    where: tuple[str, int]
    """The file and the line of the lesson's kind."""


@dataclass(frozen=True, slots=True)
class CoursePack:
    """A course as its pack says; every part is checked."""

    values: dict[str, Any]
    lessons: tuple[LessonPack, ...]
    content_hash: str
    where: tuple[str, int]
    """The file and the line of the course's version."""

    @property
    def slug(self) -> str:
        return str(self.values["slug"])

    @property
    def media(self) -> dict[str, MediaFile]:
        """The files that lessons use, by their name in the pack."""
        return {file.path: file for lesson in self.lessons for file in lesson.media}


def read_packs(path: Path) -> list[CoursePack]:
    """The packs at `path` (one pack, or a folder of packs), by slug. Raises BadPacks."""
    readers = [_Reader(folder, label) for folder, label in _folders(path)]
    packs = [pack for reader in readers if (pack := reader.read()) is not None]
    problems = [problem for reader in readers for problem in reader.problems]
    seen: dict[str, str] = {}
    for pack in packs:
        other = seen.setdefault(pack.slug, pack.where[0])
        if other != pack.where[0]:
            problems.append(Problem(*pack.where, f"slug: {pack.slug!r} is also the slug of {other}"))
    if problems:
        raise BadPacks(problems)
    return sorted(packs, key=lambda pack: pack.slug)


def _folders(path: Path) -> Iterator[tuple[Path, str]]:
    """Each pack's folder and the beginning of its files' names in messages."""
    if (path / COURSE_FILE).exists():
        yield path, ""
        return
    if not path.is_dir():
        raise BadPacks([Problem(str(path), 1, "is not a folder")])
    folders = sorted(p for p in path.iterdir() if not p.name.startswith(".") and p.is_dir())
    if not folders:
        raise BadPacks([Problem(str(path), 1, f"holds no packs (folders with {COURSE_FILE})")])
    links = [
        Problem(p.name, 1, "is a symbolic link, which a pack may not be") for p in folders if p.is_symlink()
    ]
    if links:
        raise BadPacks(links)
    for folder in folders:
        yield folder, folder.name + "/"


class _Reader(PackSource):
    """Reads one pack."""

    def read(self) -> CoursePack | None:
        """The pack, or None when there are `problems`."""
        names = set()
        for name, complaint in walk(self.folder):
            if complaint:
                self.wrong(name, 1, complaint)
            else:
                names.add(name)
        self.files = frozenset(names)
        course = self.load(COURSE_FILE, self.text(COURSE_FILE), 1, CourseYaml())
        if course is None:
            return None
        values, document = course
        lessons = self.lessons(values["lessons"], document)
        if self.problems:
            return None
        version_line = document.line_of(("version",))
        return CoursePack(
            values, tuple(lessons), self.content_hash(), (self.label + COURSE_FILE, version_line)
        )

    def lessons(self, names: list[str], course: Document) -> list[LessonPack]:
        """The listed lessons in their order; those with problems are left out."""
        for name in sorted(n for n in self.files if n.endswith(".md") and "/" not in n and n not in names):
            self.wrong(name, 1, f"is not listed under lessons in {COURSE_FILE}")
        lessons: list[LessonPack] = []
        slugs: dict[str, str] = {}
        for index, name in enumerate(names):
            if name not in self.files:
                self.wrong(
                    COURSE_FILE, course.line_of(("lessons", index)), f"lessons: {name!r} is not in the pack"
                )
                continue
            lesson = self.lesson(name)
            if lesson is None:
                continue
            other = slugs.setdefault(lesson.values["slug"], name)
            if other != name:
                self.wrong(name, 2, f"slug: {lesson.values['slug']!r} is also the slug of {other}")
            lessons.append(lesson)
        if (
            lessons
            and len(lessons) == len(names)
            and not any(lesson.values["required"] for lesson in lessons)
        ):
            self.wrong(COURSE_FILE, course.line_of(("lessons",)), "lessons: at least one must be required")
        return lessons

    def lesson(self, name: str) -> LessonPack | None:
        """One lesson file: front matter between `---` lines, then Markdown."""
        text = self.text(name)
        if text is None:
            return None
        head, mark, body = text.removeprefix("---\n").partition("\n---\n")
        if not text.startswith("---\n") or not (mark or head.endswith("\n---")):
            self.wrong(name, 1, "must start with front matter between two lines of ---")
            return None
        head = head if mark else head.removesuffix("\n---")
        schema = self.lesson_schema(head)
        loaded = self.load(name, head, 2, schema())
        if loaded is None:
            return None
        values, document = loaded
        media, transcripts = self.lesson_media(name, values, document)
        body_html, pictures = self.body(name, body, 2 + head.count("\n") + 2)
        if values["kind"] is LessonKind.ARTICLE and not body.strip():
            self.wrong(name, 2 + head.count("\n") + 2, "an article needs a text below the front matter")
        where = (self.label + name, document.line_of(("kind",)))
        return LessonPack(values, body_html, (*media, *pictures), transcripts, where)

    def lesson_schema(self, head: str) -> type[LessonYaml]:
        """By the lesson's kind, so that a key of another kind is told as unknown."""
        try:
            data = load_yaml(head).data
            return LESSONS[LessonKind(data["kind"])]
        except (BadYaml, TypeError, KeyError, ValueError):
            return LessonYaml  # its own check says what is wrong

    def lesson_media(
        self, name: str, values: dict[str, Any], document: Document
    ) -> tuple[list[MediaFile], dict[str, list[str]]]:
        """The files that the front matter names, and the words of the captions."""
        found: list[MediaFile | None] = []
        transcripts: dict[str, list[str]] = {}
        for key, suffixes in (("video", VIDEOS), ("poster", IMAGES)):
            if key in values:
                found.append(self.media(name, document.line_of((key,)), key, values[key], suffixes))
        for index, caption in enumerate(values.get("captions", [])):
            line = document.line_of(("captions", index, "file"))
            file = self.media(name, line, "captions", caption["file"], CAPTIONS)
            found.append(file)
            words = transcript_of(self.text(file.path) or "") if file else []
            if file and not words and not any(p.file == self.label + file.path for p in self.problems):
                self.wrong(file.path, 1, "holds no captions")
            transcripts[caption["file"]] = words
        return [file for file in found if file], transcripts

    def body(self, name: str, text: str, first_line: int) -> tuple[str, list[MediaFile]]:
        """The Markdown as safe HTML, and the pictures in it."""
        pictures: list[MediaFile] = []

        def picture(path: str) -> str | None:
            line = first_line + text.count("\n", 0, max(text.find(path), 0))
            file = self.media(name, line, "image", path, IMAGES)
            if file is None:
                return None
            pictures.append(file)
            return f"media:{file.sha256}"

        return render(text, picture), pictures
