"""From an uploaded file to a list that waits for a decision, and from the decision to what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.content.account_files import Account, FileChoices, account_files
from integrations.content.spreadsheet import read_rows
from integrations.terms import AccountFormat
from lti_app.accounts import batches, invitations, links, lists, queries
from lti_app.accounts.access import Reach
from lti_app.accounts.models import BatchKind, ImportBatch
from lti_app.clock import utc_now

LABEL_NAMES = ("course", "role", "language", "with_groups", "cohort", "placeholder_domain", "with_observers")


def take(data: bytes, kind: BatchKind, reach: Reach) -> ImportBatch:
    """Read an uploaded table and keep it for its preview. Raises UnreadableTable and NotThisList."""
    rows = read_rows(data)
    if kind is BatchKind.LINKS:
        return _keep_links(links.entries_of(rows), reach)
    return batches.keep(reach, kind, lists.checked(rows, reach))


def take_arrived(reach: Reach) -> ImportBatch | None:
    """The same for the pupils and guardians of account files who have an account by now; None: nobody yet."""
    entries = [
        {
            "row": number,
            "pupil": pupil,
            "pupil_name": "",
            "guardian": guardian,
            "relation": relation,
            "kind": "",
        }
        for number, (pupil, guardian, relation) in enumerate(queries.arrived_pairs(reach), 1)
    ]
    return _keep_links(entries, reach) if entries else None


def lines_in(body: Mapping[str, Any]) -> list[tuple[links.Entry, links.Verdict]]:
    """The entries of a kept list of links, with what would have become of them when it was judged last."""
    verdicts = map(links.Verdict, body["verdicts"])
    return list(zip(_entries(body["entries"]), verdicts, strict=True))


def apply_links(batch: ImportBatch, body: dict[str, Any], reach: Reach) -> tuple[int, int]:
    """Link what the list says, as things are now; returns how many links and how many kinds were new."""
    entries = _entries(body["entries"])
    done = links.apply(entries, reach)
    batches.replace(batch, {**body, "verdicts": links.judged(entries, reach)})
    batch.applied_at = utc_now()
    return done


def _keep_links(entries: list[dict[str, Any]], reach: Reach) -> ImportBatch:
    # Judged once: pages of 20,000 lines are turned without asking for 20,000 people again.
    verdicts = links.judged(_entries(entries), reach)
    return batches.keep(reach, BatchKind.LINKS, {"entries": entries, "verdicts": verdicts})


def _entries(plain: Sequence[Mapping[str, Any]]) -> list[links.Entry]:
    return [links.Entry(**entry) for entry in plain]


def make_files(batch: ImportBatch, body: dict[str, Any], choices: dict[str, Any]) -> None:
    """Number the guardians of a checked list, draw passwords, and keep them with the choices.

    Raises IntegrityError when the same people are being numbered elsewhere at this moment.
    """
    earlier = {drawn["number"]: drawn for drawn in body.get("made", ())}
    body["made"] = invitations.invite(
        body["people"],
        batch.school_id,
        prefix=choices["prefix"],
        with_names=choices["with_names"],
        earlier=earlier,
    )
    body["choices"] = choices
    batch.applied_at = utc_now()
    batches.replace(batch, body)


def accounts_in(body: Mapping[str, Any]) -> list[Account]:
    """The accounts that go out with the choices made."""
    choices = body["choices"]
    return invitations.accounts_of(
        body["people"], body["made"], only_new=choices["only_new"], by_mail=choices["by_mail"]
    )


def files_in(body: Mapping[str, Any]) -> Mapping[str, bytes]:
    """The account files of a list, by name."""
    choices = body["choices"]
    chosen = FileChoices(**{name: choices[name] for name in LABEL_NAMES})
    return account_files(AccountFormat(choices["form"]), accounts_in(body), chosen)


def slips_in(body: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """One slip for each account that has a first password in the files, by class and child."""
    by_number = {account.number: account for account in accounts_in(body)}
    slips = []
    for person, drawn in zip(body["people"], body["made"], strict=True):
        account = by_number.get(drawn["number"])
        if account is not None and account.password:
            pupil, pupil_name, class_name, _slot, relation = person["children"][0]
            slips.append(
                {
                    "class_name": class_name,
                    "pupil": pupil_name or pupil,
                    "guardian": person["name"] or relation,
                    "number": account.number,
                    "password": account.password,
                    "order": (class_name, pupil, account.number),
                }
            )
    return sorted(slips, key=lambda slip: slip["order"])
