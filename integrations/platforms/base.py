"""The specification of a quirk: everything that differs between LMSs is a method of `Platform`.

The defaults are the standard's. A subclass overrides a method only where the LMS deviates, and names the
page, source file or capture that proves it. Nothing outside this package asks which LMS it talks to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar
from urllib.parse import urlsplit

from integrations.http import HttpAnswer, rate_pause, retry_after
from integrations.terms import (
    AccountFormat,
    ContentItem,
    ContentRules,
    DeepLinkingSettings,
    Endpoints,
    GradingProgress,
    MessageType,
    Outcome,
    PlacementOffer,
    PlatformConfiguration,
    RegistrationWishes,
    Score,
    ScoreAnswer,
    SentScore,
    ToolDescription,
)

# Han, kana and hangul: scripts in which the family name comes first.
_FAMILY_FIRST = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff\uac00-\ud7af\U00020000-\U0002ffff]+")
_BUSY = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})
RESOURCE_LINK = "ltiResourceLink"
CONTENT_AREA = "ContentArea"
_LONGEST_TITLE = 255


class EndpointsNeeded(ValueError):
    """The URL alone does not tell these addresses; `missing` names the overrides to give, in order."""

    def __init__(self, missing: Iterable[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(f"needed: {', '.join(self.missing)}")


class Platform:
    """An LMS as LTI 1.3, AGS 2.0 and NRPS 2.0 describe it."""

    kind: ClassVar[str] = "generic"
    title: ClassVar[str] = "LTI 1.3"

    #: Calls that one registration may have in flight at a time.
    max_parallel: ClassVar[int] = 2
    #: Statuses by which an outdated service token is refused.
    expired_statuses: ClassVar[frozenset[int]] = frozenset({401})
    #: The key of the custom parameter that lists a mentor's children, if the platform has such a variable.
    mentor_custom_key: ClassVar[str | None] = None
    #: Whether the ids in `role_scope_mentor` are always those users' `sub` (Core 1.3, "Role-scope mentor
    #: claims": user id values). Where they may be ids of LTI 1.1, an unknown one waits until somebody has it.
    mentor_ids_are_subs: ClassVar[bool] = True
    #: The claim by which a launch says from which place of the LMS's pages it came, if the platform has one.
    placement_claim: ClassVar[str] = ""
    #: Unrelated installations may carry the same issuer: the key set URL must tell them apart.
    issuer_is_shared: ClassVar[bool] = False
    #: Whether the tool makes a column by itself for a link that has none. Where a teacher decides about
    #: columns (a checkbox of the link), a missing one means "no grades wanted".
    creates_line_items: ClassVar[bool] = False
    #: Whether a column that the tool makes carries the resource link's id.
    line_item_with_resource_link: ClassVar[bool] = True
    #: In which files its administrator hands in accounts; None where we know of none.
    account_format: ClassVar[AccountFormat | None] = None
    #: How many members of a roster to ask for at a time. Without `limit` some platforms send all at once, and
    #: one refuses (Open edX: `above_response_limit`); none of those seen refuses this many (Schoology: at most 100).
    roster_page_size: ClassVar[int] = 100
    #: How many results to ask for at a time; None: `limit` is not sent, and the platform pages or does not.
    results_page_size: ClassVar[int | None] = None
    #: How many decimals of a point its results keep. None: not known, it may show whole points only.
    result_decimals: ClassVar[int | None] = None
    #: Whether it is known to bring scores to the scale of a column's maximum, as it must (AGS 2.0, 3.4.5), and
    #: not merely to cut off what is above it.
    scales_scores: ClassVar[bool] = False
    #: Whether a grade that a teacher gave by hand stays, whatever score is accepted afterwards.
    keeps_teacher_grades: ClassVar[bool] = False
    #: (status, words in lower case, outcome): the first row whose words are in the body decides.
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = ()

    # -- registration ------------------------------------------------------------------------------

    def endpoints(
        self,
        url: str,
        *,
        issuer: str | None = None,
        auth_url: str | None = None,
        token_url: str | None = None,
        jwks_url: str | None = None,
        token_audience: str | None = None,
    ) -> Endpoints:
        """The addresses of the platform at `url`; what is given explicitly wins.

        Raises EndpointsNeeded when the URL is not enough, ValueError when an address is no http(s) URL.
        """
        known = self.known_endpoints(base_url(url))
        given = {"issuer": issuer, "auth_url": auth_url, "token_url": token_url, "jwks_url": jwks_url}
        chosen = {name: value or known.get(name, "") for name, value in given.items()}
        missing = [name for name, value in chosen.items() if not value]
        if missing:
            raise EndpointsNeeded(missing)
        for name in ("auth_url", "token_url", "jwks_url"):
            base_url(chosen[name])
        return Endpoints(
            **chosen,
            # RFC 7523, 3: the token address itself, unless the platform has another name for it.
            token_audience=token_audience or known.get("token_audience") or chosen["token_url"],
            frame_origins=(origin(url),),
        )

    def known_endpoints(self, base: str) -> dict[str, str]:
        """The fields of Endpoints that follow from the platform's URL (no trailing slash)."""
        return {}

    # -- people ------------------------------------------------------------------------------------

    def person_name(
        self, given: str | None, family: str | None, name: str | None, locale: str | None
    ) -> str | None:
        """The name to show. Platforms with an English surface send "妈妈 李" for 李妈妈 (captures: a Moodle
        launch, `name`), so a Chinese name is put together from its parts, family name first."""
        if given and family and _FAMILY_FIRST.fullmatch(given) and _FAMILY_FIRST.fullmatch(family):
            if name and " " not in name.strip():
                return name.strip()
            return f"{family}{' ' if (locale or '').startswith('ja') else ''}{given}"
        return name or " ".join(part for part in (given, family) if part) or None

    # -- scores ------------------------------------------------------------------------------------

    def may_send(self, score: Score, sent: SentScore | None) -> bool:
        """Whether sending this score does what it says; if not, it waits for its next change.

        Nothing less than a final grade follows a final one: some platforms would erase it."""
        return sent is None or not sent.final or score.grading_progress is GradingProgress.FULLY_GRADED

    def score_body(
        self, score: Score, *, sent: SentScore | None, now: datetime, keep_teacher_grade: bool = False
    ) -> dict[str, Any]:
        """The JSON of a score POST (AGS 2.0, 3.4). Its "timestamp" is what SentScore.timestamp records.

        `keep_teacher_grade` asks the platform not to overwrite an existing grade, where it can.
        """
        body: dict[str, Any] = {
            "userId": score.user_id,
            "timestamp": timestamp_text(self.timestamp(sent, now)),
            "scoreGiven": json_number(score.given),
            "scoreMaximum": json_number(score.maximum),
            "activityProgress": score.activity_progress.value,
            "gradingProgress": score.grading_progress.value,
        }
        comment = self.comment(score, sent)
        if comment:
            body["comment"] = comment
        return body

    def timestamp(self, sent: SentScore | None, now: datetime) -> datetime:
        """The time of sending, later than the last accepted one whatever our clock does (AGS 2.0, 3.4.3)."""
        if sent is None:
            return now
        return max(now, sent.timestamp + timedelta(milliseconds=1))

    def comment(self, score: Score, sent: SentScore | None) -> str | None:
        """The whole comment each time: most platforms replace it, and erase it when it is left out."""
        return score.comment

    def classify(self, answer: HttpAnswer) -> ScoreAnswer:
        """What the answer to a score POST means for us."""
        if 200 <= answer.status < 300:
            if _is_page(answer):
                return ScoreAnswer(Outcome.RETRY, answer.status, detail="a page instead of an answer")
            return ScoreAnswer(Outcome.SENT, answer.status)
        outcome, detail = self._by_words(answer) or (self.by_status(answer), f"HTTP {answer.status}")
        wait = retry_after(answer) if outcome is Outcome.RETRY else None
        return ScoreAnswer(outcome, answer.status, wait, detail)

    def pause_after(self, answer: HttpAnswer) -> float:
        """For how many seconds this platform wants no further calls, whatever the answer was (RFC 9110,
        10.2.3, and the rate limit headers); 0.0: it does not say."""
        return max(retry_after(answer) or 0.0, rate_pause(answer))

    def _by_words(self, answer: HttpAnswer) -> tuple[Outcome, str] | None:
        text = answer.text.lower()
        for status, words, outcome in self.words:
            if status == answer.status and words in text:
                return outcome, words
        return None

    def by_status(self, answer: HttpAnswer) -> Outcome:
        """The meaning of a status alone. An unexplained 4xx is ours to repair, so nothing repeats it."""
        status = answer.status
        if status in _BUSY or status >= 500 or is_throttled(answer):
            return Outcome.RETRY
        if status == 401:
            return Outcome.REAUTHENTICATE
        if status in _GONE:
            return Outcome.COLUMN_GONE
        if status == 409:
            return Outcome.FRESH_TIMESTAMP
        return Outcome.MISCONFIGURED

    # -- columns -----------------------------------------------------------------------------------

    def column_maximum(self, wanted: Decimal) -> Decimal:
        """The maximum to ask for when a column of `wanted` points is made (AGS 2.0, 3.2.10: above zero)."""
        if not wanted.is_finite() or wanted <= 0:
            raise ValueError("a column's maximum must be above zero")
        return wanted

    # -- connection check --------------------------------------------------------------------------

    #: The place where an administrator of this LMS allows services and personal data; pages explain it.
    admin_place: ClassVar[str] = "tool-settings"

    def explain_token_failure(self, answer: HttpAnswer) -> str | None:
        """Why the token endpoint refused, where this LMS tells more than its status and the words of RFC
        6749: `keys-fetch-blocked` (it may not fetch our key set), `keys-fetch-failed` (it tried in vain),
        `audience-refused` or `signature-refused`. None: nothing more is known."""
        return None

    # -- deep linking ------------------------------------------------------------------------------

    #: Whether the return address takes the same answer once more, for instance after a lost connection.
    answer_is_repeatable: ClassVar[bool] = True
    #: Whether an answer without items leaves everything there as it was.
    takes_empty_answer: ClassVar[bool] = True
    #: The highest maximum that a deep-linked column may have.
    most_points: ClassVar[int] = 1000

    def content_rules(self, said: DeepLinkingSettings) -> ContentRules:
        """What may answer this request (Deep Linking 2.0, 4.4.1).

        A platform that does not say that it takes several items gets one; one that does not speak of columns
        may be offered them ("no assumption can be made").
        """
        return ContentRules(
            links=RESOURCE_LINK in said.accept_types,
            multiple=said.accept_multiple is True,
            columns=said.accept_line_item is not False,
            most_points=self.most_points,
        )

    def content_item(self, item: ContentItem) -> ContentItem:
        """The item in the form that this platform keeps, without what it drops or stumbles over."""
        column = item.column and replace(item.column, maximum=self.column_maximum(item.column.maximum))
        return replace(item, title=item.title[:_LONGEST_TITLE], column=column)

    def answer_claims(self, collection: str) -> dict[str, Any]:
        """Claims of the platform's own in the answer; `collection` is a name for all items together."""
        return {}

    # -- dynamic registration ----------------------------------------------------------------------

    #: Where its administrator enters our address ("": it has no dynamic registration), and what is to be done
    #: there afterwards, in order: names that pages put into words.
    registration_place: ClassVar[str] = "registration-form"
    steps_after_registration: ClassVar[tuple[str, ...]] = ("switch-on", "open-once")
    #: The places of its pages that an administrator can choose from.
    placement_offers: ClassVar[tuple[PlacementOffer, ...]] = ()
    #: The member of its configuration that names the school or account, if the platform has one.
    organisation_member: ClassVar[str] = ""
    #: The variables that every launch shall bring, by the key of the custom parameter.
    custom_variables: ClassVar[Mapping[str, str]] = {
        "context_history": "$Context.id.history",
        "link_history": "$ResourceLink.id.history",
    }

    def owns_issuer(self, issuer: str, configuration_url: str) -> bool:
        """Whether who answers at `configuration_url` may speak for `issuer`: their hosts must be the same
        (Dynamic Registration 1.0, 3.5.1)."""
        return bool(host_of(issuer)) and host_of(issuer) == host_of(configuration_url)

    def audience_of(self, configuration: PlatformConfiguration) -> str:
        """`aud` of token requests: the authorization server if one is named (Dynamic Registration 1.0, 3.4)."""
        return configuration.authorization_server or configuration.token_url

    def tool_domain(self, launch_url: str) -> str:
        """The tool's `domain`: host and port (Dynamic Registration 1.0, 3.6)."""
        return urlsplit(launch_url).netloc

    def offered_placements(self, configuration: PlatformConfiguration) -> tuple[PlacementOffer, ...]:
        """Those of `placement_offers` that this installation has."""
        return ()

    def registration_messages(
        self, tool: ToolDescription, configuration: PlatformConfiguration, wishes: RegistrationWishes
    ) -> list[dict[str, Any]]:
        """The `messages` to ask for: links and the picker, and further ones where the platform has them."""
        known = configuration.messages or {MessageType.DEEP_LINKING: frozenset[str]()}
        link = {"type": "LtiResourceLinkRequest", "target_link_uri": tool.launch_url, "label": tool.label}
        messages: list[dict[str, Any]] = [link]
        for kind in (MessageType.DEEP_LINKING, MessageType.SUBMISSION_REVIEW, MessageType.DATA_PRIVACY):
            if kind in known:
                messages.append({"type": kind.value, "target_link_uri": tool.launch_url, "label": tool.label})
            if kind in known and kind is MessageType.DEEP_LINKING:
                messages[-1]["label"] = tool.picker_label
                places = sorted(known[kind] & {CONTENT_AREA})
                messages[-1] |= {"placements": places} if places else {}
        return messages

    def registration_members(self, wishes: RegistrationWishes) -> dict[str, Any]:
        """Members of the platform's own for the tool configuration."""
        return {}

    def manual_configuration(
        self, tool: ToolDescription, wishes: RegistrationWishes, scopes: Iterable[str]
    ) -> dict[str, Any] | None:
        """The file by which its administrator sets up this tool by hand, if the platform reads one."""
        return None


def _is_page(answer: HttpAnswer) -> bool:
    """A page for people (a login form, a proxy's excuse): the service itself was not reached."""
    return answer.header("Content-Type").startswith("text/html") and bool(answer.body.strip())


def is_throttled(answer: HttpAnswer) -> bool:
    """A rate limit told by 403 (Canvas: request_throttle.rb; its newest documentation says 429)."""
    return answer.status == 403 and "rate limit exceeded" in answer.text.lower()


def whole_points(wanted: Decimal) -> Decimal:
    """`wanted` as a whole number of at least 1, halves upward."""
    return max(wanted.quantize(Decimal(1), ROUND_HALF_UP), Decimal(1))


def json_number(value: Decimal) -> int | float:
    """A JSON number; ValueError for NaN and infinity, which JSON does not have."""
    if not value.is_finite():
        raise ValueError("a score must be a finite number")
    return int(value) if value == value.to_integral_value() else float(value)


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and offset (without one, Moodle reads its own zone)."""
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs a time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def origin(url: str) -> str:
    """Scheme, host and port of a URL as a browser writes an origin; ValueError for a host that has no name in
    the DNS (RFC 3490)."""
    parts = urlsplit(base_url(url))
    name = parts.hostname or ""
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    host = f"[{name}]" if ":" in name else name
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def host_of(url: str) -> str:
    """The host of a web address in lower case; "" for anything else."""
    try:
        return urlsplit(base_url(url)).hostname or ""
    except ValueError:
        return ""


def base_url(url: str) -> str:
    """`url` without trailing slash; ValueError if it is no absolute http(s) URL."""
    parts = urlsplit(url.strip())
    # Reading `port` raises ValueError for a port that is no number.
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"not an http(s) URL: {url!r}")
    return url.strip().rstrip("/")
