"""Videos: what the player reports is believed as far as time allows; media only for whose link it is."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from lti_app.clock import utc_now
from lti_app.courses.models import Lesson, LessonProgress, Media
from lti_app.extensions import db
from tests.browsing import BASE, Page, Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, count, import_pack, only
from tests.unit.courses.pack_writer import MP4


@pytest.fixture
def visit(lite_app: Flask, platform: FakePlatform) -> Visitor:
    return Visitor(lite_app, platform)


@pytest.fixture
def page(lite_app: Flask, visit: Visitor, tmp_path: Path) -> Page:
    """A parent on the course page of `listening`, whose video takes 19 seconds."""
    import_pack(lite_app, tmp_path / "pack")
    return came(visit, "parent", "listening")


def beat(page: Page, position: float, watched: float) -> bool:
    answer = page.post("/lessons/film/watch", json={"position": position, "duration": 19, "watched": watched})
    assert answer.status == 200, answer.text
    completed: bool = answer.response.get_json()["completed"]
    return completed


def test_a_watched_video_is_done_and_goes_on_where_it_stopped(lite_app: Flask, page: Page) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        film = page.get("/lessons/film")
        assert 'data-resume-seconds="0" data-watched-seconds="0"' in film.html
        assert "<track" in film.html
        assert "先听完 再说" in film.text, "the words of the captions stand below"
        assert "A & B" in film.text
        clock.shift(10)
        assert not beat(page, 10, 10)
        again = page.get("/lessons/film")
        assert 'data-resume-seconds="10" data-watched-seconds="10"' in again.html
        clock.shift(8)
        assert beat(page, 18, 18)
    assert "已完成" in page.get("/lessons/film").text
    assert only(lite_app, LessonProgress).watched == 18


def test_a_claim_is_believed_only_as_far_as_time_allows(lite_app: Flask, page: Page) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        page.get("/lessons/film")
        assert not beat(page, 19, 19)
        assert only(lite_app, LessonProgress).watched == 0
        clock.shift(3)
        assert not beat(page, 19, 1000)
        assert only(lite_app, LessonProgress).watched == 6, "twice the time: nobody plays faster"
        for _ in range(20):
            assert not beat(page, 19, 19)
        clock.shift(6)
        assert beat(page, 0, 1000)
    row = only(lite_app, LessonProgress)
    assert (row.watched, row.position) == (18, 0)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        "{}",
        '{"position": -1, "watched": 1}',
        '{"position": 1, "watched": NaN}',
        "{nonsense",
        "[" * 100_000,
    ],
)
def test_nonsense_from_a_player_is_refused(lite_app: Flask, page: Page, body: str) -> None:
    answer = page.post("/lessons/film/watch", data=body, headers={"Content-Type": "application/json"})  # type: ignore[arg-type]
    assert answer.status == 400
    assert count(lite_app, LessonProgress) == 0


def test_without_scripts_it_can_be_said_when_the_video_has_had_its_time(page: Page) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        assert "我已看完”的按钮" in page.get("/lessons/film").text
        clock.shift(12)
        early = page.post("/lessons/film/read")
        assert early.status == 409
        assert "请再看 7 秒" in early.text
        clock.shift(7)
        seen = page.get("/lessons/film")
        assert 'action="' + page.root + '/lessons/film/read"' in seen.html
        assert page.post("/lessons/film/read").status == 200
        assert "已完成" in page.get("/lessons/film").text


def media_address(page: Page) -> str:
    found = re.search(r'<source src="([^"]+)" type="video/mp4"', page.get("/lessons/film").html)
    assert found
    return found[1]


def fetch(page: Page, address: str, **headers: str) -> TestResponse:
    """A whole answer; without `buffered` Flask's test client leaves the file open."""
    return page.client.get(address, base_url=BASE, headers=headers, buffered=True)


def test_media_come_with_their_type_in_pieces_and_for_this_browser_only(page: Page) -> None:
    address = media_address(page)
    whole = fetch(page, address)
    assert (whole.status_code, whole.data, whole.content_type) == (200, MP4, "video/mp4")
    assert whole.headers["Cache-Control"] == "private, max-age=3600"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    part = fetch(page, address, Range="bytes=4-7")
    assert (part.status_code, part.data) == (206, b"ftyp")
    assert part.headers["Content-Range"] == f"bytes 4-7/{len(MP4)}"
    assert fetch(page, address, Range="bytes=999-").status_code == 416
    assert fetch(page, address, **{"If-None-Match": whole.headers["ETag"]}).status_code == 304
    captions = re.search(r'<track [^>]*src="([^"]+)"', page.get("/lessons/film").html)
    picture = re.search(r'<img src="([^"]+)" alt="蹲下来"', page.get("/lessons/read").html)
    assert captions
    assert picture
    assert fetch(page, captions[1]).content_type == "text/vtt; charset=utf-8"
    assert fetch(page, picture[1]).content_type == "image/png"


def test_media_belong_to_the_course_of_the_link(lite_app: Flask, visit: Visitor, page: Page) -> None:
    address = media_address(page).removeprefix(page.root)
    assert page.get(address.replace("film.mp4", "other.mp4")).status == 404
    for number in (999_999, 2**63, 10**30):
        assert page.get(f"/media/{number}/film.mp4").status == 404
    other = came(visit, "father", "demo")
    assert other.get(address).status == 404
    for user, link in (("teacher", "demo"), ("anonymous", "listening")):
        # A teacher may choose this course, a visitor without identity sees the link's own.
        somebody = visit(user, link)
        assert fetch(somebody, somebody.root + address).data == MP4
    assert fetch(page, "/l/" + "x" * 32 + address).status_code == 401


def test_a_file_that_is_gone_is_not_found(lite_app: Flask, page: Page) -> None:
    address = media_address(page)
    settings = lite_app.config["SETTINGS"]
    for path in (settings.instance / "media").rglob("*"):
        if path.is_file():
            path.unlink()
    assert page.client.get(address, base_url=BASE).status_code == 404


def test_six_minutes_into_a_video_messages_still_count(lite_app: Flask, page: Page) -> None:
    with time_machine.travel(utc_now() + timedelta(minutes=6), tick=False):
        assert not beat(page, 1, 1)
    with lite_app.app_context():
        assert db.session.query(Lesson).filter_by(kind="video").one().video_seconds == 19
        assert db.session.query(Media).count() == 3
