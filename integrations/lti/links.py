"""The `Link` header (RFC 8288) as platforms write it, also wrongly: it leads to the next page, or to what changed."""

from __future__ import annotations

import re

_LIMIT = 16_384
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s\";,]+))", re.IGNORECASE)
# Curly quotes in UTF-8, as they are after HTTP's Latin-1 reading and as themselves.
_CURLY = ("\u00e2\u0080\u009c", "\u00e2\u0080\u009d", "\u201c", "\u201d")


def link_to(header: str, relation: str) -> str | None:
    """The target of the first link with that relation (lower case), in its own letter case, or None.

    Tolerates what was seen: curly quotes and `&amp;`, unquoted relations, several relations in one
    link, other parameters before `rel`.
    """
    for target, parameters in _LINK.findall(header[:_LIMIT]):
        for quote in _CURLY:
            parameters = parameters.replace(quote, '"')
        found = _REL.search(parameters)
        if found and relation in (found[1] or found[2] or "").lower().split():
            return target.strip().replace("&amp;", "&") or None
    return None
