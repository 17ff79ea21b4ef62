"""The steps of a connection check: each tries one thing for real and says what came of it.

What a platform granted is read from tokens and launches, never from what was asked for or promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from integrations.errors import PlatformError
from integrations.lti.ags import SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ, SCOPE_RESULT_READ, SCOPE_SCORE
from integrations.lti.notices import SCOPE_NOTICES
from integrations.lti.nrps import SCOPE_MEMBERSHIP
from integrations.lti.probes import TokenSeen
from integrations.platforms.registry import platform_for
from lti_app.connection.subject import Subject
from lti_app.extensions import PlatformServices

MOST_SKEW = timedelta(seconds=5)
"""Some platforms refuse an assertion that is issued a few seconds in their future."""
# The refusals that concern our key set; every other one leaves open whether it was fetched.
_ABOUT_OUR_KEYS = frozenset(
    {
        "keys-fetch-blocked",
        "keys-fetch-failed",
        "token-endpoint-cannot-reach-us",
        "signature-refused",
        "key-unknown-to-platform",
    }
)


class Step(StrEnum):
    """In the order in which they are tried and shown."""

    ADDRESSES = "addresses"
    PLATFORM_KEYS = "platform-keys"
    TOKEN = "token"
    OUR_KEYS = "our-keys"
    CLOCK = "clock"
    SCORES = "scores"
    COLUMNS = "columns"
    COLUMNS_READ = "columns-read"
    RESULTS = "results"
    MEMBERS = "members"
    NOTICES = "notices"
    ROSTER = "roster"
    LINE_ITEMS = "line-items"
    NAMES = "names"
    FRAMES = "frames"
    DEPLOYMENTS = "deployments"


class Verdict(StrEnum):
    """`impossible`: it could not be tried (yet), which is no fault by itself."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one step. `code` says which sentence explains it (`words`), `values` fill it."""

    step: Step
    verdict: Verdict
    code: str
    values: dict[str, Any] = field(default_factory=dict)


_SCOPE_OF = {
    Step.SCORES: SCOPE_SCORE,
    Step.COLUMNS: SCOPE_LINE_ITEM,
    Step.COLUMNS_READ: SCOPE_LINE_ITEM_READ,
    Step.RESULTS: SCOPE_RESULT_READ,
    Step.MEMBERS: SCOPE_MEMBERSHIP,
    Step.NOTICES: SCOPE_NOTICES,
}


def findings(subject: Subject, services: PlatformServices) -> Iterator[Finding]:
    """Run all steps, each as soon as the one before was taken. Never raises PlatformError."""
    yield _addresses(subject)
    yield _tried(Step.PLATFORM_KEYS, lambda: _platform_keys(subject, services))
    token, finding = _token(subject, services)
    yield finding
    yield _our_keys(subject, token)
    yield _clock(token)
    for step, scope in _SCOPE_OF.items():
        yield _scope(step, scope, token, subject)
    yield _tried(Step.ROSTER, lambda: _roster(subject, services, token))
    yield _tried(Step.LINE_ITEMS, lambda: _line_items(subject, services, token))
    yield _names(subject)
    yield _frames(subject)
    yield _deployments(subject)


def _tried(step: Step, attempt: Callable[[], Finding]) -> Finding:
    try:
        return attempt()
    except PlatformError as error:
        return _failure(step, error)


def _failure(step: Step, error: PlatformError) -> Finding:
    values = {"status": error.status} if error.status else {}
    return Finding(step, Verdict.FAILED, error.code, values)


def _addresses(subject: Subject) -> Finding:
    own = urlsplit(subject.public_url)
    if own.scheme != "https" and own.hostname not in ("localhost", "127.0.0.1"):
        return Finding(Step.ADDRESSES, Verdict.FAILED, "tool-without-https", {"address": subject.public_url})
    plain = [url for url in subject.platform_urls if urlsplit(url).scheme != "https"]
    if plain:
        return Finding(Step.ADDRESSES, Verdict.WARNING, "platform-without-https", {"address": plain[0]})
    return Finding(Step.ADDRESSES, Verdict.OK, "addresses-fine", {"redirect": subject.redirect_uri})


def _platform_keys(subject: Subject, services: PlatformServices) -> Finding:
    seen = services.probes.key_set(subject.jwks_url, subject.policy)
    if not seen.keys:
        return Finding(Step.PLATFORM_KEYS, Verdict.FAILED, "no-usable-key", {"address": subject.jwks_url})
    return Finding(Step.PLATFORM_KEYS, Verdict.OK, "keys-read", {"count": seen.keys})


def _token(subject: Subject, services: PlatformServices) -> tuple[TokenSeen | None, Finding]:
    if subject.access is None:
        return None, Finding(Step.TOKEN, Verdict.FAILED, "tool-key-locked")
    try:
        token = services.probes.token(subject.access, platform_for(subject.kind))
    except PlatformError as error:
        return None, _failure(Step.TOKEN, error)
    if token.refusal is not None:
        values = {"status": token.status, "place": platform_for(subject.kind).admin_place}
        return token, Finding(Step.TOKEN, Verdict.FAILED, token.refusal, values)
    return token, Finding(Step.TOKEN, Verdict.OK, "token-given", {"count": len(token.granted)})


def _our_keys(subject: Subject, token: TokenSeen | None) -> Finding:
    """Nobody but the platform can tell whether it reaches us: a token that it gave is the proof."""
    values = {"key_set": subject.key_set_url}
    if token is not None and token.refusal is None:
        return Finding(Step.OUR_KEYS, Verdict.OK, "proved-by-token", values)
    if token is not None and token.refusal in _ABOUT_OUR_KEYS:
        return Finding(Step.OUR_KEYS, Verdict.FAILED, "platform-cannot-verify-us", values)
    return Finding(Step.OUR_KEYS, Verdict.IMPOSSIBLE, "not-proved", values)


def _clock(token: TokenSeen | None) -> Finding:
    ahead = token.clock_ahead if token else None
    if ahead is None:
        return Finding(Step.CLOCK, Verdict.IMPOSSIBLE, "clock-not-told")
    seconds = round(abs(ahead).total_seconds())
    if abs(ahead) <= MOST_SKEW:
        return Finding(Step.CLOCK, Verdict.OK, "clocks-agree")
    code = "clock-ahead" if ahead > timedelta() else "clock-behind"
    return Finding(Step.CLOCK, Verdict.WARNING, code, {"seconds": seconds})


def _scope(step: Step, scope: str, token: TokenSeen | None, subject: Subject) -> Finding:
    place = {"place": platform_for(subject.kind).admin_place}
    if token is None or (token.refusal is not None and token.refusal != "scope-not-granted"):
        return Finding(step, Verdict.IMPOSSIBLE, "no-token")
    if scope in token.granted:
        return Finding(step, Verdict.OK, "granted")
    if step is Step.COLUMNS_READ and SCOPE_LINE_ITEM in token.granted:
        return Finding(step, Verdict.OK, "covered")
    if step is Step.NOTICES and not subject.offers_notices:
        return Finding(step, Verdict.IMPOSSIBLE, "not-offered")
    # Without this one no score arrives at all; every other one costs a convenience.
    verdict = Verdict.FAILED if step is Step.SCORES else Verdict.WARNING
    return Finding(step, verdict, "not-granted", place)


def _roster(subject: Subject, services: PlatformServices, token: TokenSeen | None) -> Finding:
    if subject.nrps_url is None:
        return Finding(Step.ROSTER, Verdict.IMPOSSIBLE, "no-roster-address")
    if subject.access is None or token is None or SCOPE_MEMBERSHIP not in token.granted:
        return Finding(Step.ROSTER, Verdict.IMPOSSIBLE, "members-not-granted")
    seen = services.probes.roster(subject.access, subject.nrps_url)
    values = {"count": seen.members, "names": seen.with_name, "emails": seen.with_email}
    if not seen.members:
        return Finding(Step.ROSTER, Verdict.WARNING, "roster-empty")
    return Finding(Step.ROSTER, Verdict.OK, "roster-goes-on" if seen.has_more else "roster-read", values)


def _line_items(subject: Subject, services: PlatformServices, token: TokenSeen | None) -> Finding:
    if subject.line_items_url is None:
        return Finding(Step.LINE_ITEMS, Verdict.IMPOSSIBLE, "no-columns-address")
    readable = token is not None and {SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ} & token.granted
    if subject.access is None or not readable:
        return Finding(Step.LINE_ITEMS, Verdict.IMPOSSIBLE, "columns-not-granted")
    items = services.ags.line_items(subject.access, subject.line_items_url)
    return Finding(Step.LINE_ITEMS, Verdict.OK, "columns-listed", {"count": len(items)})


def _names(subject: Subject) -> Finding:
    values = {"people": subject.people, "names": subject.with_name, "emails": subject.with_email}
    if not subject.people:
        return Finding(Step.NAMES, Verdict.IMPOSSIBLE, "nobody-came")
    if subject.with_name * 2 < subject.people:
        place = platform_for(subject.kind).admin_place
        return Finding(Step.NAMES, Verdict.WARNING, "names-missing", {**values, "place": place})
    return Finding(Step.NAMES, Verdict.OK, "names-come", values)


def _frames(subject: Subject) -> Finding:
    missing = sorted(set(subject.seen_origins) - set(subject.frame_origins))
    if missing:
        return Finding(Step.FRAMES, Verdict.WARNING, "origin-missing", {"origin": missing[0]})
    if not subject.seen_origins:
        return Finding(
            Step.FRAMES, Verdict.IMPOSSIBLE, "no-origin-seen", {"origins": " ".join(subject.frame_origins)}
        )
    return Finding(Step.FRAMES, Verdict.OK, "origins-allowed", {"origins": " ".join(subject.seen_origins)})


def _deployments(subject: Subject) -> Finding:
    if subject.pending:
        shown = ", ".join(subject.pending[:5])
        return Finding(
            Step.DEPLOYMENTS,
            Verdict.WARNING,
            "deployments-pending",
            {"count": len(subject.pending), "ids": shown},
        )
    return Finding(Step.DEPLOYMENTS, Verdict.OK, "deployments-active", {"count": subject.active_deployments})
