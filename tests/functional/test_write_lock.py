"""SQLite has one writer: nobody holds its lock while waiting for somebody else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
import time_machine
from flask import Flask

from lti_app.clock import utc_now
from tests.browsing import Visitor
from tests.fake_platform import FakePlatform
from tests.functional.courses_steps import came, finish


def fetch_that_writes(database: Path, platform: FakePlatform, seen: list[str]) -> Callable[..., Any]:
    """A key set that another program needs the write lock to answer for."""

    def answer(request: requests.PreparedRequest) -> tuple[int, Any]:
        other = sqlite3.connect(database, timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # raises when somebody holds the lock
        other.execute("ROLLBACK")
        other.close()
        seen.append(str(request.path_url))
        return platform._answer(request, "/jwks")

    return answer


def test_others_may_write_while_a_platform_is_asked_for_its_keys(
    lite_app: Flask, platform: FakePlatform, tmp_path: Path
) -> None:
    seen: list[str] = []
    platform.faults.append(fetch_that_writes(tmp_path / "gongyu.sqlite3", platform, seen))
    answer = Visitor(lite_app, platform).launch("parent")
    assert answer.status_code == 303
    assert seen == ["/jwks"]


def test_a_page_that_writes_opens_after_a_pause(lite_app: Flask, platform: FakePlatform) -> None:
    page = Visitor(lite_app, platform)("observer")
    with time_machine.travel(utc_now() + timedelta(minutes=6), tick=True):
        assert page.get("/lessons/read").status == 200


def test_who_comes_back_waits_for_nobody(lite_app: Flask, platform: FakePlatform, tmp_path: Path) -> None:
    page = came(Visitor(lite_app, platform), "parent")
    finish(page)
    other = sqlite3.connect(tmp_path / "gongyu.sqlite3", timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert "祝贺" in page.get("/").text
    finally:
        other.close()
