"""The measure for delivery: the same scores posted by a bare loop over one kept connection.

python -m tests.load.deliver_bare --scores N --turn T --platform URL
"""

from __future__ import annotations

import json

import requests

from integrations.lti.ags import SCORE_TYPE, scores_url
from tests.load.scores import Stopwatch, Task, task_from_command_line


def post_all(task: Task) -> None:
    """Post every score; raises RuntimeError when the platform refuses one."""
    bodies = task.bodies()
    headers = {"Authorization": "Bearer none", "Content-Type": SCORE_TYPE}
    url = scores_url(task.line_item_url)
    watch = Stopwatch()
    with requests.Session() as session:
        for body in bodies:
            answer = session.post(url, data=json.dumps(body).encode(), headers=headers)
            if answer.status_code != 200:
                raise RuntimeError(f"the platform answered {answer.status_code}")
    watch.print_result(len(bodies))


if __name__ == "__main__":
    post_all(task_from_command_line())
