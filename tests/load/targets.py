"""Starts what is measured: the product on each database, three plain pages, the plainest PyLTI1p3 tool.

Everything listens on 127.0.0.1 and lives in one temporary folder; what was started is ended by its pid.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet

from tests.load.keys import make_keys
from tests.load.messages import CLIENT_ID, DEPLOYMENT_ID
from tests.platforms.process import ROOT, free_port, python, serving

WORKERS = 2
THREADS = 8
PAGES = "flask-pages"
PYLTI = "pylti"
PYLTI_TLS = "pylti-https"
SQLITE = "product-sqlite"
POSTGRES = "product-postgresql"
PRODUCTS = (SQLITE, POSTGRES)
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Platform:
    """The load platform: `url` is its issuer, `tls_url` the same over https; `folder` holds its keys and the
    logs of everything that runs."""

    url: str
    tls_url: str
    folder: Path
    pid: int


@dataclass(frozen=True, slots=True)
class Running:
    """A started tool; `pid` is gunicorn's own, its workers are its children."""

    name: str
    base: str
    pid: int


@dataclass(frozen=True, slots=True)
class Instance:
    """The product's environment: a migrated database with the demo catalogue and the platform."""

    name: str
    port: int
    environment: dict[str, str] = field(repr=False)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    """The platform's services, running."""
    make_keys(folder)
    port, tls_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    ports = ("--port", str(port), "--tls-port", str(tls_port))
    command = python("-m", "tests.load.platform", *ports, "--folder", str(folder))
    with serving(command, f"{url}/state", log=folder / "platform.log") as process:
        yield Platform(url, f"https://127.0.0.1:{tls_port}", folder, process.pid)


@contextlib.contextmanager
def plain_pages(lms: Platform) -> Iterator[Running]:
    """Three plain Flask pages."""
    environment = {"LOAD_PLATFORM": lms.url}
    with _gunicorn(PAGES, "tests.load.plain_flask:app", free_port(), lms.folder, environment) as running:
        yield running


@contextlib.contextmanager
def plain_pylti(name: str, key_set: str, lms: Platform) -> Iterator[Running]:
    """The plainest PyLTI1p3 tool, fetching the platform's keys from `key_set`.

    `requests` reads the public authorities for every new connection to https; ours stands among them.
    """
    environment = {
        "LOAD_PLATFORM": lms.url,
        "LOAD_KEY_SET": key_set,
        "REQUESTS_CA_BUNDLE": str(lms.folder / "authorities.pem"),
    }
    with _gunicorn(name, "tests.load.plain_pylti_tool:app", free_port(), lms.folder, environment) as running:
        yield running


@contextlib.contextmanager
def product(instance: Instance, lms: Platform) -> Iterator[Running]:
    """The product, serving."""
    with _gunicorn(instance.name, "wsgi:app", instance.port, lms.folder, instance.environment) as running:
        yield running


def make_instance(name: str, database_url: str, lms: Platform) -> Instance:
    """What an operator does before the first launch: migrate, import courses, register the platform."""
    port = free_port()
    instance = Instance(name, port, _settings(lms.folder / name, port, database_url))
    flask(instance, "db", "upgrade")
    flask(instance, "courses", "import", "lti_app/demo/courses")
    flask(
        instance,
        *("platforms", "add", "--kind", "generic", "--name", "load", "--url", lms.url),
        *("--issuer", lms.url, "--client-id", CLIENT_ID, "--deployment-id", DEPLOYMENT_ID),
        *("--auth-url", f"{lms.url}/auth", "--token-url", f"{lms.url}/token"),
        *("--jwks-url", f"{lms.url}/jwks", "--allow-http", "--allow-private-network"),
    )
    return instance


def flask(instance: Instance, *arguments: str) -> None:
    """Run a `flask` command of the product. Raises RuntimeError with what it said when it fails."""
    done = subprocess.run(
        [BIN / "flask", "--app", "wsgi", *arguments],
        cwd=ROOT,
        env={**os.environ, **instance.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"flask {' '.join(arguments[:2])} failed:\n{done.stdout}{done.stderr}"[-3000:])


def _settings(folder: Path, port: int, database_url: str) -> dict[str, str]:
    return {
        "GONGYU_SECRET_KEY": secrets.token_urlsafe(32),
        "GONGYU_KEY_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "GONGYU_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "GONGYU_INSTANCE": str(folder),
        "GONGYU_DATABASE_URL": database_url,
        "GONGYU_REDIS_URL": "",
        "GONGYU_WORKER": "",
        "GONGYU_TRUSTED_PROXIES": "0",
        "GONGYU_LOG_LEVEL": "WARNING",
    }


@contextlib.contextmanager
def _gunicorn(name: str, app: str, port: int, logs: Path, environment: dict[str, str]) -> Iterator[Running]:
    command = [
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"),
        *("--workers", str(WORKERS), "--threads", str(THREADS)),
        *("--log-level", "warning", "--no-control-socket", app),
    ]
    base = f"http://127.0.0.1:{port}"
    with serving(command, f"{base}/healthz", env=environment, log=logs / f"{name}.log") as process:
        yield Running(name, base, process.pid)
