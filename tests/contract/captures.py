"""Reads the recorded messages in `moodle/`."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from requests.structures import CaseInsensitiveDict

from integrations.http import HttpAnswer

FOLDER = Path(__file__).parent / "moodle"


@functools.cache
def capture(name: str) -> dict[str, Any]:
    """A file by the name it has without ".json"."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return loaded


def exchanges(name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = capture(name)["exchanges"]
    return listed


def exchange(name: str, case: str) -> dict[str, Any]:
    (found,) = [one for one in exchanges(name) if one.get("case") == case]
    return found


def launch_claims(name: str) -> dict[str, Any]:
    """The decoded payload of the one id_token in a launch capture."""
    (claims,) = [one["id_token"]["payload"] for one in exchanges(name) if one.get("id_token")]
    return dict(claims)


def answer(exchange: dict[str, Any]) -> HttpAnswer:
    """The platform's answer as it was on the wire."""
    body = exchange["response_body"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return HttpAnswer(
        exchange["status"], CaseInsensitiveDict(exchange["response_headers"]), text.encode("utf-8")
    )
