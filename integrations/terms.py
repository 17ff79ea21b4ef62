"""The standard's nouns as frozen dataclasses: what travels between `integrations` and the product.

Names and enum values are those of LTI 1.3 Core, AGS 2.0 and NRPS 2.0 (1EdTech).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from integrations.addresses import AddressPolicy as AddressPolicy


class MessageType(StrEnum):
    """LTI message types that this tool accepts (Core 1.3, Deep Linking 2.0, Submission Review 1.0, Data
    Privacy Launch 1.0)."""

    RESOURCE_LINK = "LtiResourceLinkRequest"
    DEEP_LINKING = "LtiDeepLinkingRequest"
    SUBMISSION_REVIEW = "LtiSubmissionReviewRequest"
    DATA_PRIVACY = "DataPrivacyLaunchRequest"


class CourseRole(StrEnum):
    """What somebody is in the launched context, decided by membership roles alone.

    NONE: no membership role at all (an anonymous visitor, or only institution and system roles).
    """

    INSTRUCTOR = "instructor"
    ASSISTANT = "assistant"
    MENTOR = "mentor"
    LEARNER = "learner"
    OTHER = "other"
    NONE = "none"

    @property
    def is_staff(self) -> bool:
        return self in (CourseRole.INSTRUCTOR, CourseRole.ASSISTANT)


@dataclass(frozen=True, slots=True)
class Roles:
    """A role list, resolved. `is_administrator` is an institution or system administrator: it grants
    nothing about courses or children."""

    course_role: CourseRole
    is_administrator: bool = False
    is_test_user: bool = False
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """The LMS course or section of a launch (claim `context`)."""

    id: str
    title: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchResourceLink:
    """The place in the LMS where the tool is embedded (claim `resource_link`)."""

    id: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class AgsEndpoint:
    """What a launch gives of Assignment and Grade Services 2.0."""

    scopes: frozenset[str]
    line_items_url: str | None = None
    line_item_url: str | None = None


@dataclass(frozen=True, slots=True)
class DeepLinkingSettings:
    """What a platform accepts as the answer to its request for content (Deep Linking 2.0, 4.4.1).

    None: the platform does not say. `data` goes back verbatim. `placement` is the platform's own name for
    the place where the answer will stand, where it tells one.
    """

    return_url: str
    accept_types: frozenset[str]
    accept_targets: tuple[str, ...] = ()
    accept_multiple: bool | None = None
    accept_line_item: bool | None = None
    auto_create: bool | None = None
    title: str | None = None
    text: str | None = None
    data: str | None = None
    placement: str | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """From when until when; None: open at that end."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContentColumn:
    """The column to make for a content item (Deep Linking 2.0, 3.2, `lineItem`; AGS 2.0, 3.2)."""

    maximum: Decimal
    label: str
    resource_id: str | None = None
    tag: str | None = None
    grades_released: bool | None = None


@dataclass(frozen=True, slots=True)
class ContentItem:
    """A link to put into an LMS course (Deep Linking 2.0, 3.2, `ltiResourceLink`).

    `new_window` asks for a window of its own. No `column`: not graded.
    """

    url: str
    title: str
    text: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)
    column: ContentColumn | None = None
    available: Period = Period()
    submission: Period = Period()
    new_window: bool = False


class AccountFormat(StrEnum):
    """In which files a platform's administrator can hand in many accounts at once."""

    USER_UPLOAD = "user-upload"
    """One table: accounts with their courses, roles and groups."""
    SIS = "sis"
    """Tables of users, enrolments and observers."""


class ContentHint(StrEnum):
    """What somebody should know before and after their choice goes to this platform."""

    CONFIRM_THERE = "confirm-there"
    """It shows a form that is filled in: nothing is kept until it is saved there."""
    PUBLISH_THERE = "publish-there"
    """What it makes is unpublished: learners see nothing, and no score arrives, until it is published."""
    NEW_MODULE = "new-module"
    """Everything goes into a new module."""
    RENAMES = "renames"
    """Name, text and points of what is being edited are overwritten."""
    DATES_STAY_HERE = "dates-stay-here"
    """It does not take over dates: they hold in the tool, and its calendar does not show them."""
    NO_COLUMN_HERE = "no-column-here"
    """This place of its pages makes links without a column."""
    POINTS_SET_THERE = "points-set-there"
    """The maximum is a setting of its own, whatever an item says."""
    REPLACES = "replaces"
    """What was chosen at this place before is replaced."""


@dataclass(frozen=True, slots=True)
class ContentRules:
    """What a platform takes as the answer to one request for content.

    `links`: whether it takes links to us at all; `multiple`: several of them; `columns`: with a gradebook
    column, whose maximum is a whole number from 1 to `most_points`.
    """

    links: bool
    multiple: bool
    columns: bool
    most_points: int
    hints: frozenset[ContentHint] = frozenset()


@dataclass(frozen=True, slots=True)
class NoticeService:
    """Where a tool asks for notices (Platform Notification Service 1.0), as a launch says it."""

    url: str
    scopes: frozenset[str]
    notice_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a platform tells outside any launch (Platform Notification Service 1.0). For a copy, `context_id`
    is the new course and `origin_context_ids` are those its content comes from."""

    id: str
    notice_type: str
    deployment_id: str
    context_id: str | None = None
    origin_context_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformInfo:
    """The claim `tool_platform`; a hint about the product, never a proof of identity."""

    family: str | None = None
    version: str | None = None
    guid: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A verified LTI message. Absent and unsubstituted (`$Name`) values are None or missing.

    `legacy_user_id` is the user's id in LTI 1.1 (claim `lti1p1`), by which older tools and some mentor lists
    know the same person. `mentor_of` are the children of the signed claim `role_scope_mentor`, `observees`
    those of a custom parameter, which whoever writes custom parameters can make up.
    """

    message_type: MessageType
    issuer: str
    client_id: str
    deployment_id: str
    target_link_uri: str
    roles: Roles
    sub: str | None = None
    name: str | None = None
    email: str | None = None
    locale: str | None = None
    sis_id: str | None = None
    context: LaunchContext | None = None
    resource_link: LaunchResourceLink | None = None
    ags: AgsEndpoint | None = None
    nrps_url: str | None = None
    return_url: str | None = None
    document_target: str | None = None
    mentor_of: tuple[str, ...] = ()
    observees: tuple[str, ...] = ()
    for_user: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)
    platform: PlatformInfo = PlatformInfo()
    deep_linking: DeepLinkingSettings | None = None
    notices: NoticeService | None = None
    legacy_user_id: str | None = None


class MemberStatus(StrEnum):
    """NRPS 2.0, 2.2. DELETED occurs only in answers that tell differences."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody on the roster of a course (NRPS 2.0, 2.2). What the platform does not tell is None.

    `user_id` is the `sub` of the same person's launches, `legacy_user_id` their id in LTI 1.1. `custom` are
    the custom parameters of their launches of the link asked about, where the platform tells them.
    """

    user_id: str
    roles: Roles
    status: MemberStatus = MemberStatus.ACTIVE
    name: str | None = None
    email: str | None = None
    sis_id: str | None = None
    legacy_user_id: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemberPage:
    """A part of a roster. `unreadable` counts entries that say nothing usable: with any, absence from the
    roster proves nothing. `differences_url` will tell what changed since this answer, where it is offered."""

    members: tuple[Member, ...]
    next_url: str | None = None
    differences_url: str | None = None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class PlatformConfiguration:
    """What a platform says of itself before a tool registers (Dynamic Registration 1.0, 3.4).

    `scopes` and `messages` (placements by message type) are empty where it lists none. `organisation` is the
    school's or account's name, where the platform tells it.
    """

    issuer: str
    auth_url: str
    token_url: str
    jwks_url: str
    registration_url: str
    scopes: frozenset[str] = frozenset()
    messages: Mapping[str, frozenset[str]] = field(default_factory=dict)
    authorization_server: str | None = None
    family: str | None = None
    version: str | None = None
    organisation: str | None = None


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """What a platform is told about this tool. Addresses are absolute.

    `label` and `picker_label` are the words of a link that opens the tool, and of one that opens its picker.
    """

    name: str
    label: str
    picker_label: str
    description: str
    home_url: str
    login_url: str
    launch_url: str
    jwks_url: str
    logo_url: str


@dataclass(frozen=True, slots=True)
class PlacementOffer:
    """A place of the platform's pages where the tool can stand, by the platform's own name."""

    name: str
    message_type: MessageType
    preselected: bool


@dataclass(frozen=True, slots=True)
class RegistrationWishes:
    """What an administrator chose before registering: whether names and e-mail addresses are asked for, and
    which places."""

    with_names: bool
    placements: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RegisteredTool:
    """How a platform knows us from now on. No deployment id: the first launch brings it."""

    client_id: str
    deployment_id: str | None = None


class ActivityProgress(StrEnum):
    """AGS 2.0, 3.4.7."""

    INITIALIZED = "Initialized"
    STARTED = "Started"
    IN_PROGRESS = "InProgress"
    SUBMITTED = "Submitted"
    COMPLETED = "Completed"


class GradingProgress(StrEnum):
    """AGS 2.0, 3.4.8."""

    NOT_READY = "NotReady"
    FAILED = "Failed"
    PENDING = "Pending"
    PENDING_MANUAL = "PendingManual"
    FULLY_GRADED = "FullyGraded"


@dataclass(frozen=True, slots=True)
class Score:
    """What a gradebook cell should show. `given` ≤ `maximum`, both ≥ 0 with at most two decimals."""

    user_id: str
    given: Decimal
    maximum: Decimal
    activity_progress: ActivityProgress
    grading_progress: GradingProgress
    submitted_at: datetime
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class SentScore:
    """What we know the platform has: the last delivery of the same cell that it accepted."""

    timestamp: datetime
    given: Decimal
    submitted_at: datetime
    comment: str | None = None
    final: bool = True
    """Whether it was a final grade (FullyGraded)."""


@dataclass(frozen=True, slots=True)
class LineItem:
    """A gradebook column (AGS 2.0, 3.2). `url` is its id; None before it was made. `ends_at`: until when
    work is in time."""

    label: str
    maximum: Decimal
    url: str | None = None
    resource_link_id: str | None = None
    resource_id: str | None = None
    tag: str | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What the platform's gradebook holds for a person (AGS 2.0, 3.3)."""

    user_id: str
    score: Decimal | None
    maximum: Decimal | None
    comment: str | None = None


class Outcome(StrEnum):
    """What a platform's answer to a score means for us, each with one next step."""

    SENT = "sent"
    RETRY = "retry"
    FRESH_TIMESTAMP = "fresh-timestamp"
    WAITING_FOR_PUBLISH = "waiting-for-publish"
    NOT_GRADABLE = "not-gradable"
    CONTEXT_CLOSED = "context-closed"
    OVERRIDDEN = "overridden"
    LOCKED = "locked"
    REAUTHENTICATE = "reauthenticate"
    MISCONFIGURED = "misconfigured"
    COLUMN_GONE = "column-gone"
    SWALLOWED = "swallowed"
    """Never an answer: read back, the column shows none of the scores that it took."""


@dataclass(frozen=True, slots=True)
class ScoreAnswer:
    """The outcome of one delivery. `retry_after` is in seconds. `detail` is a short text for staff
    without names, user ids or tokens (the platform's own words where they hold none)."""

    outcome: Outcome
    status: int | None = None
    retry_after: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of a platform for one registration."""

    issuer: str
    auth_url: str
    token_url: str
    jwks_url: str
    token_audience: str
    frame_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceAccess:
    """All that is needed to ask a platform for a service token, without a database row.

    `private_key` is a loaded RSA key object (loading a PEM costs 30 ms, signing 0.3 ms) and `kid` its id.
    `expired_statuses` are the HTTP statuses by which this platform says that a token is no longer good
    (`Platform.expired_statuses`).
    """

    registration_key: str
    client_id: str
    token_url: str
    token_audience: str
    kid: str
    private_key: object
    policy: AddressPolicy = AddressPolicy()
    expired_statuses: frozenset[int] = frozenset({401})


class SharedCache(Protocol):
    """What `integrations` needs of a cache that several processes see. Values are text; `timeout` is in
    seconds. A cache that loses values costs requests, nothing else."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any, timeout: int | None = None) -> Any: ...

    def delete(self, key: str) -> Any: ...
