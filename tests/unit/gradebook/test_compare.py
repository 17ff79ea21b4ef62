"""Who made a difference between what was sent and what is shown."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lti_app.gradebook.columns.compare import Finding, Habits, Shown, Told, compare
from lti_app.gradebook.models import Difference

AGREES, CHANGED, RESCALED = Finding.AGREES, Finding.CHANGED, Finding.RESCALED
EXACT = Habits(decimals=5, scales=True)
UNKNOWN = Habits()
PERCENT = st.integers(0, 100_00).map(lambda value: Decimal(value) / 100)
MAXIMUM = st.sampled_from(
    [Decimal(text) for text in ("1", "3", "5", "10.5", "20", "60", "100", "150", "1000")]
)
DECIMALS = st.integers(0, 5)


def told(given_points: str | int, *, late: bool = False) -> Told:
    return Told(Decimal(given_points), Decimal(100), late)


def shown(points: str | int, maximum: str | int = 100) -> Shown:
    return Shown(Decimal(points), Decimal(maximum))


def rounded(points: Decimal, decimals: int) -> Decimal:
    return points.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("sent", "seen", "habits", "verdict"),
    [
        (told(85), shown(85), UNKNOWN, (AGREES, None)),
        (told(0), shown(0), EXACT, (AGREES, None)),
        (told(75), shown(15, 20), EXACT, (AGREES, None)),
        (told("66.67"), shown("13.334", 20), EXACT, (AGREES, None)),
        (told("84.60"), shown("84.600000000000001"), UNKNOWN, (AGREES, None)),
        (told("84.60"), shown(85), UNKNOWN, (AGREES, Difference.ROUNDED)),
        (told("84.60"), shown("84.6"), UNKNOWN, (AGREES, None)),
        (told("84.63"), shown("84.6"), UNKNOWN, (AGREES, Difference.ROUNDED)),
        # This one keeps decimals, so 85 is somebody's.
        (told("84.60"), shown(85), EXACT, (CHANGED, Difference.CHANGED)),
        (told("84.60"), shown(86), UNKNOWN, (CHANGED, Difference.CHANGED)),
        (told(85), shown(90), UNKNOWN, (CHANGED, Difference.CHANGED)),
        (told(0), shown(1), UNKNOWN, (CHANGED, Difference.CHANGED)),
        # It did not scale 85 of 100 to 20 points, and cut it off.
        (told(85), shown(20, 20), UNKNOWN, (AGREES, Difference.CAPPED)),
        # This one scales, so the full marks are somebody's.
        (told(85), shown(20, 20), EXACT, (CHANGED, Difference.CHANGED)),
        (told(15), shown(20, 20), UNKNOWN, (CHANGED, Difference.CHANGED)),
        (told(85, late=True), shown(76), EXACT, (AGREES, Difference.LATE)),
        (told(85, late=True), shown(90), EXACT, (CHANGED, Difference.CHANGED)),
        (told(85), shown(76), EXACT, (CHANGED, Difference.CHANGED)),
    ],
)
def test_who_made_the_difference(
    sent: Told, seen: Shown, habits: Habits, verdict: tuple[Finding, Difference | None]
) -> None:
    assert compare(sent, seen, habits) == verdict


@pytest.mark.parametrize(
    ("seen", "before", "verdict"),
    [
        # 85 of 100 are now 85 of 200: the points stayed.
        (shown(85, 200), 100, RESCALED),
        (shown(170, 200), 100, AGREES),
        # 85 of 100, and of 50 no more than all.
        (shown(50, 50), 100, RESCALED),
        (shown("42.5", 50), 100, AGREES),
        # It was out of 200 before already, so somebody gave these 85.
        (shown(85, 200), 200, CHANGED),
        (shown(85, 200), None, CHANGED),
        (shown(60, 200), 100, CHANGED),
    ],
)
def test_a_column_that_got_another_maximum(seen: Shown, before: int | None, verdict: Finding) -> None:
    maximum = None if before is None else Decimal(before)
    assert compare(told(85), seen, EXACT, maximum_before=maximum)[0] is verdict


@given(PERCENT, MAXIMUM, DECIMALS, st.booleans())
def test_what_an_lms_scaled_and_rounded_is_never_a_teachers(
    percent: Decimal, maximum: Decimal, decimals: int, known: bool
) -> None:
    points = rounded(percent / 100 * maximum, decimals)
    habits = Habits(decimals if known else None, scales=True)
    finding, difference = compare(Told(percent, Decimal(100)), Shown(points, maximum), habits)
    assert finding is AGREES
    visible = abs(points - percent / 100 * maximum) >= Decimal("0.01")
    assert difference is (Difference.ROUNDED if visible else None)


@given(PERCENT, MAXIMUM, PERCENT, st.booleans())
def test_a_visibly_different_grade_of_an_exact_lms_is_a_teachers(
    percent: Decimal, maximum: Decimal, theirs: Decimal, late: bool
) -> None:
    points = theirs / 100 * maximum
    assume(abs(theirs - percent) > Decimal("0.01"))
    finding, difference = compare(Told(percent, Decimal(100), late), Shown(points, maximum), EXACT)
    if late and theirs < percent:
        assert (finding, difference) == (AGREES, Difference.LATE)
    else:
        assert (finding, difference) == (CHANGED, Difference.CHANGED)


@given(PERCENT, MAXIMUM, MAXIMUM)
def test_kept_points_under_a_new_maximum_are_never_a_teachers(
    percent: Decimal, before: Decimal, after: Decimal
) -> None:
    assume(before != after)
    points = min(percent / 100 * before, after)
    finding, _ = compare(Told(percent, Decimal(100)), Shown(points, after), EXACT, maximum_before=before)
    assert finding in (AGREES, RESCALED)
