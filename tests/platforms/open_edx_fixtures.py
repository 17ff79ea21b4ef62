"""Open edX's LTI consumer as a running platform of a test module (see open_edx/README.md)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.platforms.process import ROOT, free_port, serving

PYTHON = ROOT / ".venv-platforms-edx" / "bin" / "python"
LMS = ROOT / "tests" / "platforms" / "open_edx" / "lms.py"


@dataclass(frozen=True)
class OpenEdx:
    """A running platform with units unit-1, unit-2, unit-3 and users li, wang, chen, zhao."""

    url: str
    pid: int

    def launch_url(self, user: str, unit: str = "unit-1", course: str | None = None) -> str:
        """The click of `user` on `unit`; `course` is the unit's custom parameter `gongyu_course`."""
        query = {"unit": unit, **({"course": course} if course else {})}
        return f"{self.url}/launch/{user}?{urlencode(query)}"

    def choose_url(self, user: str, unit: str = "unit-1") -> str:
        """The click of an author on "select content" of `unit`."""
        return f"{self.url}/choose/{user}?{urlencode({'unit': unit})}"

    def state(self) -> dict[str, Any]:
        """The platform's own tables at this moment."""
        answer = requests.get(f"{self.url}/state", timeout=20)
        answer.raise_for_status()
        return dict(answer.json())

    def unit(self, unit: str) -> dict[str, str]:
        """What an author copies from Studio into the tool."""
        return dict(self.state()["units"][unit])


@contextlib.contextmanager
def running_open_edx(tool_url: str, directory: Path) -> Iterator[OpenEdx]:
    """Start the platform for the tool at `tool_url`, its data and log in `directory`, until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [str(PYTHON), str(LMS), "--port", str(port), "--tool", tool_url, "--data", str(directory)]
    with serving(argv, f"{url}/state", log=directory / "open_edx.log") as process:
        yield OpenEdx(url, process.pid)


def need_open_edx() -> None:
    """Skip without the platform's virtual environment; fail where services are required."""
    if PYTHON.exists():
        return
    reason = f"Open edX is not installed in {PYTHON.parents[1].name}; see tests/platforms/open_edx/README.md"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


# One platform per module, not per session: each module brings its own `tool_url`.
@pytest.fixture(scope="module")
def open_edx(tmp_path_factory: pytest.TempPathFactory, tool_url: str) -> Iterator[OpenEdx]:
    """The platform, connected to the module's fixture `tool_url` (an origin without a slash at the end)."""
    need_open_edx()
    with running_open_edx(tool_url, tmp_path_factory.mktemp("open_edx")) as platform:
        yield platform
