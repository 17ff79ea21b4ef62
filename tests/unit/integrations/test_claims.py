"""What counts as a launch, beyond what the recorded platform sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.errors import BadMessage
from integrations.lti.claims import AGS, LTI, NRPS, parse_launch
from integrations.platforms.registry import platform_for
from integrations.terms import CourseRole, Launch, MessageType

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
GENERIC = platform_for("generic")
CANVAS = platform_for("canvas")


def claims(**changes: Any) -> dict[str, Any]:
    """A small valid launch; a change to ... takes the claim away."""
    whole = {
        "iss": "https://lms.example",
        "aud": "client",
        "sub": "u1",
        f"{LTI}version": "1.3.0",
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}deployment_id": "d1",
        f"{LTI}target_link_uri": "https://tool.example/lti/launch",
        f"{LTI}roles": [f"{MEMBERSHIP}Learner"],
        f"{LTI}resource_link": {"id": "l1"},
    }
    for name, value in changes.items():
        whole[name if name in ("iss", "aud", "azp", "sub") else _full(name)] = value
    return {name: value for name, value in whole.items() if value is not ...}


def _full(name: str) -> str:
    plain = {"name", "given_name", "family_name", "email", "locale"}
    return {"ags": AGS, "nrps": NRPS}.get(name, name if name in plain else LTI + name)


def parsed(**changes: Any) -> Launch:
    return parse_launch(claims(**changes), platform=GENERIC)


def test_the_smallest_launch() -> None:
    launch = parsed()
    assert launch.message_type is MessageType.RESOURCE_LINK
    assert (launch.issuer, launch.client_id, launch.deployment_id) == ("https://lms.example", "client", "d1")
    assert (launch.name, launch.email, launch.context, launch.ags, launch.nrps_url) == (None,) * 5
    assert launch.custom == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": ...}, "missing-claim"),
        ({"version": "1.2.0"}, "wrong-version"),
        ({"version": 1.3}, "wrong-version"),
        ({"message_type": ...}, "missing-claim"),
        ({"message_type": "LtiStartProctoring"}, "unsupported-message"),
        ({"message_type": ["LtiResourceLinkRequest"]}, "unsupported-message"),
        ({"deployment_id": ...}, "missing-claim"),
        ({"deployment_id": None}, "missing-claim"),
        ({"deployment_id": 1}, "bad-claim"),
        ({"deployment_id": ""}, "bad-claim"),
        ({"deployment_id": "d" * 256}, "bad-claim"),
        ({"target_link_uri": ...}, "missing-claim"),
        ({"target_link_uri": "javascript:alert(1)"}, "bad-claim"),
        ({"target_link_uri": "/lti/launch"}, "bad-claim"),
        ({"roles": ...}, "missing-claim"),
        ({"roles": {"a": 1}}, "bad-claim"),
        ({"roles": [1]}, "bad-claim"),
        ({"resource_link": ...}, "missing-claim"),
        ({"resource_link": {}}, "missing-claim"),
        ({"resource_link": ["l1"]}, "bad-claim"),
        ({"resource_link": {"id": "l\x001"}}, "bad-claim"),
        ({"resource_link": {"id": "\ud800"}}, "bad-claim"),
        ({"context": {"title": "no id"}}, "missing-claim"),
        ({"context": "c1"}, "bad-claim"),
        ({"sub": 5}, "bad-claim"),
        ({"sub": ""}, "bad-claim"),
        ({"sub": "u" * 256}, "bad-claim"),
        ({"iss": ...}, "missing-claim"),
        ({"aud": ...}, "missing-claim"),
        ({"aud": ["client", "other"]}, "missing-claim"),
        ({"message_type": "LtiSubmissionReviewRequest"}, "missing-claim"),
        ({"message_type": "LtiSubmissionReviewRequest", "for_user": {"user_id": 5}}, "bad-claim"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(BadMessage) as refusal:
        parsed(**changes)
    assert refusal.value.code == code


def test_a_refusal_names_claims_and_no_values() -> None:
    with pytest.raises(BadMessage) as refusal:
        parsed(sub="secret\x00person", deployment_id=...)
    assert str(refusal.value) == "deployment_id, sub"


@pytest.mark.parametrize(
    ("changes", "client_id"),
    [
        ({"aud": ["client"]}, "client"),
        ({"aud": ["client", "other"], "azp": "client"}, "client"),
        ({"aud": "client", "azp": "client"}, "client"),
    ],
)
def test_which_client_is_meant(changes: dict[str, Any], client_id: str) -> None:
    assert parsed(**changes).client_id == client_id


def test_odd_decoration_is_ignored() -> None:
    launch = parsed(
        name=["李"],
        email="not an address",
        locale={"a": 1},
        launch_presentation="iframe",
        tool_platform=7,
        lis=[],
        custom=[1, 2],
        ags={"scope": "all", "lineitems": 5, "lineitem": "ftp://x.example"},
        nrps={"context_memberships_url": "not a url"},
        role_scope_mentor="u2",
    )
    assert launch == parsed()


def test_decoration_is_cut_and_cleaned() -> None:
    launch = parsed(
        name="妈\x00妈" + "长" * 300,
        context={"id": "c1", "title": " 家长学校 ", "label": "$Context.label"},
        launch_presentation={"locale": "zh-CN", "document_target": "popup", "return_url": "javascript:1"},
    )
    assert launch.name is not None
    assert launch.name.startswith("妈妈长")
    assert len(launch.name) == 255
    assert launch.context is not None
    assert (launch.context.title, launch.context.label) == ("家长学校", None)
    assert (launch.locale, launch.document_target, launch.return_url) == ("zh-CN", None, None)


def test_custom_values_become_text() -> None:
    launch = parsed(
        custom={"n": 5, "b": True, "f": 1.5, "none": None, "nested": {"a": 1}, "v": "$X.y", "t": "字"}
    )
    assert launch.custom == {"n": "5", "b": "true", "f": "1.5", "t": "字"}


def test_one_role_may_come_as_a_string() -> None:
    assert parsed(roles=f"{MEMBERSHIP}Mentor").roles.course_role is CourseRole.MENTOR


def test_a_mentors_children() -> None:
    mentor = {"roles": [f"{MEMBERSHIP}Mentor"], "role_scope_mentor": ["c1", "c2", 7, ""]}
    observees = {"custom": {"observees": "c2, c3,,c4"}}
    assert parsed(**mentor).mentor_of == ("c1", "c2")
    assert parsed(**mentor, **observees).observees == (), "no such parameter is known there"
    both = parse_launch(claims(**mentor, **observees), platform=CANVAS)
    assert (both.mentor_of, both.observees) == (("c1", "c2"), ("c2", "c3", "c4"))


def test_a_typed_list_of_children_serves_no_learner_and_no_teacher() -> None:
    for role in ("Learner", "Instructor"):
        launch = parse_launch(claims(roles=[MEMBERSHIP + role], custom={"observees": "c1"}), platform=CANVAS)
        assert launch.observees == ()


@pytest.mark.parametrize(
    ("given_name", "family_name", "name", "locale", "shown"),
    [
        ("妈妈", "李", "妈妈 李", "en", "李妈妈"),
        ("妈妈", "李", "李妈妈", "zh-CN", "李妈妈"),
        ("小明", "欧阳", None, "zh_cn", "欧阳小明"),
        ("太郎", "山田", "太郎 山田", "ja", "山田 太郎"),
        ("Ada", "Lovelace", "Ada Lovelace", "zh-CN", "Ada Lovelace"),
        ("Ada", "李", "Ada 李", "zh-CN", "Ada 李"),
        ("Ada", "Lovelace", None, None, "Ada Lovelace"),
        (None, "李", None, None, "李"),
        (None, None, "李妈妈", None, "李妈妈"),
        (None, None, None, None, None),
    ],
)
def test_names(given_name: str, family_name: str, name: str, locale: str, shown: str) -> None:
    assert GENERIC.person_name(given_name, family_name, name, locale) == shown


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_names = sorted(
    {*claims(), AGS, NRPS, "name", "email", "given_name", "azp", "locale"}
    | {
        LTI + name
        for name in ("context", "custom", "lis", "launch_presentation", "tool_platform", "for_user")
    }
    | {f"{LTI}role_scope_mentor"}
)
_inside = st.dictionaries(
    st.sampled_from(["id", "title", "user_id", "scope", "lineitem", "lineitems", "locale", "return_url"]),
    _json,
    max_size=4,
)


@given(st.dictionaries(st.sampled_from(_names), _json | _inside, max_size=8), st.booleans())
def test_any_json_is_a_launch_or_a_bad_message(odd: dict[str, Any], from_valid: bool) -> None:
    message = {**(claims() if from_valid else {}), **odd}
    try:
        launch = parse_launch(message, platform=CANVAS)
    except BadMessage as refusal:
        code = refusal.code
    else:
        code = "launch"
        for text in (launch.sub, launch.name, launch.deployment_id, *launch.custom.values()):
            assert text is None or "\x00" not in text
            (text or "").encode()
    assert code in {"launch", "missing-claim", "bad-claim", "wrong-version", "unsupported-message"}
