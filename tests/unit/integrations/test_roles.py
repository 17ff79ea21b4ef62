"""Who somebody is, from every spelling of roles that platforms were seen to send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.lti.roles import resolve_roles
from integrations.terms import CourseRole

M = "http://purl.imsglobal.org/vocab/lis/v2/membership"
I = "http://purl.imsglobal.org/vocab/lis/v2/institution/person"  # noqa: E741
S = "http://purl.imsglobal.org/vocab/lis/v2/system/person"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"


@pytest.mark.parametrize(
    ("uris", "role"),
    [
        ([f"{M}#Learner"], CourseRole.LEARNER),
        ([f"{M}#Instructor"], CourseRole.INSTRUCTOR),
        # A Canvas parent; one who teaches elsewhere in the district; an observing parent of nobody.
        ([f"{M}#Mentor", f"{S}#User"], CourseRole.MENTOR),
        ([f"{M}#Mentor", f"{I}#Instructor", f"{S}#User"], CourseRole.MENTOR),
        ([f"{M}/Mentor#Advisor"], CourseRole.MENTOR),
        # A Canvas teaching assistant carries the core role too.
        ([f"{M}/Instructor#TeachingAssistant", f"{M}#Instructor"], CourseRole.ASSISTANT),
        ([f"{M}#Instructor", f"{M}/Instructor#TeachingAssistantSection"], CourseRole.ASSISTANT),
        ([f"{M}/Instructor#PrimaryInstructor", f"{M}/Instructor#TeachingAssistant"], CourseRole.INSTRUCTOR),
        ([f"{M}/Instructor#Grader"], CourseRole.INSTRUCTOR),
        ([f"{M}/Learner#GuestLearner"], CourseRole.LEARNER),
        ([f"{M}/Learner#Instructor"], CourseRole.LEARNER),
        ([f"{M}#Learner", f"{M}#Instructor"], CourseRole.INSTRUCTOR),
        ([f"{M}#Mentor", f"{M}#Instructor"], CourseRole.INSTRUCTOR),
        ([f"{M}#Learner", f"{M}/Instructor#TeachingAssistant"], CourseRole.ASSISTANT),
        ([f"{M}#Learner", f"{M}#Mentor"], CourseRole.MENTOR),
        ([f"{M}#ContentDeveloper"], CourseRole.OTHER),
        ([f"{M}#Manager", f"{M}#Learner"], CourseRole.LEARNER),
        ([f"{M}#ContentDeveloper", f"{M}#Instructor"], CourseRole.INSTRUCTOR),
        ([f"{M}#Member"], CourseRole.OTHER),
        ([f"{M}#Officer"], CourseRole.OTHER),
        ([f"{M}#Administrator"], CourseRole.OTHER),
        ([f"{I}#Instructor", f"{I}#Student"], CourseRole.NONE),
        ([f"{S}#None"], CourseRole.NONE),
        ([], CourseRole.NONE),
        # Names without a vocabulary, and LTI 1.1.
        (["Learner"], CourseRole.LEARNER),
        (["Instructor#TeachingAssistant"], CourseRole.ASSISTANT),
        (["membership#Learner"], CourseRole.LEARNER),
        (["urn:lti:role:ims/lis/Instructor"], CourseRole.INSTRUCTOR),
        (["urn:lti:role:ims/lis/TeachingAssistant"], CourseRole.ASSISTANT),
        (["urn:lti:role:ims/lis/Instructor/TeachingAssistant"], CourseRole.ASSISTANT),
        (["urn:lti:role:ims/lis/Learner/NonCreditLearner"], CourseRole.LEARNER),
        (["urn:lti:instrole:ims/lis/Instructor"], CourseRole.NONE),
        # Another vocabulary is not ours to trust, nor is a part of a word.
        (["http://example.com/vocab/membership#Instructor"], CourseRole.NONE),
        ([f"{M}#InstructorOfNothing"], CourseRole.NONE),
        ([f"{M}#Instructor\n"], CourseRole.NONE),
    ],
)
def test_the_course_role(uris: list[str], role: CourseRole) -> None:
    assert resolve_roles(uris).course_role is role
    assert resolve_roles(reversed(uris)).course_role is role


@pytest.mark.parametrize(
    ("uri", "administrator"),
    [
        (f"{I}#Administrator", True),
        (f"{S}#Administrator", True),
        (f"{S}#SysAdmin", True),
        ("urn:lti:sysrole:ims/lis/Administrator", True),
        ("urn:lti:instrole:ims/lis/Administrator", True),
        # As Moodle writes it in rosters.
        ("http://purl.imsglobal.org/vocab/lis/v2/person#Administrator", True),
        (f"{M}#Administrator", False),
        ("Administrator", False),
        (f"{I}#Faculty", False),
        (f"{S}#User", False),
    ],
)
def test_who_administers_the_platform(uri: str, administrator: bool) -> None:
    roles = resolve_roles([uri, f"{M}#Learner"])
    assert roles.is_administrator is administrator
    assert roles.course_role is CourseRole.LEARNER or uri == f"{M}#Administrator"


def test_the_student_view_is_a_test_user() -> None:
    assert resolve_roles([f"{M}#Learner", TEST_USER]).is_test_user
    assert not resolve_roles([f"{M}#Learner", f"{S}#TestUser"]).is_test_user


def test_only_teachers_and_assistants_are_staff() -> None:
    staff = {role for role in CourseRole if role.is_staff}
    assert staff == {CourseRole.INSTRUCTOR, CourseRole.ASSISTANT}


@given(st.lists(st.text(max_size=80) | st.sampled_from([f"{I}#Instructor", f"{S}#SysAdmin", f"{M}#Mentor"])))
def test_nothing_but_a_membership_makes_staff(uris: list[str]) -> None:
    assert not resolve_roles([uri for uri in uris if "nstructor" not in uri or I in uri]).course_role.is_staff
