"""Markdown of strangers becomes HTML that cannot do anything."""

from __future__ import annotations

import pytest

from lti_app.courses.markdown import render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    '<a href="javascript:alert(1)" onclick="alert(1)">x</a>',
    '<iframe src="https://evil.test"></iframe>',
    '<form action="https://evil.test"><input name=q><button>x</button></form>',
    "<svg><script>alert(1)</script></svg>",
    "<style>body{display:none}</style>",
    '<p style="position:fixed" id="main" class="btn" data-heartbeat-url="/x">x</p>',
    '<video src="https://evil.test/x.mp4" autoplay></video>',
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_survives(text: str) -> None:
    html = render(f"before\n\n{text}\n\nafter", lambda path: None).lower()
    for word in ("<script", "onerror", "onclick", "iframe", "<form", "<input", "<svg", "<style", "evil.test"):
        assert word not in html, html
    for attribute in ("id=", "class=", "data-", "style=", 'href="data:', 'href="javascript:', "<video"):
        assert attribute not in html, html


def test_links_open_beside_the_frame_and_leave_no_trace() -> None:
    html = render("[平台](https://example.org/?a=1)", lambda path: None)
    assert 'href="https://example.org/?a=1"' in html
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer"' in html


def test_pictures_are_asked_for_by_their_name_in_the_pack() -> None:
    asked = []
    html = render("![图](<media/图 1.png>)", lambda path: asked.append(path) or "media:abc")
    assert asked == ["media/图 1.png"]
    assert 'src="media:abc"' in html


def test_tables_and_chinese_emphasis_are_kept() -> None:
    html = render("|甲|乙|\n|:-|-:|\n|**一**|二|", lambda path: None)
    assert "<td><strong>一</strong></td>" in html
