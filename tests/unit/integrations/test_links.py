"""The `Link` header, right and wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.lti.links import link_to


@pytest.mark.parametrize(
    ("header", "target"),
    [
        (
            '<https://x.example/Items?page=bookmark:WyJBYkNk>; rel="next"',
            "https://x.example/Items?page=bookmark:WyJBYkNk",
        ),
        ("<https://x.example/?page=2>; rel=next", "https://x.example/?page=2"),
        ('<https://x.example/1>; rel="first", <https://x.example/2>; rel="next"', "https://x.example/2"),
        ('<https://x.example/2>; title="a, b"; rel="next last"', "https://x.example/2"),
        ("<https://x.example/?a=1&amp;b=2>; rel=\u201cnext\u201d", "https://x.example/?a=1&b=2"),
        ("<https://x.example/?copy=1&copy=2>; REL=Next", "https://x.example/?copy=1&copy=2"),
        ("</relative?page=2>;rel=next", "/relative?page=2"),
        ('<https://x.example/1>; rel="prev"', None),
        ('<https://x.example/1>; rel="nextish"', None),
        ('<https://x.example/1>; norel="next"', None),
        ("", None),
        ("rel=next", None),
        ("<>; rel=next", None),
    ],
)
def test_the_next_page(header: str, target: str | None) -> None:
    assert link_to(header, "next") == target


_urls = st.from_regex(
    r"https://[a-z]{1,8}\.example/[A-Za-z0-9/_.-]{0,12}(\?[A-Za-z0-9=&%:,;-]{0,20})?", fullmatch=True
).filter(lambda url: "&amp;" not in url)
_others = st.lists(st.tuples(_urls, st.sampled_from(["prev", "first", "last", "canonical"])), max_size=4)
_quotes = st.sampled_from(
    [
        'rel="{}"',
        "rel={}",
        "rel=\u201c{}\u201d",
        'foo=bar; rel = "{}"',
        "rel=\u00e2\u0080\u009c{}\u00e2\u0080\u009d",
    ]
)


@given(url=_urls, others=_others, place=st.integers(0, 4), style=_quotes)
def test_the_next_page_is_found_unchanged_among_others(
    url: str, others: list[tuple[str, str]], place: int, style: str
) -> None:
    links = [f"<{target}>; {style.format(relation)}" for target, relation in others]
    links.insert(min(place, len(links)), f"<{url}>; {style.format('next')}")
    assert link_to(", ".join(links), "next") == url


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    target = link_to(header, "next")
    assert target is None or target in header.replace("&amp;", "&")
