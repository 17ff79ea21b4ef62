"""What a happening is worth, without a database."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_app.credits.rules import Booked, Rule, week_of, worth

amounts = st.integers(0, 5_000)
caps = st.none() | amounts


@pytest.mark.parametrize(
    ("quantity", "rate", "expected"),
    [
        (100, 100, 100),
        (150, 50, 75),
        (0, 100, 0),
        (1, 50, 1),  # half of a hundredth is rounded up
        (1, 49, 0),
        (333, 33, 110),  # 109.89
        (100, 0, 0),
    ],
)
def test_quantity_times_rate_rounded_half_up(quantity: int, rate: int, expected: int) -> None:
    assert worth(quantity, Rule(rate), Booked()) == expected


@pytest.mark.parametrize(
    ("rule", "booked", "expected"),
    [
        (Rule(100, cap_day=150), Booked(day=100, week=100, term=100), 50),
        (Rule(100, cap_week=150), Booked(week=120, term=300), 30),
        (Rule(100, cap_term=150), Booked(day=10, week=20, term=150), 0),
        (Rule(100, cap_day=150, cap_week=200, cap_term=900), Booked(day=60, week=190, term=400), 10),
        (Rule(100, cap_day=0), Booked(), 0),
        (
            Rule(100, cap_day=50),
            Booked(day=400, week=400, term=400),
            0,
        ),  # more than the cap: never below nothing
    ],
)
def test_the_tightest_cap_limits_what_is_added(rule: Rule, booked: Booked, expected: int) -> None:
    assert worth(100, rule, booked) == expected


def test_a_correction_upward_never_takes_back_what_later_sources_left_no_room_for() -> None:
    assert worth(110, Rule(100, cap_week=100), Booked(own=60, week=500)) == 60


def test_a_correction_downward_takes_back_in_spite_of_caps() -> None:
    assert worth(20, Rule(100, cap_week=100), Booked(own=60, week=500)) == 20


@given(
    quantity=amounts,
    rule=st.builds(Rule, amounts, caps, caps, caps),
    booked=st.builds(Booked, amounts, amounts, amounts, amounts),
)
def test_worth_stays_within_quantity_and_room(quantity: int, rule: Rule, booked: Booked) -> None:
    full = floor(Fraction(quantity * rule.rate, 100) + Fraction(1, 2))
    pairs = ((rule.cap_day, booked.day), (rule.cap_week, booked.week), (rule.cap_term, booked.term))
    rooms = [max(0, cap - used) for cap, used in pairs if cap is not None]
    expected = min([full, *rooms])
    assert worth(quantity, rule, booked) == max(expected, min(full, booked.own) if rooms else 0)


@given(st.dates(date(2000, 1, 3), date(2100, 1, 1)))
def test_a_week_begins_on_monday_and_holds_its_day(day: date) -> None:
    monday, sunday = week_of(day)
    assert monday.isoweekday() == 1
    assert sunday.isoweekday() == 7
    assert 0 <= (day - monday).days <= 6
    assert (sunday - monday).days == 6
