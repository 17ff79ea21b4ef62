"""A column in the LMS: one that is there, else a new one."""

from __future__ import annotations

from integrations.errors import PlatformRejected
from integrations.lti.ags import AgsClient
from integrations.terms import LineItem, ServiceAccess


def find_or_make(
    ags: AgsClient, access: ServiceAccess, line_items_url: str | None, wanted: LineItem
) -> tuple[LineItem, bool]:
    """The column and whether it was made now. Looking first, because platforms check no uniqueness and we may
    have died after making it.

    Raises PlatformRejected (`no-gradebook-address` without a URL) and what `AgsClient` raises.
    """
    if line_items_url is None:
        raise PlatformRejected("no-gradebook-address")
    there = ags.line_items(
        access,
        line_items_url,
        resource_link_id=wanted.resource_link_id,
        resource_id=None if wanted.resource_link_id else wanted.resource_id,
        tag=wanted.tag,
    )
    item = _the_one(there, wanted)
    return (item, False) if item else (ags.create_line_item(access, line_items_url, wanted), True)


def _the_one(there: list[LineItem], wanted: LineItem) -> LineItem | None:
    """Ours by resource id, else the link's only one. Platforms ignore filters they do not know."""
    of_link = [item for item in there if item.resource_link_id == wanted.resource_link_id]
    ours = [item for item in of_link if item.resource_id == wanted.resource_id]
    if wanted.tag is not None:
        ours = [item for item in ours if item.tag == wanted.tag]
    if ours:
        return ours[0]
    return of_link[0] if wanted.resource_link_id and len(of_link) == 1 else None
