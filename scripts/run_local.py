"""`make run`: the tool with its embedded default and the sandbox LMS, on this machine, until Ctrl-C.

The first run writes the secrets to instance/env (git-ignored); later runs find them, the keys and the data.
PORT and SANDBOX_PORT choose other ports.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[1]
INSTANCE = ROOT / "instance"
BIN = Path(sys.executable).parent
PORT = int(os.environ.get("PORT", "8000"))
SANDBOX_PORT = int(os.environ.get("SANDBOX_PORT", "9000"))
TOOL = f"http://127.0.0.1:{PORT}"
SANDBOX = f"http://localhost:{SANDBOX_PORT}"
START_SECONDS = 60


class CannotRun(SystemExit):
    """Ends the script with a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"gongyu: {why}")


def main() -> None:
    os.chdir(ROOT)
    environment = {**os.environ, **_secrets(), "GONGYU_PUBLIC_URL": TOOL, "GONGYU_INSTANCE": str(INSTANCE)}
    environment.setdefault("GONGYU_SHOW_DESIGN", "1")
    environment.setdefault("GONGYU_LOG_LEVEL", "WARNING")
    _flask(environment, "db", "upgrade", quiet=True)
    if "--shell" in sys.argv:
        sys.exit(subprocess.run([BIN / "flask", "--app", "wsgi", "shell"], env=environment).returncode)
    for port in (PORT, SANDBOX_PORT):
        _refuse_taken(port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        _flask(environment, "courses", "import", "lti_app/demo/courses")
        processes.append(_start_sandbox(environment))
        _register_sandbox(environment)
        processes.append(_start_tool(environment))
        _until_ready(f"{TOOL}/readyz", processes)
        print(
            f"\n  共育 Gongyu is running. Open the sandbox school:  {SANDBOX}\n"
            f"  The tool itself: {TOOL}   All components: {TOOL}/design\n"
            "  Ctrl-C stops both.\n",
            flush=True,
        )
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        raise CannotRun("one of the two servers ended; see the lines above")
    except KeyboardInterrupt:
        print("\ngongyu: stopping")
    finally:
        _stop(processes)


def _secrets() -> dict[str, str]:
    """The values of instance/env, made once."""
    path = INSTANCE / "env"
    INSTANCE.mkdir(exist_ok=True)
    if not path.exists():
        lines = (
            f"GONGYU_SECRET_KEY={secrets.token_urlsafe(32)}\n"
            f"GONGYU_KEY_ENCRYPTION_KEY={Fernet.generate_key().decode()}\n"
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(lines)
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _flask(environment: dict[str, str], *arguments: str, quiet: bool = False) -> None:
    done = subprocess.run(
        [BIN / "flask", "--app", "wsgi", *arguments], env=environment, capture_output=quiet, text=True
    )
    if done.returncode:
        raise CannotRun(f"flask {' '.join(arguments[:2])} failed\n{done.stderr if quiet else ''}")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotRun(
                f"port {port} is in use; end what uses it, or choose others: make run PORT=8010 SANDBOX_PORT=9010"
            ) from error


def _start_sandbox(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    arguments = ["--port", str(SANDBOX_PORT), "--tool", TOOL, "--data", str(INSTANCE / "sandbox.sqlite3")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.platforms.sandbox", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is ours to pass on, in order
    )
    _until_ready(f"{SANDBOX}/state", [process])
    return process


def _register_sandbox(environment: dict[str, str]) -> None:
    with urllib.request.urlopen(f"{SANDBOX}/state", timeout=10) as answer:
        state = json.load(answer)
    _flask(
        environment,
        *("platforms", "add", "--kind", "generic", "--name", f"sandbox-{SANDBOX_PORT}", "--url", SANDBOX),
        *("--issuer", state["issuer"], "--client-id", state["client_id"]),
        *("--deployment-id", state["deployment_id"], "--auth-url", state["auth_url"]),
        *("--token-url", state["token_url"], "--jwks-url", state["jwks_url"]),
        *("--allow-http", "--allow-private-network"),
        *("--school", "晨光实验学校", "--district", "渝中区"),
        quiet=True,
    )


def _start_tool(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    arguments = [
        "--bind",
        f"127.0.0.1:{PORT}",
        "--worker-class",
        "gthread",
        "--workers",
        "1",
        "--threads",
        "8",
    ]
    arguments += ["--limit-request-line", "8190", "--log-level", "warning", "--no-control-socket"]
    return subprocess.Popen(
        [BIN / "gunicorn", *arguments, "wsgi:app"], env=environment, start_new_session=True
    )


def _until_ready(url: str, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            raise CannotRun("a server ended while it started; see the lines above")
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise CannotRun(f"{url} did not answer within {START_SECONDS} s")


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    main()
