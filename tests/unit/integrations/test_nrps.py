"""Rosters as platforms page, misspell and break them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from integrations.errors import PlatformRejected, PlatformUnavailable
from integrations.http import PlatformHttp
from integrations.lti import nrps
from integrations.lti.nrps import MEMBERS_TYPE, SCOPE_MEMBERSHIP, NrpsClient, first_page
from integrations.lti.tokens import TokenSource
from integrations.platforms.registry import KINDS, platform_for
from integrations.terms import CourseRole, Member, MemberPage, MemberStatus
from tests.unit.integrations.network import Clock, MemoryCache, Network, Reply, access_to

SITE = "https://lms.example"
ROSTER = f"{SITE}/learn/api/v1/lti/courses/_4_1/Memberships"
ACCESS = access_to(SITE)
GENERIC = platform_for("generic")
LEARNER = {"user_id": "u1", "roles": ["Learner"]}
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"


class Lms:
    """Answers each address with what `pages` says; its token is good until `refuse` times are used up."""

    def __init__(self, pages: dict[str, Reply] | Callable[[str], Reply], refuse: int = 0) -> None:
        self.pages = pages
        self.refuse = refuse
        self.scopes: list[str] = []
        self.network = Network(self.answer)
        http = PlatformHttp(adapter=self.network)
        self.client = NrpsClient(http, TokenSource(http, MemoryCache(), Clock()))

    def answer(self, request: requests.PreparedRequest) -> Reply:
        if str(request.url).endswith("/token"):
            return Reply(200, {"access_token": "t", "expires_in": 3600})
        assert request.headers["Accept"] == MEMBERS_TYPE
        if self.refuse:
            self.refuse -= 1
            return Reply(401)
        url = str(request.url)
        return self.pages(url) if callable(self.pages) else self.pages[url]

    def read(self, url: str = ROSTER) -> list[MemberPage]:
        return list(self.client.pages(ACCESS, url, GENERIC))

    @property
    def asked(self) -> list[str]:
        return [url for url in self.network.urls if not url.endswith("/token")]


def page(*members: Any, link: str = "") -> Reply:
    headers = {"Link": link} if link else {}
    return Reply(200, {"id": ROSTER, "context": {"id": "4"}, "members": list(members)}, headers)


def only(*members: Any) -> MemberPage:
    (read,) = Lms({ROSTER: page(*members)}).read()
    return read


@pytest.mark.parametrize(
    "link",
    [
        '<{next}>; rel="next"',
        "<{next}>; rel=next",
        "<{next}>; rel=\u00e2\u0080\u009cnext\u00e2\u0080\u009d",
        '<{first}>; rel="first", <{next}>; title="x"; rel="next last"',
        '<{relative}>; rel="next"',
        '<?page=2&amp;X=Y>; rel="next"',
    ],
)
def test_every_style_of_link_leads_to_the_next_page_in_its_own_letters(link: str) -> None:
    following = f"{ROSTER}?page=2&X=Y"
    header = link.format(
        next=following, first=ROSTER, relative="/learn/api/v1/lti/courses/_4_1/Memberships?page=2&X=Y"
    )
    lms = Lms({ROSTER: page(LEARNER, link=header), following: page({**LEARNER, "user_id": "u2"})})
    assert [one.user_id for read in lms.read() for one in read.members] == ["u1", "u2"]
    assert lms.asked == [ROSTER, following]


def test_pages_are_read_only_when_they_are_asked_for() -> None:
    lms = Lms(lambda url: page(LEARNER, link=f'<{url}x>; rel="next"'))
    pages = lms.client.pages(ACCESS, ROSTER, GENERIC)
    next(pages)
    next(pages)
    assert len(lms.asked) == 2


def test_a_circle_of_pages_ends() -> None:
    lms = Lms(
        {
            ROSTER: page(LEARNER, link=f'<{ROSTER}?2>; rel="next"'),
            f"{ROSTER}?2": page(LEARNER, link=f'<{ROSTER}>; rel="next"'),
        }
    )
    with pytest.raises(PlatformUnavailable, match="too-many-pages"):
        lms.read()
    assert len(lms.asked) == 2


def test_pages_without_end_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nrps, "MOST_PAGES", 10)
    lms = Lms(lambda url: page(LEARNER, link=f'<{url}x>; rel="next"'))
    with pytest.raises(PlatformUnavailable, match="too-many-pages"):
        list(lms.client.pages(ACCESS, ROSTER, GENERIC, already=4))
    assert len(lms.asked) == 6, "those that were read before count"


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/m?2", "http://lms.example/m?2", "https://lms.example:444/m", "//evil.example/m"],
)
def test_a_token_goes_nowhere_else(target: str) -> None:
    lms = Lms({ROSTER: page(LEARNER, link=f'<{target}>; rel="next"')})
    with pytest.raises(PlatformUnavailable, match="foreign-next-page"):
        lms.read()
    assert lms.asked == [ROSTER]


def test_differences_are_offered_and_read_like_a_roster() -> None:
    changes = f"{ROSTER}?since=623698163"
    lms = Lms(
        {
            ROSTER: page(LEARNER, link=f'<{changes}>; rel="differences", <{ROSTER}?2>; rel="next"'),
            f"{ROSTER}?2": page(),
            changes: page({**LEARNER, "status": "Deleted"}),
        }
    )
    first, _second = lms.read()
    assert first.differences_url == changes
    (read,) = lms.read(changes)
    assert read.members[0].status is MemberStatus.DELETED


def test_differences_elsewhere_are_no_reason_to_lose_the_roster() -> None:
    (read,) = Lms({ROSTER: page(LEARNER, link='<https://evil.example/>; rel="differences"')}).read()
    assert (read.differences_url, len(read.members)) == (None, 1)


@pytest.mark.parametrize(
    ("roles", "course_role"),
    [
        (["Learner"], CourseRole.LEARNER),
        ([MEMBERSHIP + "Learner"], CourseRole.LEARNER),
        (["urn:lti:role:ims/lis/Learner"], CourseRole.LEARNER),
        ("Instructor", CourseRole.INSTRUCTOR),
        ([MEMBERSHIP + "Mentor"], CourseRole.MENTOR),
        (
            ["Instructor", "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"],
            CourseRole.INSTRUCTOR,
        ),
        (["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"], CourseRole.NONE),
        (["Dean"], CourseRole.NONE),
    ],
)
def test_roles_in_every_spelling(roles: Any, course_role: CourseRole) -> None:
    (member,) = only({"user_id": "u1", "roles": roles}).members
    assert member.roles.course_role is course_role


def test_all_that_a_member_may_say() -> None:
    (member,) = only(
        {
            "status": "Inactive",
            "user_id": "u1",
            "roles": ["Learner"],
            "name": "妈妈 李",
            "given_name": "妈妈",
            "family_name": "李",
            "email": "mama@example.com",
            "lis_person_sourcedid": "SIS-1",
            "lti11_legacy_user_id": "668321221-2879",
            "picture": "https://lms.example/p.png",
            "message": [
                {"https://purl.imsglobal.org/spec/lti/claim/message_type": "LtiResourceLinkRequest"},
                {
                    "https://purl.imsglobal.org/spec/lti/claim/custom": {
                        "country": "CN",
                        "n": 1,
                        "v": "$User.id",
                    }
                },
            ],
        }
    ).members
    assert member == Member(
        "u1",
        member.roles,
        MemberStatus.INACTIVE,
        "李妈妈",
        "mama@example.com",
        "SIS-1",
        "668321221-2879",
        {"country": "CN", "n": "1"},
    )


@pytest.mark.parametrize("status", [None, "active", " Active ", "ACTIVE"])
def test_who_is_not_said_to_be_gone_is_there(status: str | None) -> None:
    assert only({**LEARNER, "status": status}).members[0].status is MemberStatus.ACTIVE


def test_who_is_gone_needs_no_roles() -> None:
    assert only({"user_id": "u1", "status": "Deleted"}).members[0].status is MemberStatus.DELETED


@pytest.mark.parametrize(
    "entry",
    [
        {"roles": ["Learner"]},
        {"user_id": "", "roles": ["Learner"]},
        {"user_id": 7, "roles": ["Learner"]},
        {"user_id": "a\x00b", "roles": ["Learner"]},
        {"user_id": "u", "roles": []},
        {"user_id": "u"},
        {"user_id": "u", "roles": {"a": 1}},
        {"user_id": "u", "roles": ["Learner"], "status": "Suspended"},
        {"user_id": "u", "roles": ["Learner"], "status": 1},
        "u1",
        None,
        [],
    ],
)
def test_an_odd_entry_is_counted_and_loses_nobody_else(entry: Any) -> None:
    read = only(entry, LEARNER)
    assert [one.user_id for one in read.members] == ["u1"]
    assert read.unreadable == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["members", "user_id", "roles", "status", "message", "name"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_platform_answers_is_read_or_named(body: Any) -> None:
    pages, codes = [], ["broken-answer"]
    try:
        pages = Lms({ROSTER: Reply(200, body if isinstance(body, dict | list) else repr(body))}).read()
    except PlatformUnavailable as error:
        codes = [error.code]
    assert codes == ["broken-answer"]
    assert all(isinstance(one, Member) for read in pages for one in read.members)


@pytest.mark.parametrize("body", [b"<html>", [], {"members": None}, {"members": {"0": LEARNER}}, {}])
def test_what_is_no_roster_is_no_empty_roster(body: Any) -> None:
    with pytest.raises(PlatformUnavailable, match="not|no list"):
        Lms({ROSTER: Reply(200, body)}).read()


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, PlatformRejected, "token-refused"),
        (403, PlatformRejected, "forbidden"),
        (404, PlatformRejected, "not-found"),
        (400, PlatformRejected, "refused"),
        (429, PlatformUnavailable, "platform-busy"),
        (503, PlatformUnavailable, "platform-busy"),
    ],
)
def test_each_refusal_has_a_name(status: int, error: type[Exception], code: str) -> None:
    with pytest.raises(error, match=code):
        Lms({ROSTER: Reply(status)}).read()


def test_a_refused_token_is_renewed_once() -> None:
    lms = Lms({ROSTER: page(LEARNER)}, refuse=1)
    assert len(lms.read()) == 1
    tokens = [request for request in lms.network.requests if str(request.url).endswith("/token")]
    assert len(tokens) == 2
    assert "contextmembership.readonly" in str(tokens[0].body)
    assert SCOPE_MEMBERSHIP.endswith("contextmembership.readonly")


def test_a_body_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nrps, "MOST_BYTES", 1000)
    with pytest.raises(PlatformUnavailable, match="too-large"):
        Lms({ROSTER: page(*[LEARNER] * 100)}).read()


@pytest.mark.parametrize("kind", KINDS)
def test_reading_begins_with_a_page_that_the_platform_can_give(kind: str) -> None:
    platform = platform_for(kind)
    assert 1 <= platform.roster_page_size <= {"canvas": 50, "moodle": 200}.get(kind, 100)
    url = first_page(
        "https://lms.example/m?a=1&b=%E4%B8%AD", platform, rlid="l 1", role=MEMBERSHIP + "Learner"
    )
    assert url.startswith("https://lms.example/m?a=1&b=%E4%B8%AD&limit=")
    assert "&rlid=l+1&role=http%3A%2F%2Fpurl.imsglobal.org" in url
