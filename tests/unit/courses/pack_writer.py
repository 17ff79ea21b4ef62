"""Writes course packs for tests: a whole, right one, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 32
VTT = "WEBVTT\n\nNOTE made by hand\n\n1\n00:00.000 --> 00:02.000\n先听<i>完</i>\n再说\n\n00:02.000 --> 00:04.000\nA &amp; B\n"

COURSE = """\
format: 1
slug: listening
title: 先听再说
summary: 一句话
language: zh-CN
version: 1
kind: general
theme: 亲子沟通
stages: [primary]
audience: parents
class_hours: 0.5
credits: 0.25
lessons: [01.md, 02.md, 03.md]
"""
ARTICLE = """\
---
slug: read
title: 读一读
kind: article
minutes: 5
---
# 标题

先**听完**。

![蹲下来](media/kneel.png)
"""
VIDEO = """\
---
slug: film
title: 看一看
kind: video
minutes: 1
video: media/film.mp4
seconds: 19
captions:
  - {file: media/film.vtt, language: zh-CN, label: 中文}
---
看完想一想。
"""
QUIZ = """\
---
slug: quiz
title: 想一想
kind: quiz
minutes: 3
pass_mark: 60
attempts: 0
questions:
  - kind: single
    text: 先做什么？
    choices:
      - {text: 听, correct: true}
      - {text: 说}
  - kind: true_false
    text: 要打断。
    answer: false
    explanation: 听完再说。
---
"""


def write_pack(folder: Path, **files: str | bytes | None) -> Path:
    """A pack in `folder`; `files` replace or (None) leave out: course, article, video, quiz, png, mp4, vtt."""
    names = {
        "course": ("course.yaml", COURSE),
        "article": ("01.md", ARTICLE),
        "video": ("02.md", VIDEO),
        "quiz": ("03.md", QUIZ),
        "png": ("media/kneel.png", PNG),
        "mp4": ("media/film.mp4", MP4),
        "vtt": ("media/film.vtt", VTT),
    }
    (folder / "media").mkdir(parents=True, exist_ok=True)
    for key, (name, content) in names.items():
        content = files.get(key, content)  # type: ignore[assignment]
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def lesson(head: str, body: str = "文字\n") -> str:
    """A lesson file of this front matter."""
    return f"---\n{dedent(head)}---\n{body}"
