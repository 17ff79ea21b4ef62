"""The columns of the load platform, to be read back: any number of results, in pages or in one answer.

`/gradebook/<paged|whole>/<column>/<results>/lineitem`. Everybody shows what was sent, except each hundredth person,
whose teacher gave another grade.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

PAGE = 100
WAYS = {"paged": f"pages of {PAGE}", "whole": "one answer"}
GIVEN = 87.5
CHANGED_EACH, CHANGED = 100, 60


def address(way: str, name: str, results: int) -> str:
    """The path of a column."""
    return f"/gradebook/{way}/{name}/{results}/lineitem"


def person(name: str, number: int) -> str:
    """The `sub` of the person in row `number`."""
    return f"{name}-{number}"


def pages(way: str, results: int) -> int:
    """How many answers the results of a column take."""
    return -(-results // PAGE) if way == "paged" else 1


def answer(path: str, query: str, origin: str) -> tuple[bytes, str]:
    """What the platform answers: the body, and its Link header, empty on the last page."""
    _, _, way, name, results, _, *rest = path.split("/")
    total = int(results)
    if not rest:
        item = {"id": origin + path, "label": name, "scoreMaximum": 100}
        return json.dumps(item).encode(), ""
    number = int(parse_qs(query).get("page", ["1"])[0])
    size = PAGE if way == "paged" else total
    link = f'<{path}?page={number + 1}>; rel="next"' if number * size < total else ""
    return _body(name, (number - 1) * size, min(number * size, total)), link


@lru_cache(maxsize=512)
def _body(name: str, first: int, end: int) -> bytes:
    return json.dumps([_result(name, number) for number in range(first, end)]).encode()


def _result(name: str, number: int) -> dict[str, Any]:
    changed = number % CHANGED_EACH == CHANGED_EACH - 1
    return {
        "id": f"http://lms.example/results/{name}/{number}",
        "scoreOf": f"http://lms.example/lineitems/{name}",
        "userId": person(name, number),
        "resultScore": CHANGED if changed else GIVEN,
        "resultMaximum": 100,
    }
