"""A browser as far as a launch needs one: kept connections, redirects, cookies. Raw, to leave CPU to the tool."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

MOST_REDIRECTS = 5


class LaunchFailed(Exception):
    """A launch did not end at a page; says where."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def location(self) -> str:
        return next((value for name, value in self.headers if name == "location"), "")


class Connection:
    """One kept HTTP/1.1 connection to the tool; opened again when the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, head: str, body: bytes) -> Answer:
        for last in (False, True):
            kept = self.streams is not None
            if self.streams is None:
                self.streams = await asyncio.open_connection(self.host, self.port)
            try:
                return await self._exchange(*self.streams, head, body)
            except (asyncio.IncompleteReadError, ConnectionError):
                await self.close()
                if last or not kept:
                    raise
        raise AssertionError("unreachable")

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, body: bytes
    ) -> Answer:
        writer.write(head.encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = [
            (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
        ]
        values = dict(headers)
        answer = Answer(int(first[9:12]), headers, await reader.readexactly(int(values["content-length"])))
        if values.get("connection", "").lower() == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


@dataclass
class Browser:
    """Follows redirects within the tool and keeps its cookies, like a frame in an LMS."""

    connection: Connection
    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    path: str = ""
    """Where it is now."""

    async def open(self, method: str, path: str, form: bytes = b"", *, site: str = "cross-site") -> Answer:
        """The first answer that is not a redirect within the tool."""
        for _ in range(MOST_REDIRECTS):
            self.path = path
            answer = await self.connection.request(self._head(method, path, form, site), form)
            self._keep_cookies(answer)
            target = answer.location.removeprefix(self.base)
            if answer.status not in (302, 303) or not target.startswith("/"):
                return answer
            method, path, form = "GET", target, b""
        raise LaunchFailed("too many redirects")

    def _head(self, method: str, path: str, form: bytes, site: str) -> str:
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.base.partition('//')[2]}",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Language: zh-CN,zh;q=0.9",
            f"Sec-Fetch-Site: {site}",
        ]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if method == "POST":
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}"]
        return "\r\n".join(lines) + "\r\n\r\n"

    def _keep_cookies(self, answer: Answer) -> None:
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
