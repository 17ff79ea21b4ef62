"""The measure for a term's end: the same scores posted by threads with `requests`, two for each school.

    python -m tests.load.district_bare --port PORT --schools FIRST-END --scores N --turn T

Each thread keeps one connection, as a pool does. Prints what `Stopwatch` does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from integrations.lti.ags import SCORE_TYPE, scores_url
from tests.load.district import host
from tests.load.scores import Stopwatch, Task

PARALLEL = 2


def post_all(port: int, schools: Sequence[int], scores: int, turn: int) -> None:
    """Post every score; raises RuntimeError when a platform refuses one."""
    task = Task(scores, turn, "")
    bodies = task.bodies()
    shares = [
        (f"http://{host(school)}:{port}{task.line_item_url}", bodies[part::PARALLEL])
        for school in schools
        for part in range(PARALLEL)
    ]
    watch = Stopwatch()
    with ThreadPoolExecutor(len(shares)) as pool:
        done = sum(pool.map(_post, *zip(*shares, strict=True)))
    watch.print_result(done)


def _post(line_item_url: str, bodies: Sequence[dict[str, Any]]) -> int:
    headers = {"Authorization": "Bearer none", "Content-Type": SCORE_TYPE}
    url = scores_url(line_item_url)
    with requests.Session() as session:
        for body in bodies:
            answer = session.post(url, data=json.dumps(body).encode(), headers=headers)
            if answer.status_code != 200:
                raise RuntimeError(f"the platform answered {answer.status_code}")
    return len(bodies)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schools", required=True, help="the first and the one after the last: 0-20")
    for name in ("--port", "--scores", "--turn"):
        parser.add_argument(name, type=int, required=True)
    chosen = parser.parse_args()
    first, end = map(int, chosen.schools.split("-"))
    post_all(chosen.port, range(first, end), chosen.scores, chosen.turn)


if __name__ == "__main__":
    main()
