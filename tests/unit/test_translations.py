"""Every text of the product has its English, with the same placeholders."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from scripts.update_translations import PO, texts

PLACEHOLDER = re.compile(r"%\(\w+\)s")


@pytest.fixture(scope="module")
def english() -> dict[str, str]:
    with PO.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def test_no_text_is_without_english(english: dict[str, str]) -> None:
    wanted = {str(message.id) for message in texts() if message.id}
    assert sorted(text for text in wanted if not english.get(text)) == []


def test_no_english_is_left_over(english: dict[str, str]) -> None:
    wanted = {str(message.id) for message in texts() if message.id}
    assert sorted(set(english) - wanted) == [], "run: python -m scripts.update_translations"


def test_placeholders_are_the_same(english: dict[str, str]) -> None:
    different = [
        chinese
        for chinese, translated in english.items()
        if translated and sorted(PLACEHOLDER.findall(chinese)) != sorted(PLACEHOLDER.findall(translated))
    ]
    assert different == []
