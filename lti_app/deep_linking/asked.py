"""What the platform asked for in this launch, and who may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext

from integrations.platforms.base import Platform
from integrations.platforms.registry import platform_for
from integrations.terms import ContentHint, ContentRules, DeepLinkingSettings
from lti_app.errors import AppError, NotAllowed
from lti_app.extensions import db
from lti_app.launches.current import require_staff
from lti_app.launches.models import LaunchSession
from lti_app.organisations.models import School
from lti_app.security import is_origin, origin_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for content. `origin` is where the browser will post the answer."""

    launch: LaunchSession
    said: DeepLinkingSettings
    platform: Platform
    rules: ContentRules
    origin: str

    @property
    def with_points(self) -> bool:
        """Whether the maximum of a column is ours to choose."""
        return self.rules.columns and ContentHint.POINTS_SET_THERE not in self.rules.hints

    @property
    def new_window(self) -> bool:
        """The platform shows links in windows of their own and nowhere else."""
        inside = {"iframe", "frame", "embed"}.intersection(self.said.accept_targets)
        return "window" in self.said.accept_targets and not inside


def asked() -> Asked:
    """The request that this launch is.

    Raises NotAllowed for who is no teacher and for other launches, AppError when no browser could post to
    the address for the answer.
    """
    launch = require_staff()
    if launch.deep_linking is None:
        raise NotAllowed(lazy_gettext("请在学校平台里编辑课程时打开这一页，才能往里添加课程。"))
    said = _settings(launch.deep_linking)
    origin = origin_of(said.return_url)
    if not is_origin(origin):
        raise AppError(
            "GY-RETURN-ADDRESS",
            lazy_gettext("学校平台给的返回地址不能用"),
            lazy_gettext("请把下面的代码告诉学校平台的管理员。"),
        )
    platform = platform_for(launch.registration.kind)
    return Asked(launch, said, platform, platform.content_rules(said), origin)


def time_zone(launch: LaunchSession) -> str:
    """The clock of the class's school; of the platform's, for a request from outside any class."""
    if launch.context is not None:
        return launch.context.school.time_zone
    return db.session.get_one(School, launch.registration.school_id).time_zone


def _settings(stored: dict[str, Any]) -> DeepLinkingSettings:
    return DeepLinkingSettings(
        **{
            **stored,
            "accept_types": frozenset(stored["accept_types"]),
            "accept_targets": tuple(stored["accept_targets"]),
        }
    )
