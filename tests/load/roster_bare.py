"""The measure for rosters: the same pages read by `requests` over one kept connection, and forgotten.

python -m tests.load.roster_bare --way WAY --name NAME --members N --platform URL
"""

from __future__ import annotations

from urllib.parse import urljoin

import requests

from integrations.lti.nrps import MEMBERS_TYPE
from tests.load.roster_tasks import Stopwatch, Task, print_laps, task_from_command_line


def read_all(task: Task) -> None:
    """Read every page; raises requests.HTTPError when the platform refuses one."""
    watch, members, url = Stopwatch(), 0, f"{task.url}?limit=50"
    headers = {"Authorization": "Bearer none", "Accept": MEMBERS_TYPE}
    with requests.Session() as session:
        while url:
            answer = session.get(url, headers=headers)
            answer.raise_for_status()
            members += len(answer.json()["members"])
            following = answer.links.get("next")
            url = urljoin(url, following["url"]) if following else ""
    print_laps(first=watch.lap(members))


if __name__ == "__main__":
    read_all(task_from_command_line())
