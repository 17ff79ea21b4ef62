"""The page of what is chosen: one form with the settings of every pick, whatever button is pressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from babel.dates import get_timezone_name
from flask import render_template
from flask_babel import get_locale
from marshmallow import ValidationError

from lti_app.courses.dates import NAMES, first_words, for_fields, in_utc
from lti_app.courses.labels import stages_text
from lti_app.deep_linking import services, words
from lti_app.deep_linking.asked import Asked, time_zone
from lti_app.deep_linking.models import PickedCourse
from lti_app.deep_linking.schemas import PickForm

FIELDS = ("counts", "maximum", *NAMES)
ACTIONS = ("save", "send", "more", "up", "down", "drop")
Problems = Mapping[int, Mapping[str, str]]


def pressed(value: str) -> tuple[str, int]:
    """The button of the form: its action, and the id of the pick it stands beside (0: none)."""
    action, _, number = value.partition("-")
    known = action in ACTIONS
    short = number.isascii() and number.isdecimal() and len(number) < 19
    return (action if known else "save"), (int(number) if known and short else 0)


def save(asked: Asked, picks: Sequence[PickedCourse], form: Mapping[str, str]) -> dict[int, dict[str, str]]:
    """Set what the form says of each pick, or of none, when one makes no sense: returns the problems by id."""
    schema, zone = PickForm(asked.rules.most_points), time_zone(asked.launch)
    problems: dict[int, dict[str, str]] = {}
    wanted = []
    for pick in picks:
        sent = {name: form[f"{name}-{pick.id}"] for name in FIELDS if f"{name}-{pick.id}" in form}
        if not sent:
            continue  # added in another tab meanwhile: this page says nothing of it
        try:
            values = schema.load(sent)
        except ValidationError as error:
            problems[pick.id] = first_words(error)
            continue
        wanted.append((pick, {**values, **in_utc(values, zone)}))
    for pick, values in wanted if not problems else ():
        services.change(pick, values)
    return problems


def page(
    asked: Asked,
    picks: Sequence[PickedCourse],
    form: Mapping[str, str] | None = None,
    problems: Problems | None = None,
    trouble: str = "",
) -> str:
    """The page with what is stored, or with what was typed and what is wrong with it."""
    zone = time_zone(asked.launch)
    return render_template(
        "deep_linking/basket.html",
        ask=asked,
        rows=[(pick, _shown(pick, zone, form or {}), (problems or {}).get(pick.id, {})) for pick in picks],
        trouble=trouble,
        problems=problems or {},
        counts=words.counts_choices(),
        stages_text=stages_text,
        about=words.before(asked.rules.hints),
        about_dates=words.about_dates(asked.rules.hints),
        todo=words.afterwards(asked.rules.hints),
        clock=get_timezone_name(ZoneInfo(zone), locale=get_locale()),
        most_picks=services.MOST_PICKS,
    )


def _shown(pick: PickedCourse, zone: str, form: Mapping[str, str]) -> dict[str, str]:
    stored = {"counts": str(pick.counts), "maximum": str(pick.maximum), **for_fields(pick, zone)}
    return {name: form.get(f"{name}-{pick.id}", value) for name, value in stored.items()}
