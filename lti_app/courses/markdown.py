"""Markdown of a lesson as HTML that is safe to show: an allow-list of elements, images of the pack only."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt

_PARSER = MarkdownIt("commonmark").enable("table")
_TAGS = {
    *("p", "br", "hr", "h2", "h3", "h4", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong"),
    *("a", "img", "table", "thead", "tbody", "tr", "th", "td", "sub", "sup", "del"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}}


def render(text: str, picture: Callable[[str], str | None]) -> str:
    """The HTML of `text`. `picture` gives what to write for an image's name in the pack, None: leave it out."""
    tokens = _PARSER.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            # The lesson's title is the page's h1; below h4 all look alike.
            token.tag = {"h1": "h2", "h2": "h2", "h3": "h3"}.get(token.tag, "h4")
    dirty = _PARSER.renderer.render(tokens, _PARSER.options, {})

    def attribute(tag: str, name: str, value: str) -> str | None:
        return picture(unquote(value)) if (tag, name) == ("img", "src") else value

    return nh3.clean(
        dirty,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
        # In an LMS's frame a link that is not ours must open beside it.
        set_tag_attribute_values={"a": {"target": "_blank"}, "img": {"loading": "lazy"}},
    )
