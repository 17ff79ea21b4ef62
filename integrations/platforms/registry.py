"""The platforms by kind: the one place that knows all adapters."""

from __future__ import annotations

from integrations.platforms.base import Platform
from integrations.platforms.blackboard import Blackboard
from integrations.platforms.brightspace import Brightspace
from integrations.platforms.canvas import Canvas
from integrations.platforms.generic import Generic
from integrations.platforms.moodle import Moodle
from integrations.platforms.open_edx import OpenEdx

_PLATFORMS: dict[str, Platform] = {
    platform.kind: platform
    for platform in (Moodle(), Canvas(), OpenEdx(), Brightspace(), Blackboard(), Generic())
}
KINDS: tuple[str, ...] = tuple(_PLATFORMS)

# `tool_platform.product_family_code` without case and punctuation.
_FAMILIES = {
    "moodle": "moodle",
    "canvas": "canvas",
    "openedx": "open-edx",
    "desire2learn": "brightspace",
    "d2l": "brightspace",
    "brightspace": "brightspace",
    "blackboard": "blackboard",
    "blackboardlearn": "blackboard",
}


def platform_for(kind: str) -> Platform:
    """The adapter of a kind of KINDS; KeyError for anything else."""
    return _PLATFORMS[kind]


def family_hint(product_family_code: str | None) -> str | None:
    """The kind that a launch's `tool_platform` claims to be; a hint for an admin, never a decision."""
    name = "".join(char for char in (product_family_code or "").lower() if char.isalnum())
    return _FAMILIES.get(name)
