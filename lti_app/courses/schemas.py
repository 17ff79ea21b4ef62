"""What may come in: course packs, forms, queries and the player's messages."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from flask_babel import lazy_gettext
from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate, validates_schema

from lti_app.assets import icon
from lti_app.courses.dates import DatesForm
from lti_app.courses.models import Counts, CourseKind, LessonKind, Question, QuestionKind, Stage
from lti_app.roster.models import Audience

SLUG = validate.Regexp(r"[a-z0-9-]{3,80}\Z", error="Must be 3 to 80 of the characters a-z, 0-9 and -.")
LESSON_SLUG = validate.Regexp(r"[a-z0-9-]{1,80}\Z", error="Must be 1 to 80 of the characters a-z, 0-9 and -.")
LANGUAGE = validate.Regexp(
    r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", error="Must be a language tag such as zh-CN."
)
LONGEST_VIDEO = 4 * 3600


def _not_blank(value: str) -> None:
    if not value.strip():
        raise ValidationError("Must not be blank.")


def _one_line(value: str) -> None:
    if any(c in value for c in "\n\r\t"):
        raise ValidationError("Must be one line.")


def _storable(value: str) -> None:
    """Control characters and lone surrogates: databases refuse some of them, terminals obey others."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in value):
        raise ValidationError("Must not contain control characters.")


def _line(longest: int, **more: Any) -> fields.String:
    checks = [validate.Length(1, longest), _not_blank, _one_line, _storable]
    return fields.String(**{"required": True, "validate": checks, **more})


def _text(longest: int, **more: Any) -> fields.String:
    return fields.String(validate=[validate.Length(1, longest), _not_blank, _storable], **more)


def _one_of(enum: Any, **more: Any) -> fields.Enum[Any]:
    return fields.Enum(enum, by_value=True, **more)


def _is_icon(name: str) -> None:
    try:
        icon(name)
    except LookupError as error:
        raise ValidationError("Bootstrap Icons has no picture of this name.") from error


class Hundredths(fields.Field[int]):
    """A number with at most two decimals, kept as an integer number of hundredths."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("Not a valid number.")
        try:
            exact = Decimal(str(value)) * 100
            whole = int(exact)
        except (InvalidOperation, OverflowError, ValueError) as error:
            raise ValidationError("Not a valid number.") from error
        if whole != exact:
            raise ValidationError("At most two decimals.")
        return whole


class Strict(Schema):
    class Meta:
        unknown = RAISE


class CourseYaml(Strict):
    """`course.yaml`, format 1."""

    format = fields.Integer(required=True, strict=True, validate=validate.OneOf([1]))
    slug = fields.String(required=True, validate=SLUG)
    title = _line(120)
    summary = _text(300, required=True)
    language = fields.String(required=True, validate=[validate.Length(max=16), LANGUAGE])
    version = fields.Integer(required=True, strict=True, validate=validate.Range(1, 1_000_000))
    kind = _one_of(CourseKind, required=True)
    theme = _line(40)
    stages = fields.List(_one_of(Stage), required=True, validate=validate.Length(1, 4))
    audience = _one_of(Audience, required=True)
    class_hours = Hundredths(
        required=True, validate=validate.Range(1, 100_000, error="Must be above 0, at most 1000.")
    )
    credits = Hundredths(required=True, validate=validate.Range(0, 100_000, error="Must be 0 to 1000."))
    brand = _line(40, required=False)
    cover = fields.String(load_default="journal-richtext", validate=[validate.Length(1, 60), _is_icon])
    lessons = fields.List(
        fields.String(
            validate=validate.Regexp(
                r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,100}\.md\Z",
                error="Must be the name of a .md file beside course.yaml.",
            )
        ),
        required=True,
        validate=validate.Length(1, 200, error="A course has 1 to 200 lessons."),
    )

    @validates_schema
    def _no_repeats(self, data: dict[str, Any], **kwargs: Any) -> None:
        for name in ("stages", "lessons"):
            values = data[name]
            again = {i: ["Listed twice."] for i, value in enumerate(values) if value in values[:i]}
            if again:
                raise ValidationError({name: again})


class LessonYaml(Strict):
    """Front matter that every lesson has."""

    slug = fields.String(required=True, validate=LESSON_SLUG)
    title = _line(120)
    kind = _one_of(LessonKind, required=True)
    minutes = fields.Integer(required=True, strict=True, validate=validate.Range(1, 240))
    required = fields.Boolean(load_default=True, truthy={True}, falsy={False})


class CaptionYaml(Strict):
    file = _line(200)
    language = fields.String(required=True, validate=[validate.Length(max=16), LANGUAGE])
    label = _line(40)


class VideoYaml(LessonYaml):
    video = _line(200)
    seconds = fields.Integer(required=True, strict=True, validate=validate.Range(1, LONGEST_VIDEO))
    poster = _line(200, required=False)
    captions = fields.List(
        fields.Nested(CaptionYaml),
        required=True,
        validate=validate.Length(1, 20, error="A video has at least one file of captions."),
    )


class ChoiceYaml(Strict):
    text = _text(500, required=True)
    correct = fields.Boolean(load_default=False, truthy={True}, falsy={False})


class QuestionYaml(Strict):
    kind = _one_of(QuestionKind, required=True)
    text = _text(2000, required=True)
    points = fields.Integer(load_default=1, strict=True, validate=validate.Range(1, 100))
    choices = fields.List(fields.Nested(ChoiceYaml))
    answer = fields.Boolean(truthy={True}, falsy={False})
    explanation = _text(4000, load_default="")

    @validates_schema
    def _fits_kind(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["kind"] is QuestionKind.TRUE_FALSE:
            _refuse(data, "choices", "true_false has no choices.")
            if "answer" not in data:
                raise ValidationError({"answer": ["true_false needs answer: true or answer: false."]})
            return
        _refuse(data, "answer", "Only true_false has an answer; mark the right choices with correct: true.")
        choices = data.get("choices", [])
        if not 2 <= len(choices) <= 8:
            raise ValidationError({"choices": ["Must be 2 to 8 choices."]})
        right = sum(choice["correct"] for choice in choices)
        if data["kind"] is QuestionKind.SINGLE and right != 1:
            raise ValidationError({"choices": ["Exactly one choice must have correct: true."]})
        if right == 0:
            raise ValidationError({"choices": ["At least one choice must have correct: true."]})


def _refuse(data: dict[str, Any], key: str, message: str) -> None:
    if key in data:
        raise ValidationError({key: [message]})


class QuizYaml(LessonYaml):
    pass_mark = fields.Integer(required=True, strict=True, validate=validate.Range(1, 100))
    attempts = fields.Integer(required=True, strict=True, validate=validate.Range(0, 1000))
    questions = fields.List(
        fields.Nested(QuestionYaml),
        required=True,
        validate=validate.Length(1, 100, error="1 to 100 questions."),
    )


LESSONS: dict[LessonKind, type[LessonYaml]] = {
    LessonKind.ARTICLE: LessonYaml,
    LessonKind.VIDEO: VideoYaml,
    LessonKind.QUIZ: QuizYaml,
}


class Heartbeat(Schema):
    """What static/js/video.js posts: seconds, as the browser believes them."""

    class Meta:
        unknown = EXCLUDE

    position = fields.Float(required=True, validate=validate.Range(0, 1_000_000))
    watched = fields.Float(required=True, validate=validate.Range(0, 1_000_000))


class CatalogueQuery(Schema):
    """The chooser's filters; what makes no sense is left out instead of shown as an error."""

    class Meta:
        unknown = EXCLUDE

    q = fields.String(load_default="")
    stage = fields.String(load_default="")
    kind = fields.String(load_default="")
    page = fields.String(load_default="1")
    course = fields.String(load_default="")


class PlacementForm(DatesForm):
    """The teacher's choice for a link."""

    course = fields.String(required=True, validate=SLUG)
    counts = _one_of(
        Counts, required=True, error_messages={"required": lazy_gettext("请选择成绩册显示什么。")}
    )


def attempt_schema(questions: Iterable[Question]) -> Schema:
    """The form of a quiz: the attempt's number and for each question `q<id>` the chosen indexes."""
    unanswered = lazy_gettext("这道题还没有回答。")
    answers = {}
    for question in questions:
        most = len(question.choices) if question.kind is QuestionKind.MULTIPLE else 1
        answers[f"q{question.id}"] = fields.List(
            fields.Integer(validate=validate.Range(0, len(question.choices) - 1, error=str(unanswered))),
            required=True,
            validate=validate.Length(1, most, error=str(unanswered)),
            error_messages={"required": unanswered},
        )
    number = fields.Integer(required=True, validate=validate.Range(1, 1_000_000))
    return Schema.from_dict({"number": number, **answers})(unknown=EXCLUDE)
