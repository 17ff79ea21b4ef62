"""The load client: parents who launch, a fixed number of them at a time, for a bounded time.

    python -m tests.load.client --base URL --issuer URL --folder FOLDER (--seconds S | --each-once)

Prints one JSON object. Each launch is a browser of its own: without cookies, and with a connection that it
keeps for its requests. (Connections kept longer stay with the worker that took them, and one worker may take
them all.) Tokens are signed here, at the same cost for every target.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.load.browser import Answer, Browser, LaunchFailed
from tests.load.messages import USERS, Parent, id_token, load_key, login_form

MOST_SECONDS = 60.0
MOST_LAUNCHES = 50_000
IN_FLIGHT = 16
ASKS_WHO = b'name="kind" value="parent"'


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool under test, as the platform knows it."""

    base: str
    issuer: str
    key: Any

    async def launch(self, parent: Parent) -> Answer:
        """A complete launch in a new browser: login, launch, first page. Raises LaunchFailed."""
        browser = Browser(self.base)
        try:
            return await self._launch(browser, parent)
        finally:
            browser.close()

    async def _launch(self, browser: Browser, parent: Parent) -> Answer:
        launch_url = f"{self.base}/lti/launch"
        login = await browser.open("POST", "/lti/login", login_form(parent, self.issuer, launch_url))
        if not login.location.startswith(f"{self.issuer}/auth?"):
            raise LaunchFailed(f"the login ended with {login.status} {login.location}")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(login.location).query).items()}
        token = id_token(parent, self.issuer, launch_url, asked["nonce"], self.key)
        form = urlencode({"state": asked["state"], "id_token": token}).encode()
        page = await browser.open("POST", urlsplit(asked["redirect_uri"]).path, form)
        if ASKS_WHO in page.body:  # the product asks a new login once whether this is a parent
            page = await browser.open("POST", browser.path, b"kind=parent", site="same-origin")
        if page.status != 200:
            raise LaunchFailed(f"the launch ended with {page.status} at {browser.path.partition('?')[0]}")
        return page


@dataclass
class Tally:
    """What came of a measurement; times in seconds."""

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    async def take_turns(self, tool: Tool, parents: Iterator[Parent], until: float) -> None:
        """Launch one parent after the other until the time is over or nobody is left."""
        for parent in parents:
            started = time.monotonic()
            if started >= until:
                break
            try:
                await tool.launch(parent)
                self.seconds.append(time.monotonic() - started)
            except (LaunchFailed, OSError, EOFError, ValueError, KeyError) as error:
                self.failures[f"{type(error).__name__}: {error}"[:200]] += 1


async def measure(tool: Tool, *, seconds: float, each_once: bool, in_flight: int) -> dict[str, Any]:
    """Launch with `in_flight` launches at a time; for `seconds`, or until each parent launched once."""
    everyone = [Parent(number) for number in range(USERS)]
    parents = iter(everyone) if each_once else itertools.islice(itertools.cycle(everyone), MOST_LAUNCHES)
    tally = Tally()
    cpu, started = time.process_time(), time.monotonic()
    until = started + min(MOST_SECONDS if each_once else seconds, MOST_SECONDS)
    await asyncio.gather(*(tally.take_turns(tool, parents, until) for _ in range(in_flight)))
    took = time.monotonic() - started
    done = len(tally.seconds)
    return {
        "launches": done,
        "failures": dict(tally.failures),
        "seconds": took,
        "per_second": done / took,
        "median_ms": 1000 * statistics.median(tally.seconds) if done else None,
        "p95_ms": 1000 * statistics.quantiles(tally.seconds, n=20)[-1] if done > 1 else None,
        "client_cpu_ms": 1000 * (time.process_time() - cpu) / done if done else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--each-once", action="store_true")
    chosen = parser.parse_args()
    tool = Tool(chosen.base, chosen.issuer, load_key(chosen.folder))
    result = measure(tool, seconds=chosen.seconds, each_once=chosen.each_once, in_flight=chosen.in_flight)
    print(json.dumps(asyncio.run(result)))


if __name__ == "__main__":
    main()
