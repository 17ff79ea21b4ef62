"""Every recorded launch, read as the person, the role, the place and the abilities that it stands for.

The expectations come from how the lab was set up (who is enrolled as what, which link has which column), not
from the messages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from integrations.errors import BadMessage
from integrations.lti.claims import parse_launch
from integrations.lti.jwks import JwksCache
from integrations.lti.tokens import verify_id_token
from integrations.platforms.registry import family_hint, platform_for
from integrations.terms import CourseRole, Launch, MessageType
from tests.contract.captures import FOLDER, capture, exchanges, launch_claims

SITE = "http://127.0.0.1:8100"
SERVICES = f"{SITE}/mod/lti/services.php"
ALL_SCOPES = {"lineitem", "lineitem.readonly", "result.readonly", "score"}
READ_AND_SCORE = ALL_SCOPES - {"lineitem"}


@dataclass(frozen=True)
class Expected:
    """What a launch stands for. `column` is the grade item's number, None for a link without one."""

    sub: str
    name: str | None
    account: str | None
    role: CourseRole = CourseRole.LEARNER
    administrator: bool = False
    sis_id: str | None = None
    link: tuple[str, str] = ("1", "亲子沟通微课")
    column: int | None = 2
    tool_type: int = 1
    scopes: frozenset[str] = frozenset(ALL_SCOPES)
    roster: bool = True
    target: str = "iframe"
    review_of: str | None = None


PARENT = Expected("5", "李妈妈", "parent1", sis_id="SIS-parent1")
TEACHER = Expected("3", "王老师", "teacher1", CourseRole.INSTRUCTOR, sis_id="SIS-teacher1")
BANK = replace(PARENT, link=("2", "家长学分银行"), column=3)
CROSS_SITE = replace(
    PARENT,
    name=None,
    account=None,
    link=("3", "跨站工具"),
    column=12,
    tool_type=2,
    scopes=frozenset(READ_AND_SCORE),
    roster=False,
)

LAUNCHES = {
    "03-launch-teacher": TEACHER,
    "04-launch-tutor-noneditingteacher": Expected(
        "4", "赵助教", "tutor1", CourseRole.INSTRUCTOR, sis_id="SIS-tutor1"
    ),
    "05-launch-parent1-student-role": PARENT,
    "06-launch-parent4-custom-course-role": Expected("8", "刘爷爷", "parent4", sis_id="SIS-parent4"),
    "08-launch-student1": Expected("9", "李小明", "student1", sis_id="SIS-student1"),
    "09-launch-admin": Expected("2", "Admin User", "admin", CourseRole.INSTRUCTOR, administrator=True),
    "10-launch-parent2-link2": Expected(
        "6", "张爸爸", "parent2", sis_id="SIS-parent2", link=BANK.link, column=3
    ),
    "11-submission-review": replace(TEACHER, review_of="5"),
    # The platform signs it although the parent may not see user 6: `for_user` is a wish, not a right.
    "12-submission-review-forged-by-parent": replace(PARENT, review_of="6"),
    "13-container-embed-no-blocks": BANK,
    "13-container-embed": BANK,
    "13-container-existing-window": replace(BANK, target="frame"),
    "13-container-new-window": replace(BANK, target="window"),
    "14-mobile-android": replace(BANK, target="frame"),
    "14-mobile-iphone": replace(BANK, target="frame"),
    "14-mobile-wechat-android": replace(BANK, target="frame"),
    "15-cookies-xsite-iframe-3pc-phaseout": CROSS_SITE,
    "15-cookies-xsite-iframe-default": CROSS_SITE,
    "15-cookies-xsite-iframe-partitioned-cookies": CROSS_SITE,
    "16-privacy-acceptgrades-always": PARENT,
    # "Accept grades: never" switches off LTI 1.1 grades only.
    "16-privacy-acceptgrades-never": PARENT,
    "16-privacy-all-on": PARENT,
    "16-privacy-gradesync-0": replace(PARENT, column=None, scopes=frozenset()),
    "16-privacy-gradesync-1": replace(PARENT, scopes=frozenset(READ_AND_SCORE)),
    "16-privacy-no-email": replace(PARENT, account=None),
    "16-privacy-no-name": replace(PARENT, name=None),
    "16-privacy-no-name-no-email": replace(PARENT, name=None, account=None),
    "16-privacy-nrps-0": replace(PARENT, roster=False),
    "17-launch-link-without-grades": replace(PARENT, link=("4", "无成绩链接"), column=None),
    "30-launch-link-with-two-line-items": replace(PARENT, column=None),
}
WITHOUT_MESSAGE = {
    "07-launch-parent3-usercontext-only",
    "15-cookies-xsite-iframe-pylti-check-cookies",
    "18-launch-anonymous",
    "19-auth-error-login_hint-of-another-user",
    "19-auth-error-prompt-login",
    "19-auth-error-response_mode-query",
    "19-auth-error-scope-openid-profile",
    "19-auth-error-unregistered-redirect_uri",
    "19-auth-replay",
}


def launch(name: str) -> Launch:
    return parse_launch(launch_claims(name), platform=platform_for("moodle"))


def test_no_launch_capture_is_forgotten() -> None:
    others = ("01", "02", "2")  # registration, requests for content, services: in files of their own
    names = {path.stem for path in FOLDER.glob("*.json") if not path.stem.startswith(others)}
    assert names == set(LAUNCHES) | WITHOUT_MESSAGE


@pytest.mark.parametrize("name", LAUNCHES)
def test_who_somebody_is(name: str) -> None:
    expected, got = LAUNCHES[name], launch(name)
    email = f"{expected.account}@example.com" if expected.account else None
    assert (got.sub, got.name, got.email, got.sis_id) == (
        expected.sub,
        expected.name,
        email,
        expected.sis_id,
    )
    assert got.roles.course_role is expected.role
    assert got.roles.is_administrator is expected.administrator
    assert not got.roles.is_test_user
    assert got.mentor_of == ()


@pytest.mark.parametrize("name", LAUNCHES)
def test_where_it_was_launched(name: str) -> None:
    expected, got = LAUNCHES[name], launch(name)
    assert got.issuer == SITE
    assert got.deployment_id == str(expected.tool_type)
    assert got.client_id == {1: "TeDKigL2RtgDhoE", 2: "sWdDHnz2V8On0nP"}[expected.tool_type]
    assert got.context is not None
    assert (got.context.id, got.context.title, got.context.label) == ("2", "家长学校", "PARENT101")
    assert got.resource_link is not None
    assert (got.resource_link.id, got.resource_link.title) == expected.link
    assert (got.locale, got.document_target) == ("en", expected.target)
    assert str(got.return_url).startswith(f"{SITE}/mod/lti/return.php?course=2&")


@pytest.mark.parametrize("name", LAUNCHES)
def test_what_the_tool_may_do(name: str) -> None:
    expected, got = LAUNCHES[name], launch(name)
    roster = f"{SERVICES}/CourseSection/2/bindings/{expected.tool_type}/memberships"
    assert got.nrps_url == (roster if expected.roster else None)
    if not expected.scopes:
        assert got.ags is None
        return
    assert got.ags is not None
    assert {scope.rsplit("/", 1)[1] for scope in got.ags.scopes} == expected.scopes
    assert got.ags.line_items_url == f"{SERVICES}/2/lineitems?type_id={expected.tool_type}"
    column = f"{SERVICES}/2/lineitems/{expected.column}/lineitem?type_id={expected.tool_type}"
    assert got.ags.line_item_url == (column if expected.column else None)


@pytest.mark.parametrize("name", LAUNCHES)
def test_what_kind_of_message(name: str) -> None:
    expected, got = LAUNCHES[name], launch(name)
    review = expected.review_of is not None
    assert got.message_type is (MessageType.SUBMISSION_REVIEW if review else MessageType.RESOURCE_LINK)
    assert got.for_user == expected.review_of
    tool = "localhost:8000" if expected.tool_type == 2 else "127.0.0.1:8200"
    assert got.target_link_uri == f"http://{tool}/launch" + ("?sub=1" if review else "")


def test_a_parent_and_a_pupil_look_the_same() -> None:
    parent, pupil = launch("05-launch-parent1-student-role"), launch("08-launch-student1")
    assert parent.roles == pupil.roles


def test_the_platform_says_which_product_it_is() -> None:
    info = launch("03-launch-teacher").platform
    assert (info.version, info.name) == ("2024100705.01", "labmoodle")
    assert family_hint(info.family) == "moodle"


def test_unsubstituted_and_hidden_custom_values_are_absent() -> None:
    custom = launch("16-privacy-no-name-no-email").custom
    assert custom["v_person_sourcedid"] == "SIS-parent1"
    assert custom["v_mixed"] == "pre-$User.id"
    assert custom["v_phone"] == ""
    absent = {"v_unsupported", "v_actualuser", "v_tc_profile", "v_rl_sub_end", "v_name_full", "v_email"}
    assert not absent & set(custom)


def test_a_launch_without_a_user_is_anonymous() -> None:
    claims = launch_claims("16-privacy-no-name-no-email")
    del claims["sub"]
    got = parse_launch(claims, platform=platform_for("moodle"))
    assert (got.sub, got.name, got.email) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("19-auth-error-login_hint-of-another-user", "access_denied"),
        ("19-auth-error-prompt-login", "invalid_request"),
        ("19-auth-error-response_mode-query", "invalid_request"),
    ],
)
def test_an_error_post_is_no_launch(
    name: str, error: str, unasked_jwks: JwksCache, verify_settings: dict[str, object]
) -> None:
    (form,) = [one["form"] for one in exchanges(name) if "form" in one]
    assert form["error"] == error
    with pytest.raises(BadMessage) as refusal:
        verify_id_token(form.get("id_token", ""), jwks=unasked_jwks, **verify_settings)  # type: ignore[arg-type]
    assert refusal.value.code == "malformed-token"


def test_a_visitor_without_a_session_at_the_platform_gets_no_further_than_login() -> None:
    forms = [one["form"] for one in exchanges("18-launch-anonymous") if "form" in one]
    assert [form["login_hint"] for form in forms] == ["0"]
    assert "/mod/lti/auth.php?" in capture("18-launch-anonymous")["ends_at"]
