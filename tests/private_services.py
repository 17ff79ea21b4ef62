"""A PostgreSQL server of a test's own, to be stopped and started while the product runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.databases import absent
from tests.platforms.process import free_port


@dataclass(frozen=True)
class PrivatePostgres:
    """`url` is its maintenance database, as TEST_POSTGRES_URL is."""

    url: str
    port: int
    data: Path
    bin: Path
    user: str | None

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = str(self.data / "server.log")
        self._run("pg_ctl", "-D", str(self.data), "-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """At once, as if its machine had lost power: nothing is said to anybody, the next start recovers."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def make(self) -> None:
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def _run(self, name: str, *arguments: str) -> None:
        prefix = ["runuser", "-u", self.user, "--"] if self.user else []
        command = [*prefix, str(self.bin / name), *arguments]
        # Files, not pipes: the server keeps what it inherits open for as long as it lives.
        done = subprocess.run(
            command, cwd=self.data.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )
        assert done.returncode == 0, f"{name} ended with {done.returncode}"


@contextlib.contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """A fresh server on a free port until the block ends; skips (or fails) without PostgreSQL's programs."""
    programs = _programs()
    user = _other_user() if os.geteuid() == 0 else None
    # Not pytest's folder: that is closed to the user as whom the server must run when we are root.
    folder = Path(tempfile.mkdtemp(prefix="gongyu-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    port = free_port()
    server = PrivatePostgres(
        f"postgresql://postgres@127.0.0.1:{port}/postgres", port, folder / "data", programs, user
    )
    try:
        server.make()
        server.start()
        yield server
    finally:
        with contextlib.suppress(AssertionError):  # it may be stopped already
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = shutil.which("pg_config")
    if found:
        asked = subprocess.run([found, "--bindir"], capture_output=True, text=True).stdout.strip()
        if (Path(asked) / "initdb").exists():
            return Path(asked)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not installed:
        absent("PostgreSQL's programs are absent (initdb, pg_ctl)")
    return installed[-1].parent


def _other_user() -> str:
    """PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    absent("there is no user as whom PostgreSQL could run")
    raise AssertionError
