"""What becomes of a reading: applied, held for a person, tried again, or given up. Nothing here commits."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update

from integrations.errors import PlatformError, PlatformRejected
from lti_app.clock import utc_now
from lti_app.delivery.services import record_failure
from lti_app.extensions import db
from lti_app.roster.guardians import settle_mentions
from lti_app.roster.models import LtiUser, Membership
from lti_app.roster.sync import MOST_LEAVING, count_leaving, let_leave, next_day, settled
from lti_app.roster.sync_models import LinkMember, RosterSync, SyncState

MOST_ATTEMPTS = 6
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3600.0
# These do not pass by waiting.
_LASTING = frozenset({"too-many-pages", "foreign-next-page", "too-large"})


def finish(sync: RosterSync) -> None:
    """The reading is complete: apply it, or hold it for a person."""
    # Parents may have named children who became known only now.
    settle_mentions(sync.registration_id)
    if sync.resource_link_pk is not None:
        db.session.execute(
            delete(LinkMember).where(
                LinkMember.resource_link_pk == sync.resource_link_pk, LinkMember.run != sync.run
            )
        )
        settled(sync)
        return
    if sync.seen == 0 and sync.known == 0 and not sync.is_differences:
        set_failed(sync, "nobody-listed")
        return
    sync.gone = count_leaving(sync)
    reason = _reason_to_wait(sync)
    if reason is not None:
        sync.state, sync.code, sync.differences_url = SyncState.HELD, reason, None
        sync.due_at = next_day(utc_now())
        return
    sync.gone = let_leave(sync)
    if not sync.is_differences:
        _forget_what_is_told_no_more(sync)
    settled(sync)


def _reason_to_wait(sync: RosterSync) -> str | None:
    if sync.gone == 0:
        return None
    if sync.seen == 0 and not sync.is_differences:
        return "empty"
    if sync.unreadable:
        return "unreadable"
    return "many-leave" if sync.gone > MOST_LEAVING * sync.known else None


def _forget_what_is_told_no_more(sync: RosterSync) -> None:
    """A roster that used to bring names and brings none: the platform's privacy setting changed."""
    here = select(Membership.lti_user_pk).where(
        Membership.context_pk == sync.context_pk, Membership.roster_run == sync.run
    )
    silent = {
        "name": sync.had_names and sync.named == 0,
        "email": sync.had_emails and sync.mailed == 0,
    }
    values = {name: None for name, is_silent in silent.items() if is_silent}
    if values:
        db.session.execute(
            update(LtiUser)
            .where(LtiUser.id.in_(here))
            .values(values)
            .execution_options(synchronize_session=False)
        )
    sync.had_names, sync.had_emails = sync.named > 0, sync.mailed > 0


def note_failure(sync: RosterSync, error: PlatformError) -> None:
    """Try again later what may pass, and say what does not."""
    now = utc_now()
    if sync.is_differences and isinstance(error, PlatformRejected) and error.code in ("not-found", "refused"):
        # They are kept for a while only: read everybody instead.
        sync.state, sync.differences_url, sync.next_url, sync.due_at = SyncState.QUEUED, None, None, now
        return
    if not error.retryable or error.code in _LASTING or sync.attempts + 1 >= MOST_ATTEMPTS:
        set_failed(sync, error.code)
        return
    sync.attempts += 1
    wait = min(_FIRST_WAIT * 2.0 ** (sync.attempts - 1), _LONGEST_WAIT)
    sync.code, sync.due_at = error.code, now + timedelta(seconds=error.retry_after or wait)
    if error.retry_after is not None or error.status == 429:
        record_failure(sync.registration_id, error.code, now, retry_after=error.retry_after)


def set_failed(sync: RosterSync, code: str) -> None:
    """Give a reading up. The next try is tomorrow's, or when somebody asks."""
    sync.state, sync.code, sync.next_url, sync.differences_url = SyncState.FAILED, code[:64], None, None
    sync.due_at = next_day(utc_now()) if sync.resource_link_pk is None else None
