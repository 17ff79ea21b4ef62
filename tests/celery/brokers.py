"""Brokers of a test's own on free ports, to be killed and started again, with or without what they held.

They run from the servers that this machine has installed; that some server is there at all is known by the
environment, as for every other test (TEST_REDIS_URL, TEST_AMQP_URL).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import absent
from tests.platforms.process import free_port

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # without the wrapper that asks for its own user
START_SECONDS = 60


class Broker:
    """A server process in a group of its own. `url` stays the same however often it is killed."""

    scheme: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """Start it; what it held before is there again only if it was stopped in an orderly way."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env={**os.environ, **self.environment()},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the broker did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9: the server and everything it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def empty(self) -> None:
        """Take away what a server that was killed has left on disk."""
        raise NotImplementedError

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Redis(Broker):
    scheme = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        files = ("--dir", str(self.folder), "--save", "", "--appendonly", "no")
        return [_found("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port), *files]

    def empty(self) -> None:
        return None  # it keeps nothing on disk


class RabbitMq(Broker):
    scheme = "amqp"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._node = f"gongyu_{uuid.uuid4().hex[:8]}@localhost"
        self._cluster_port = free_port()
        (folder / "plugins").touch()
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> list[str]:
        if not RABBITMQ.is_file():
            absent("RabbitMQ's server is not installed here")
        return [str(RABBITMQ)]

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),  # the cookie by which nodes know each other
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-such-file"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_DIST_PORT": str(self._cluster_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def empty(self) -> None:
        shutil.rmtree(self.folder / "data")


BROKERS = {"redis": Redis, "amqp": RabbitMq}


@contextmanager
def running(scheme: str, folder: Path) -> Iterator[Broker]:
    """A broker of this kind until the block ends."""
    folder.mkdir()
    broker = BROKERS[scheme](folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def _found(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        absent(f"{name} is not installed here")
    return str(path)
