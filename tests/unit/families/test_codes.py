"""Codes that are copied by hand: what is misread or mistyped shows before it is looked up."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lti_app.families.codes import LENGTH, RANDOM_SIGNS, SIGNS, new_code, printed, read_code

CODES = st.text(SIGNS, min_size=RANDOM_SIGNS, max_size=RANDOM_SIGNS).map(printed)
SIGN = st.sampled_from(SIGNS)
PLACE = st.integers(0, LENGTH - 1)


def test_a_code_has_more_than_fifty_random_bits() -> None:
    assert RANDOM_SIGNS * math.log2(len(SIGNS)) >= 50
    assert len({new_code() for _ in range(2000)}) == 2000


@given(CODES)
def test_a_printed_code_can_be_read(code: str) -> None:
    assert [len(group) for group in code.split("-")] == [4, 4, 4]
    assert read_code(code) == code.replace("-", "")


@given(CODES, PLACE, SIGN)
def test_every_single_wrong_sign_shows(code: str, place: int, sign: str) -> None:
    signs = code.replace("-", "")
    assume(signs[place] != sign)
    assert read_code(signs[:place] + sign + signs[place + 1 :]) is None


@given(CODES, PLACE, PLACE)
def test_every_exchange_of_two_signs_shows(code: str, one: int, other: int) -> None:
    signs = list(code.replace("-", ""))
    assume(signs[one] != signs[other])
    signs[one], signs[other] = signs[other], signs[one]
    assert read_code("".join(signs)) is None


@given(CODES, PLACE)
def test_a_missing_or_doubled_sign_shows(code: str, place: int) -> None:
    signs = code.replace("-", "")
    assert read_code(signs[:place] + signs[place + 1 :]) is None
    assert read_code(signs[:place] + signs[place] + signs[place:]) is None


@given(CODES, st.data())
def test_how_it_is_written_does_not_matter(code: str, data: st.DataObject) -> None:
    likeness = {"0": "0OoＯ０", "1": "1IiLl１", "2": "2Zz２", "V": "VvUuＶ"}
    written = "".join(
        data.draw(st.sampled_from(likeness.get(sign, sign + sign.lower())))
        + data.draw(st.sampled_from(["", " ", "-", "—", "\u3000", "·"]))
        for sign in code.replace("-", "")
    )
    assert read_code(written) == code.replace("-", "")


@given(st.text(max_size=100))
def test_any_text_is_a_code_or_none(text: str) -> None:
    signs = read_code(text)
    assert signs is None or (len(signs) == LENGTH and set(signs) <= set(SIGNS))


@pytest.mark.parametrize(
    "text", ["", "-", "0" * 13, "１" * 40, "ﷺ" * 12, "ı" * 12, "家长认领码一二三四五六七"]
)
def test_what_is_no_code(text: str) -> None:
    assert read_code(text) is None
