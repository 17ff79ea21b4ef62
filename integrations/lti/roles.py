"""Who somebody is in a course: decided by membership roles first, and by nothing else.

Accepts every spelling that platforms use (LTI Core 1.3, A.2; LTI 1.1 URNs; NRPS bare names):

    http://purl.imsglobal.org/vocab/lis/v2/membership#Learner                         a core role
    http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant    a sub-role
    urn:lti:role:ims/lis/Instructor/TeachingAssistant                                 the same in LTI 1.1
    Learner, Instructor#TeachingAssistant                                             bare names
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from integrations.terms import CourseRole, Roles

_VOCABULARY = re.compile(
    r"https?://purl\.imsglobal\.org/vocab/(?:lis/v2|lti)/"
    r"(?P<place>membership|institution/person|system/person|person)(?:/(?P<core>\w+))?#(?P<name>\w+)",
    re.ASCII,
)
_URN = re.compile(
    r"urn:lti:(?P<place>role|instrole|sysrole):ims/lis/(?P<core>\w+)(?:/(?P<name>\w+))?", re.ASCII
)
_BARE = re.compile(r"(?:membership[#/])?(?P<core>[A-Za-z]+)(?:#(?P<name>\w+))?", re.ASCII)

_MEMBERSHIP = "membership"
_TEST_USERS = re.compile(r"https?://purl\.imsglobal\.org/vocab/lti/system/person#TestUser", re.ASCII)
_ADMINISTRATORS = frozenset({"administrator", "sysadmin"})
_OTHERS = frozenset({"contentdeveloper", "manager", "member", "officer", "administrator"})


@dataclass(frozen=True, slots=True)
class _Role:
    place: str
    core: str
    sub: str = ""


def resolve_roles(uris: Iterable[str]) -> Roles:
    """The course role and the two flags of a role list; unknown roles and vocabularies mean nothing.

    Precedence within a course: Instructor (also beside Learner or Mentor), teaching assistant, Mentor,
    Learner, other. A teaching assistant stays one when the core role Instructor is listed too, as some
    platforms always do; any other sub-role of Instructor makes an Instructor. A Mentor is never staff.
    """
    listed = tuple(uris)
    roles = [role for role in map(_parse, listed) if role is not None]
    return Roles(
        course_role=_course_role([role for role in roles if role.place == _MEMBERSHIP]),
        is_administrator=any(
            role.place != _MEMBERSHIP and role.core.lower() in _ADMINISTRATORS for role in roles
        ),
        is_test_user=any(_TEST_USERS.fullmatch(uri) for uri in listed),
        uris=listed,
    )


def _course_role(memberships: list[_Role]) -> CourseRole:
    cores = {role.core.lower() for role in memberships}
    teaching = {role.sub.lower() for role in memberships if role.core.lower() == "instructor" and role.sub}
    assistant = "teachingassistant" in cores or any(sub.startswith("teachingassistant") for sub in teaching)
    if any(not sub.startswith("teachingassistant") for sub in teaching):
        return CourseRole.INSTRUCTOR
    if assistant:
        return CourseRole.ASSISTANT
    for core, role in (
        ("instructor", CourseRole.INSTRUCTOR),
        ("mentor", CourseRole.MENTOR),
        ("learner", CourseRole.LEARNER),
    ):
        if core in cores:
            return role
    return CourseRole.OTHER if cores & _OTHERS else CourseRole.NONE


def _parse(uri: str) -> _Role | None:
    if match := _VOCABULARY.fullmatch(uri):
        if match["core"]:
            return _Role(match["place"], match["core"], match["name"])
        return _Role(match["place"], match["name"])
    if match := _URN.fullmatch(uri):
        place = _MEMBERSHIP if match["place"] == "role" else match["place"]
        return _Role(place, match["core"], match["name"] or "")
    if match := _BARE.fullmatch(uri):
        return _Role(_MEMBERSHIP, match["core"], match["name"] or "")
    return None
