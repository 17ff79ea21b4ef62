"""The catalogue of micro-courses and how far each person is in them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_app.clock import utc_now
from lti_app.extensions import EnumText, Id, Model
from lti_app.roster.models import Audience, Person, ResourceLink


class CourseKind(StrEnum):
    """共性+个性: 通识, 基础, 个性定制, 网络优质."""

    GENERAL = "general"
    FOUNDATION = "foundation"
    CUSTOMISED = "customised"
    WEB = "web"


class Stage(StrEnum):
    KINDERGARTEN = "kindergarten"
    PRIMARY = "primary"
    JUNIOR = "junior"
    SENIOR = "senior"


class CourseStatus(StrEnum):
    PUBLISHED = "published"
    DRAFT = "draft"


class LessonKind(StrEnum):
    ARTICLE = "article"
    VIDEO = "video"
    QUIZ = "quiz"


class QuestionKind(StrEnum):
    SINGLE = "single"
    MULTIPLE = "multiple"
    TRUE_FALSE = "true_false"


class Counts(StrEnum):
    """What a column shows of a course: one result when it is finished, the way there, or nothing at all."""

    RESULT = "result"
    PROGRESS = "progress"
    NOTHING = "nothing"


class Course(Model):
    """A micro-course. Hours are 课时 of 45 minutes; hours and credits in hundredths."""

    __tablename__ = "course"
    __table_args__ = (
        UniqueConstraint("slug"),
        Index(None, "theme", "title"),
        CheckConstraint("class_hours > 0", name="hours_positive"),
        CheckConstraint("credits >= 0", name="credits_not_negative"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    slug: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(120))
    summary: Mapped[str] = mapped_column(String(300))
    language: Mapped[str] = mapped_column(String(16))
    version: Mapped[int]
    kind: Mapped[CourseKind] = mapped_column(EnumText(CourseKind))
    theme: Mapped[str] = mapped_column(String(40))
    audience: Mapped[Audience] = mapped_column(EnumText(Audience))
    class_hours: Mapped[int]
    credits: Mapped[int]
    brand: Mapped[str | None] = mapped_column(String(40))
    cover: Mapped[str] = mapped_column(String(60), default="journal-richtext")
    status: Mapped[CourseStatus] = mapped_column(EnumText(CourseStatus), default=CourseStatus.PUBLISHED)
    content_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the imported pack: an import of the same pack changes nothing."""
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)

    stages: Mapped[list[CourseStage]] = relationship(lazy="raise", cascade="all, delete-orphan")
    lessons: Mapped[list[Lesson]] = relationship(lazy="raise", order_by="Lesson.position")


class CourseStage(Model):
    """The school stages a course is for."""

    __tablename__ = "course_stage"

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True)
    stage: Mapped[Stage] = mapped_column(EnumText(Stage), primary_key=True)


class Lesson(Model):
    """One step of a course. `position` None: retired by a later version, kept for those who did it."""

    __tablename__ = "lesson"
    __table_args__ = (UniqueConstraint("course_id", "slug"), UniqueConstraint("course_id", "position"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    slug: Mapped[str] = mapped_column(String(80))
    position: Mapped[int | None]
    title: Mapped[str] = mapped_column(String(120))
    kind: Mapped[LessonKind] = mapped_column(EnumText(LessonKind))
    minutes: Mapped[int]
    required: Mapped[bool] = mapped_column(default=True)
    body_html: Mapped[str] = mapped_column(Text)
    """Sanitised HTML of the Markdown; images are `media:<sha256>` until a page writes their address."""
    video_media_id: Mapped[int | None] = mapped_column(ForeignKey("media.id"))
    poster_media_id: Mapped[int | None] = mapped_column(ForeignKey("media.id"))
    captions: Mapped[list] = mapped_column(default=list)
    """[{media_id, language, label, transcript: [text of each cue]}]"""
    video_seconds: Mapped[int | None]
    """The length of the video, as its author measured it."""
    pass_mark: Mapped[int | None]
    attempts_allowed: Mapped[int] = mapped_column(default=0)
    """0: as many as wanted."""

    course: Mapped[Course] = relationship(lazy="raise", overlaps="lessons")
    questions: Mapped[list[Question]] = relationship(lazy="raise", order_by="Question.position")


class Media(Model):
    """A file of a course, kept under its SHA-256 in the media folder."""

    __tablename__ = "media"
    __table_args__ = (UniqueConstraint("course_id", "path"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    path: Mapped[str] = mapped_column(String(200))
    """The name inside the pack, for instance media/why.mp4."""
    sha256: Mapped[str] = mapped_column(String(64))
    content_type: Mapped[str] = mapped_column(String(80))
    size: Mapped[int]


class Question(Model):
    """A question of a quiz; right answers never leave the server before the attempt is graded.

    `position` None: replaced by a later version, kept for those who answered it.
    """

    __tablename__ = "question"
    __table_args__ = (UniqueConstraint("lesson_id", "position"), CheckConstraint("points > 0", name="points"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    lesson_id: Mapped[int] = mapped_column(ForeignKey("lesson.id"))
    position: Mapped[int | None]
    kind: Mapped[QuestionKind] = mapped_column(EnumText(QuestionKind))
    text: Mapped[str] = mapped_column(Text)
    points: Mapped[int] = mapped_column(default=1)
    choices: Mapped[list] = mapped_column()
    """[{text, correct}]; true_false has the two choices true, false in this order."""
    explanation: Mapped[str] = mapped_column(Text, default="")


class Dated:
    """When learners may open a course at a link, and until when they should have finished; None: no limit."""

    opens_at: Mapped[datetime | None]
    closes_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]


class ContentItem(Dated, Model):
    """A link that we gave to an LMS by deep linking: what a teacher chose for it there.

    Launches of the link, and of all its copies, carry `public_id` in their custom parameters. It outlives
    the launch in which it was chosen.
    """

    __tablename__ = "content_item"
    __table_args__ = (
        UniqueConstraint("public_id"),
        CheckConstraint("maximum BETWEEN 1 AND 1000", name="maximum"),
        Index(None, "launch_session_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32))
    registration_id: Mapped[int] = mapped_column(ForeignKey("registration.id"))
    deployment_pk: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    context_pk: Mapped[int | None] = mapped_column(ForeignKey("context.id"))
    """The class it was chosen for; None where the platform did not say one."""
    launch_session_id: Mapped[int | None] = mapped_column(
        ForeignKey("launch_session.id", ondelete="SET NULL")
    )
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    position: Mapped[int]
    counts: Mapped[Counts] = mapped_column(EnumText(Counts))
    maximum: Mapped[int]
    """Points of the LMS's column."""
    created_by_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    course: Mapped[Course] = relationship(lazy="raise")


class Placement(Dated, Model):
    """Which course an embedded link shows, and what its column counts."""

    __tablename__ = "placement"
    __table_args__ = (
        UniqueConstraint("resource_link_pk"),
        Index(None, "course_id"),
        Index(None, "content_item_pk"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    resource_link_pk: Mapped[int] = mapped_column(ForeignKey("resource_link.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    counts: Mapped[Counts] = mapped_column(EnumText(Counts), default=Counts.RESULT)
    maximum: Mapped[int | None]
    """Points of the LMS's column, as the teacher chose them in the picker; None: not chosen by us."""
    content_item_pk: Mapped[int | None] = mapped_column(ForeignKey("content_item.id"))
    chosen_at: Mapped[datetime | None]
    """When the course was chosen; None: before this was noted."""
    copied_at: Mapped[datetime | None]
    """When the settings were taken over from the link that this one is a copy of."""
    copied_from_pk: Mapped[int | None] = mapped_column(ForeignKey("resource_link.id"))
    """That link, if anybody ever opened it."""
    copy_seen_at: Mapped[datetime | None]
    """When a teacher closed the note about it."""

    course: Mapped[Course] = relationship(lazy="raise")
    resource_link: Mapped[ResourceLink] = relationship(lazy="raise", foreign_keys=[resource_link_pk])
    content_item: Mapped[ContentItem | None] = relationship(lazy="raise")


class Visit(Model):
    """A person opened an embedded link by a login: whose score there follows the person's progress."""

    __tablename__ = "visit"
    __table_args__ = (
        UniqueConstraint("resource_link_pk", "lti_user_pk", "person_id"),
        Index(None, "person_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    resource_link_pk: Mapped[int] = mapped_column(ForeignKey("resource_link.id"))
    lti_user_pk: Mapped[int] = mapped_column(ForeignKey("lti_user.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    gradable: Mapped[bool]
    """A Learner of the class; observers are never gradable."""
    first_at: Mapped[datetime] = mapped_column(default=utc_now)


class CourseProgress(Model):
    """How far a person is in a course, wherever it was opened."""

    __tablename__ = "course_progress"
    __table_args__ = (
        UniqueConstraint("person_id", "course_id"),
        CheckConstraint("percent BETWEEN 0 AND 100", name="percent"),
        Index(None, "course_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    percent: Mapped[int] = mapped_column(default=0)
    """Required lessons done, of all required ones."""
    result: Mapped[int | None]
    """Hundredths of a percent: the best quiz results' mean, 10,000 without a quiz; set at completion."""
    last_lesson_id: Mapped[int | None] = mapped_column(ForeignKey("lesson.id"))
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)
    """When `percent` or `result` last changed: the moment of the work that a gradebook cell shows."""
    completed_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship(lazy="raise")
    course: Mapped[Course] = relationship(lazy="raise")


class LessonProgress(Model):
    """How far a person is in a lesson. `watched` are the seconds of video that the server believes."""

    __tablename__ = "lesson_progress"
    __table_args__ = (UniqueConstraint("person_id", "lesson_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    lesson_id: Mapped[int] = mapped_column(ForeignKey("lesson.id"))
    position: Mapped[int] = mapped_column(default=0)
    watched: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[datetime] = mapped_column(default=utc_now)
    heard_at: Mapped[datetime | None]
    """When the last heartbeat came: no more than the time since then can have been watched."""
    completed_at: Mapped[datetime | None]


class QuizAttempt(Model):
    """A handed-in quiz; `score` in hundredths of a percent."""

    __tablename__ = "quiz_attempt"
    __table_args__ = (
        UniqueConstraint("person_id", "lesson_id", "number"),
        CheckConstraint("score BETWEEN 0 AND 10000", name="score"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    lesson_id: Mapped[int] = mapped_column(ForeignKey("lesson.id"))
    number: Mapped[int]
    answers: Mapped[dict] = mapped_column()
    """{question id: [chosen choice indexes]}"""
    score: Mapped[int]
    passed: Mapped[bool]
    submitted_at: Mapped[datetime] = mapped_column(default=utc_now)
