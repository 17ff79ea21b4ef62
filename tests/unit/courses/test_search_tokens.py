"""What becomes of a text and of a search before a database sees them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_app.courses.search import phrases, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("亲子共读", "亲子 子共 共读 读"),
        ("读", "读"),
        ("先听，再说", "先听 听 再说 说"),
        ("K12教育：3步走", "k12 教育 育 3 步走 走"),
        ("ＳＴＥＡＭ　Night", "steam night"),
        ("Ünï straße", "ünï strasse"),
        ("parent's (guide)", "parent s guide"),
        ("𠮷野家", "𠮷野 野家 家"),
        ("ئۇيغۇرچە دەرس", "ئۇيغۇرچە دەرس"),
        ("བོད་སྐད", "བོད སྐད"),
        ("———", ""),
    ],
)
def test_the_tokens_of_a_text(text: str, expected: str) -> None:
    assert tokens(text) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("亲子共读", [["亲子", "子共", "共读"]]),
        ("读", [["读"]]),
        ("共读 作业", [["共读"], ["作业"]]),
        ("3步 K12教", [["3", "步"], ["k12", "教"]]),
        ("教育K", [["教育", "育", "k"]]),
        ('" * 。 AND', [["and"]]),
        (" ", []),
    ],
)
def test_what_a_search_asks_for(words: str, expected: list[list[str]]) -> None:
    assert phrases(words) == expected


@given(st.text())
def test_tokens_hold_nothing_that_a_database_could_take_for_syntax(text: str) -> None:
    for token in [*tokens(text), *(token for row in phrases(text) for token in row)]:
        assert token
        assert all(unicodedata.category(character)[0] in "LMN" for character in token)


@given(st.text(max_size=80).filter(lambda word: len(word.split()) == 1))
def test_every_text_is_found_by_itself(word: str) -> None:
    have = tokens(word)
    for row in phrases(word):
        *before, last = row
        assert have[: len(before)] == before
        assert have[len(before)].startswith(last)
