"""The product as it runs in production: gunicorn on a free port, its own instance folder and database."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from tests.platforms.process import ROOT, free_port, serving

BIN = Path(sys.executable).parent
DEMO = ROOT / "lti_app" / "demo" / "courses"


@dataclass(frozen=True)
class LiveTool:
    """A tool that is (or is about to be) served at `url`; `flask(...)` runs a command of its operator."""

    url: str
    port: int
    folder: Path
    environment: dict[str, str]

    def flask(self, *arguments: str) -> str:
        done = subprocess.run(
            [BIN / "flask", "--app", "wsgi", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add_platform(self, *arguments: str) -> None:
        """Register a platform of this machine."""
        self.flask("platforms", "add", *arguments, "--allow-http", "--allow-private-network")

    @contextlib.contextmanager
    def serve(self, *, workers: int = 1) -> Iterator[None]:
        argv = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread"]
        argv += ["--workers", str(workers), "--threads", "8", "--limit-request-line", "8190"]
        argv += ["--log-level", "warning", "--no-control-socket", "wsgi:app"]
        log = self.folder / "tool.log"
        with serving(argv, f"{self.url}/readyz", env=self.environment, log=log):
            yield


def live_tool(folder: Path, *, database_url: str | None = None, **settings: str) -> LiveTool:
    """A migrated tool with the demo courses, not yet served."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GONGYU_")},
        "GONGYU_SECRET_KEY": "only-for-tests-only-for-tests",
        "GONGYU_KEY_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "GONGYU_PUBLIC_URL": url,
        "GONGYU_INSTANCE": str(folder / "instance"),
        "GONGYU_WORKER": "embedded",
        "GONGYU_LOG_LEVEL": "WARNING",
        "PYTHONWARNINGS": "default",
        **settings,
    }
    if database_url:
        environment["GONGYU_DATABASE_URL"] = database_url
    tool = LiveTool(url, port, folder, environment)
    tool.flask("db", "upgrade")
    tool.flask("courses", "import", str(DEMO))
    return tool
