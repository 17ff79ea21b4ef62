"""Marking without a database: what a quiz is worth, how much of a video somebody can have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from lti_app.courses.models import Question

WHOLE = 10_000
"""A full result, in hundredths of a percent."""
FASTEST = 2
"""The highest speed at which a video is believed to be watched."""
ENOUGH = 90
"""Percent of a video that must be watched."""


@dataclass(frozen=True, slots=True)
class Marks:
    """A graded attempt: `score` in hundredths of a percent, and which questions (by id) are right."""

    score: int
    passed: bool
    right: frozenset[int]


def grade(questions: Sequence[Question], answers: Mapping[str, Sequence[int]], pass_mark: int) -> Marks:
    """Grade `answers` ({question id: chosen indexes}). A question is right when all its right choices are
    chosen and no wrong one; `pass_mark` is a percentage of the points."""
    right = frozenset(q.id for q in questions if is_right(q, answers.get(str(q.id), ())))
    points = sum(q.points for q in questions)
    got = sum(q.points for q in questions if q.id in right)
    return Marks(rounded(got * WHOLE, points), got * 100 >= pass_mark * points, right)


def is_right(question: Question, chosen: Iterable[int]) -> bool:
    """Whether exactly the right choices were chosen."""
    return {i for i, choice in enumerate(question.choices) if choice["correct"]} == set(chosen)


def mean(values: Sequence[int]) -> int:
    """The mean of best scores; a course without a quiz is worth a full result."""
    return rounded(sum(values), len(values)) if values else WHOLE


def rounded(dividend: int, divisor: int) -> int:
    """Division to the nearest integer, halves up; both numbers are not negative."""
    return (2 * dividend + divisor) // (2 * divisor)


def believed(watched: int, claimed: float, elapsed: timedelta, length: int) -> int:
    """The seconds of a video that count as watched after a message that claims `claimed` in all.

    Never less than before, never more than the length, and never more than `FASTEST` times the time that
    passed since the message before.
    """
    possible = watched + int(FASTEST * max(elapsed.total_seconds(), 0.0))
    return max(watched, min(int(claimed), possible, length))


def is_enough(watched: int, length: int) -> bool:
    """Whether so much of a video makes the lesson done."""
    return watched * 100 >= ENOUGH * length
