"""A parent's walk through the showcase course, without a screen, for any platform."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from html import unescape
from typing import TypeVar

import requests

from tests.platforms.driver import Browser, forms

COURSE = "shared-reading-15-minutes"
# The right answers of the showcase's quiz, by the position of the choice.
ANSWERS: Sequence[Sequence[int]] = ([1], [0, 2], [1])
SECONDS = 40
_Value = TypeVar("_Value")


def text_of(page: requests.Response) -> str:
    """What a person reads on a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))


def post(browser: Browser, page: requests.Response, action: str, **values: str) -> requests.Response:
    """Submit the page's form whose address ends with `action`."""
    form = next(form for form in forms(page) if form.action.endswith(action))
    return browser.submit(form, values)


def root_of(page: requests.Response) -> str:
    """The launch's address, http://host/l/<key>."""
    found = re.match(r"(.*?/l/[^/]+)/", page.url)
    assert found, f"not a page of a launch: {page.url}\n{text_of(page)}"
    return found.group(1)


def finish_course(browser: Browser, page: requests.Response) -> requests.Response:
    """Say who is here if asked, watch, read and answer; returns the course page at the end."""
    if page.url.endswith("/who"):
        page = post(browser, page, "/who", kind="parent")
    root = root_of(page)
    watch(browser, f"{root}/lessons/watch")
    for slug in ("first-week", "talk"):
        lesson = browser.open(f"{root}/lessons/{slug}", source=page.url)
        read = post(browser, lesson, f"/lessons/{slug}/read")
        assert read.status_code == 200, text_of(read)
    result = answer_quiz(browser, browser.open(f"{root}/lessons/quiz", source=page.url))
    assert "/lessons/quiz/result" in result.url, text_of(result)
    return browser.open(f"{root}/course", source=page.url)


def watch(browser: Browser, lesson_url: str) -> None:
    """Play the video at double speed: the server believes no more than the time that really went by."""
    assert browser.open(lesson_url, source=lesson_url).status_code == 200
    root = "/".join(lesson_url.split("/")[:3])
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": root}
    began = time.monotonic()

    def beat() -> bool:
        seconds = (time.monotonic() - began) * 2
        answer = browser.session.post(
            f"{lesson_url}/watch",
            json={"position": min(seconds, 19), "duration": 19, "watched": min(seconds, 19)},
            headers=headers,
            timeout=SECONDS,
        )
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["completed"])

    eventually(beat, pause=1.0)


def answer_quiz(browser: Browser, quiz: requests.Response) -> requests.Response:
    """Hand in the right answers."""
    form = next(form for form in forms(quiz) if form.action.endswith("/answers"))
    names = list(dict.fromkeys(re.findall(r'name="(q\d+)"', quiz.text)))
    assert len(names) == len(ANSWERS)
    return browser.submit(
        form, {name: [str(index) for index in chosen] for name, chosen in zip(names, ANSWERS, strict=True)}
    )


def eventually(ask: Callable[[], _Value], *, pause: float = 0.2, seconds: float = SECONDS) -> _Value:
    """The first true answer; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = ask()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"no answer within {seconds} s")
