"""A browser as far as a launch needs one: one kept connection, redirects, cookies. Raw, to leave the CPU to
the tool."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

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


@dataclass
class Browser:
    """Follows redirects within the tool at `base` and keeps its cookies, like a frame in an LMS."""

    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    path: str = ""
    """Where it is now."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self, method: str, path: str, form: bytes = b"", *, site: str = "cross-site") -> Answer:
        """The first answer that is not a redirect within the tool."""
        for _ in range(MOST_REDIRECTS):
            self.path = path
            answer = await self._exchange(self._head(method, path, form, site).encode() + form)
            self._keep_cookies(answer)
            target = answer.location.removeprefix(self.base)
            if answer.status not in (302, 303) or not target.startswith("/"):
                return answer
            method, path, form = "GET", target, b""
        raise LaunchFailed("too many redirects")

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None

    async def _exchange(self, message: bytes) -> Answer:
        if self.streams is None:
            address = urlsplit(self.base)
            self.streams = await asyncio.open_connection(address.hostname, address.port)
        reader, writer = self.streams
        writer.write(message)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = [
            (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
        ]
        values = dict(headers)
        body = await reader.readexactly(int(values["content-length"]))
        if values.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(first[9:12]), headers, body)

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
