"""The files of a course pack: nothing outside the pack, nothing too large, nothing that is not what it says."""

from __future__ import annotations

import hashlib
import html
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_TEXT = 2 * 1024 * 1024
"""Bytes of all texts of a pack together."""
MAX_MEDIA = 50 * 1024 * 1024
"""Bytes of one media file."""
MAX_FILES = 2000


class BadFile(Exception):
    """The message says what is wrong; `line` (from 1) is where in that file, if it is a matter of a line."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A checked media file of a pack. `path` is its name there (media/…), `source` where it lies."""

    path: str
    source: Path
    sha256: str
    content_type: str
    size: int


def _webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _vtt(head: bytes) -> bool:
    return re.match(rb"(\xef\xbb\xbf)?WEBVTT([ \t\r\n]|\Z)", head) is not None


IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp"})
VIDEOS = frozenset({".mp4", ".webm"})
CAPTIONS = frozenset({".vtt"})
# SVG is left out on purpose: it can carry scripts.
_TYPES: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    ".png": ("image/png", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n")),
    ".jpg": ("image/jpeg", lambda head: head.startswith(b"\xff\xd8\xff")),
    ".jpeg": ("image/jpeg", lambda head: head.startswith(b"\xff\xd8\xff")),
    ".gif": ("image/gif", lambda head: head[:6] in (b"GIF87a", b"GIF89a")),
    ".webp": ("image/webp", _webp),
    ".mp4": ("video/mp4", lambda head: head[4:8] == b"ftyp"),
    ".webm": ("video/webm", lambda head: head.startswith(b"\x1a\x45\xdf\xa3")),
    ".vtt": ("text/vtt", _vtt),
}


def walk(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Every file below `folder` as (name with /, what is wrong with it or None); links are not followed."""
    waiting, seen = [folder], 0
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                name = Path(entry.path).relative_to(folder).as_posix()
                seen += 1
                if seen > MAX_FILES:
                    yield name, f"the pack holds more than {MAX_FILES} files"
                    return
                if entry.is_symlink():
                    yield name, "is a symbolic link, which a pack may not hold"
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    yield name, "is not a regular file"
                else:
                    yield name, None


def read_text(path: Path, most: int) -> str:
    """The UTF-8 text of a file with plain line ends. Raises BadFile when it is longer than `most` bytes."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BadFile(f"the texts of the pack are larger than {MAX_TEXT // 1024 // 1024} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile("is not UTF-8 text", 1 + content.count(b"\n", 0, error.start)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_media(folder: Path, name: str, files: frozenset[str], suffixes: frozenset[str]) -> MediaFile:
    """The media file `name` (media/…) of the pack, whose regular files are `files`. Raises BadFile."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or pure.parts[:1] != ("media",):
        raise BadFile(f"{name!r} must be a file inside the pack's media folder")
    if pure.suffix.lower() not in suffixes:
        raise BadFile(f"{name!r} must be one of: {', '.join(sorted(suffixes))}")
    if name not in files:
        raise BadFile(f"{name!r} is not in the pack")
    source = folder / name
    size = source.stat().st_size
    if size > MAX_MEDIA:
        raise BadFile(f"{name!r} is larger than {MAX_MEDIA // 1024 // 1024} MB")
    content_type, fits = _TYPES[pure.suffix.lower()]
    with source.open("rb") as file:
        if not fits(file.read(64)):
            raise BadFile(f"{name!r} is not what its name says ({content_type})")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return MediaFile(name, source, digest, content_type, size)


def transcript_of(text: str) -> list[str]:
    """The words of a WebVTT file (W3C WebVTT, 4), a text for each cue, without times and markup."""
    cues = []
    for block in re.split(r"\n{2,}", text):
        lines = block.strip("\n").split("\n")
        timing = next((i for i, line in enumerate(lines[:2]) if "-->" in line), None)
        if timing is None:
            continue  # the header, NOTE, STYLE, REGION
        words = html.unescape(re.sub(r"<[^>]*>", "", " ".join(lines[timing + 1 :]))).strip()
        if words:
            cues.append(words)
    return cues
