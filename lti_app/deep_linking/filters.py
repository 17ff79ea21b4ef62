"""What the teacher is looking for: from the address of a page, and back into one."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from lti_app.courses.models import CourseKind, Stage
from lti_app.deep_linking.schemas import FilterQuery
from lti_app.deep_linking.words import hours_choices
from lti_app.roster.models import Audience

LONGEST_SEARCH = 80
LONGEST_THEME = 40


@dataclass(frozen=True, slots=True)
class Filters:
    """`hours` is one of `words.hours_choices`, "" for any."""

    words: str
    stage: Stage | None
    kind: CourseKind | None
    theme: str
    audience: Audience | None
    hours: str

    @property
    def hours_range(self) -> tuple[int, int] | None:
        return hours_choices()[self.hours][1] if self.hours else None

    @property
    def shown(self) -> dict[str, str]:
        """The arguments of an address with these filters."""
        values = {
            "q": self.words,
            "stage": str(self.stage or ""),
            "kind": str(self.kind or ""),
            "theme": self.theme,
            "audience": str(self.audience or ""),
            "hours": self.hours,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def has_more(self) -> bool:
        """Whether one of the filters is set that the page folds away."""
        return bool(self.kind or self.theme or self.audience or self.hours)


def filters() -> Filters:
    """The filters of this request; what makes no sense counts as not set."""
    values = FilterQuery().load(request.args.to_dict())
    text = {name: "".join(c for c in value if c.isprintable()).strip() for name, value in values.items()}
    return Filters(
        words=text["q"][:LONGEST_SEARCH],
        stage=Stage(text["stage"]) if text["stage"] in set(Stage) else None,
        kind=CourseKind(text["kind"]) if text["kind"] in set(CourseKind) else None,
        theme=text["theme"] if len(text["theme"]) <= LONGEST_THEME else "",
        audience=Audience(text["audience"]) if text["audience"] in set(Audience) else None,
        hours=text["hours"] if text["hours"] in hours_choices() else "",
    )
