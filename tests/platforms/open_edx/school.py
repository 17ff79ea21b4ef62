# SPDX-License-Identifier: AGPL-3.0-or-later
"""The school around the LTI consumer: its accounts, units and gradebook, in place of the rest of Open edX."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

RUN = "Yuzhong+PARENTS+2026"
COURSE_KEY = f"course-v1:{RUN}"
COURSE_TITLE = "家长课堂"

# Unit (the block id) -> passport. Open edX gives each block a client id of its own, unless the author
# reuses a passport: then two resource links share one client id.
UNITS = {"unit-1": "passport-a", "unit-2": "passport-b", "unit-3": "passport-a"}
MAX_SCORE = 10.0


@dataclass(frozen=True)
class User:
    """An enrolled account; `role` is a key of the consumer's LTI_1P3_ROLE_MAP."""

    id: int
    username: str
    name: str
    email: str
    role: str

    @property
    def external_id(self) -> str:
        """The `sub` of this account, stable over restarts as Open edX's own external ids are."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{COURSE_KEY}/{self.username}"))


USERS = {
    user.username: user
    for user in (
        User(11, "li", "李家长", "li@parents.example", "student"),
        User(12, "wang", "王家长", "wang@parents.example", "student"),
        User(21, "chen", "陈老师", "chen@school.example", "staff"),
        User(22, "zhao", "赵老师", "zhao@school.example", "instructor"),
    )
}

# What the LMS gradebook was told, in order.
gradebook: list[dict[str, Any]] = []


class Block:
    """The courseware block of a unit: graded, never past due, worth MAX_SCORE points."""

    has_score = True
    accept_grades_past_due = False

    def __init__(self, location: Any) -> None:
        self.scope_ids = SimpleNamespace(usage_id=location)

    def is_past_due(self) -> bool:
        return False

    def max_score(self) -> float:
        return MAX_SCORE

    def set_user_module_score(self, user: User, score: float, max_score: float, comment: str = "") -> None:
        """Note a published grade; `score` is a share between 0 and 1."""
        unit = self.scope_ids.usage_id.block_id
        entry = {"unit": unit, "user": user.username, "value": score * max_score, "maximum": max_score}
        gradebook.append({**entry, "comment": comment})


def usage_id(unit: str) -> str:
    return f"block-v1:{RUN}+type@lti_consumer+block@{unit}"


def user_of(external_user_id: str) -> User:
    """The account behind a `sub`; raises LtiError as the LMS does for an unknown one."""
    from lti_consumer.exceptions import LtiError

    for user in USERS.values():
        if user.external_id == external_user_id:
            return user
    raise LtiError("Invalid User")


def members(_course_key: Any) -> dict[int, dict[str, Any]]:
    """Everybody enrolled, in the shape of the LMS function that NRPS asks."""
    return {
        user.id: {
            "id": user.id,
            "username": user.username,
            "name": user.name,
            "email": user.email,
            "roles": [user.role],
        }
        for user in USERS.values()
    }


def external_ids(_users: Any) -> dict[int, SimpleNamespace]:
    return {user.id: SimpleNamespace(external_user_id=user.external_id) for user in USERS.values()}


def stand_in_for_the_lms() -> None:
    """Answer from this file what the consumer would import from the LMS around it."""
    from lti_consumer.plugin import compat

    compat.load_block_as_user = Block
    compat.get_user_from_external_user_id = user_of
    compat.get_course_members = members
    compat.batch_get_or_create_externalids = external_ids
    compat.user_has_studio_write_access = lambda _user, _course_key: True
