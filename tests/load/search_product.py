"""How long the picker takes to answer searches in one large catalogue, page by page, in this process.

    python -m tests.load.search_product --database URL --folder FOLDER --courses N --turns T

The database is empty at first. Each turn asks for every page once, and next to it for the same page whose
courses are read by primary key: what that costs is the page, the rest is the search.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import flask_migrate
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import selectinload

from integrations.http import PlatformHttp
from lti_app import create_app
from lti_app.courses import queries
from lti_app.courses.models import Course, CourseKind, Stage
from lti_app.extensions import db
from lti_app.roster.models import Audience
from tests.browsing import Page, QueryCount, Visitor
from tests.conftest import ROOT, run, settings_for
from tests.fake_platform import LTI, FakePlatform
from tests.load.catalogue import stock

SEARCHES = {
    "1 character": "q=家",
    "2 characters": "q=共读",
    "4 characters": "q=亲子共读",
    "8 characters": "q=睡前怎样亲子共读",
    "English": "q=read",
    "2 words": "q=爸爸+作业",
    "2 characters, 2 filters": "q=共读&stage=primary&kind=general",
    "last page of 1 character": "q=家&page=100000",
    "nothing to find": "q=龘",
    "no words": "q=",
}
REQUEST = {
    LTI + "message_type": "LtiDeepLinkingRequest",
    LTI + "resource_link": ...,
    "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings": {
        "deep_link_return_url": "https://lms.test/content-return",
        "accept_types": ["ltiResourceLink"],
        "accept_presentation_document_targets": ["iframe"],
        "accept_multiple": True,
    },
}
"""By which an LMS asks for the picker."""
BEFORE = 3
"""Turns that are not counted: they warm code and caches."""


def measure(app: Flask, teacher: Page, turns: int) -> dict[str, Any]:
    """Milliseconds of each turn by name of search, and what the page is like."""
    paths = {name: f"/pick?{query}" for name, query in SEARCHES.items()}
    times: dict[str, dict[str, list[float]]] = {name: {"page": [], "floor": []} for name in paths}
    for turn in range(-BEFORE, turns):
        for name, path in paths.items():
            page = _seconds(teacher, path)
            with patch.multiple(queries, catalogue=by_primary_key, facets=without_counting):
                floor = _seconds(teacher, path)
            if turn >= 0:
                times[name]["page"].append(page * 1000)
                times[name]["floor"].append(floor * 1000)
    return {name: {**times[name], **_about(app, teacher, path)} for name, path in paths.items()}


def by_primary_key(*_: Any, **__: Any) -> queries.CataloguePage:
    """A page of the catalogue that nobody had to find."""
    query = select(Course).where(Course.id.in_(range(1, queries.PAGE + 1)))
    courses: Sequence[Course] = db.session.scalars(query.options(selectinload(Course.stages))).all()
    return queries.CataloguePage(courses, len(courses), 1, 1)


def without_counting(*_: Any, **__: Any) -> queries.Facets:
    """Filters with as many choices as the page usually has, and numbers that nobody counted."""
    return queries.Facets(
        stages=dict.fromkeys(Stage, 1),
        kinds=dict.fromkeys(CourseKind, 1),
        themes={f"主题{number}": 1 for number in range(12)},
        audiences=dict.fromkeys(Audience, 1),
        total=queries.PAGE,
    )


def _seconds(teacher: Page, path: str) -> float:
    began = time.perf_counter()
    answer = teacher.get(path)
    took = time.perf_counter() - began
    assert answer.status == 200, answer.text
    return took


def _about(app: Flask, teacher: Page, path: str) -> dict[str, Any]:
    with QueryCount(app) as counted, patch.object(queries, "catalogue", wraps=queries.catalogue) as asked:
        teacher.get(path)
    with app.app_context():
        found = queries.catalogue(*asked.call_args.args, **asked.call_args.kwargs)
    return {"queries": len(counted), "found": found.total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    for name in ("--courses", "--turns"):
        parser.add_argument(name, type=int, required=True)
    chosen = parser.parse_args()
    platform = FakePlatform()
    app = create_app(settings_for(chosen.folder, chosen.database), http=PlatformHttp(adapter=platform))
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
        stock(chosen.courses)
        if db.engine.dialect.name == "postgresql":  # what its autovacuum does by itself
            with db.engine.begin() as connection:
                connection.execute(text("ANALYZE"))
    run(app, "platforms", "add", *platform.add_arguments, "--school", "晨光实验学校", "--district", "渝中区")
    teacher = Visitor(app, platform)("teacher", "/class-1", **REQUEST)
    print(json.dumps(measure(app, teacher, chosen.turns)))


if __name__ == "__main__":
    main()
