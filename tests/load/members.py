"""The rosters of the load platform: any number of members, in pages or in one answer.

`/nrps/<paged|whole>/<class>/<members>/memberships`: every class has people of its own.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

PAGE = 50
WAYS = {"paged": "pages of 50", "whole": "one answer"}
FAMILIES = "王李张刘陈杨黄赵周吴徐孙朱马胡郭何林高罗"
NAMES = ["子涵", "欣怡", "浩然", "梓轩", "雨桐", "思远", "佳宁", "一诺", "宇航", "诗琪", "嘉懿", "书瑶"]


def address(way: str, name: str, members: int) -> str:
    """The path of a roster."""
    return f"/nrps/{way}/{name}/{members}/memberships"


def page(path: str, query: str) -> tuple[bytes, str]:
    """What the platform answers: the body, and its Link header, empty on the last page."""
    _, _, way, name, members, _ = path.split("/")
    total, number = int(members), int(parse_qs(query).get("page", ["1"])[0])
    size = PAGE if way == "paged" else total
    link = f'<{path}?limit={PAGE}&page={number + 1}>; rel="next"' if number * size < total else ""
    return _body(name, (number - 1) * size, min(number * size, total)), link


@lru_cache(maxsize=512)
def _body(name: str, first: int, end: int) -> bytes:
    members = [_member(name, number) for number in range(first, end)]
    return json.dumps({"id": name, "context": {"id": name}, "members": members}, ensure_ascii=False).encode()


def _member(name: str, number: int) -> dict[str, Any]:
    family = FAMILIES[number % len(FAMILIES)]
    given = NAMES[number % len(NAMES)] + ("妈妈", "爸爸", "奶奶")[number % 3]
    return {
        "status": "Active",
        "user_id": f"{name}-{number}",
        "name": family + given,
        "family_name": family,
        "given_name": given,
        "email": f"family-{number}@example.edu.cn",
        "lis_person_sourcedid": f"50010319{number:06}",
        "roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
    }
