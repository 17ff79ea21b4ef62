"""The files by which administrators of an LMS make many accounts at once.

User upload: docs.moodle.org/405/en/Upload_users and admin/tool/uploaduser/classes/process.php of Moodle.
SIS: doc/api/sis_csv.md of Canvas.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from integrations.content.spreadsheet import write_csv
from integrations.terms import AccountFormat

LONGEST_NAME = 100
"""Both LMSs keep more; a name of more is a mistake in the list."""
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff·]+")
_TWO_CHARACTER_FAMILY_NAME = re.compile(
    "欧阳|太史|端木|上官|司马|东方|独孤|南宫|万俟|闻人|夏侯|诸葛|尉迟|公羊|赫连|澹台|皇甫|宗政|濮阳|公冶|太叔|申屠"
    "|公孙|慕容|仲孙|钟离|长孙|宇文|司徒|鲜于|司空|令狐|轩辕|呼延|百里|东郭|西门|第五"
)


@dataclass(frozen=True, slots=True)
class Child:
    """A pupil whom an account's owner guards: number (SIS id) and class."""

    number: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account to make. `number` is user name and SIS id: lower-case ASCII, unique.

    `title` (妈妈, 爸爸 …) completes a name of one word. `password` None: it is not set by the file.
    """

    number: str
    name: str
    title: str
    email: str | None
    password: str | None
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class FileChoices:
    """What the administrator chose. `course` is the course's short name, or its SIS id; `role` the role's
    short name there; `placeholder_domain` ends addresses of accounts that have none."""

    course: str
    role: str
    language: str
    with_groups: bool
    cohort: str
    placeholder_domain: str
    with_observers: bool


def account_files(
    form: AccountFormat, accounts: Sequence[Account], choices: FileChoices
) -> Mapping[str, bytes]:
    """The files of a format, by name. Names must not begin like a formula: an import needs the cells as
    they are, so nothing is put before them."""
    if form is AccountFormat.SIS:
        return _sis(accounts, choices)
    return {"upload-users.csv": write_csv(_user_upload(accounts, choices))}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The files as one ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def split_name(name: str, title: str) -> tuple[str, str]:
    """Family name and given name, neither empty: a user upload refuses accounts without one of them."""
    if _HAN.fullmatch(name):
        length = 2 if len(name) > 2 and _TWO_CHARACTER_FAMILY_NAME.match(name) else 1
        return name[:length], name[length:] or title
    given, _, family = name.rpartition(" ")
    return (family, given.strip()) if given.strip() else (name, title)


def placeholder_address(number: str, domain: str) -> str:
    """An address that no mail ever reaches (RFC 2606, 2: `.invalid`), different for each account."""
    return f"{number}@{domain}"


def _user_upload(accounts: Sequence[Account], choices: FileChoices) -> list[list[str]]:
    """One line for each account; siblings' classes become group1, group2 … of the same course."""
    classes = [
        list(dict.fromkeys(_group(c.class_name) for c in account.children if c.class_name))
        for account in accounts
    ]
    places = max([1, *map(len, classes)]) if choices.with_groups else 1
    head = ["username", "password", "firstname", "lastname", "email", "idnumber"]
    head += ["lang"] if choices.language else []
    head += ["cohort1"] if choices.cohort else []
    for place in range(1, places + 1) if choices.course else ():
        head += [f"course{place}", f"role{place}"]
        head += [f"group{place}"] if choices.with_groups else []
    rows = [head]
    for account, groups in zip(accounts, classes, strict=True):
        family, given = split_name(account.name, account.title)
        email = account.email or placeholder_address(account.number, choices.placeholder_domain)
        row = [account.number, account.password or "", given, family, email, account.number]
        row += [choices.language] if choices.language else []
        row += [choices.cohort] if choices.cohort else []
        for place in range(places) if choices.course else ():
            used = place == 0 or place < len(groups)
            row += [choices.course, choices.role] if used else ["", ""]
            row += ["".join(groups[place : place + 1])] if choices.with_groups else []
        rows.append(row)
    return rows


def _group(class_name: str) -> str:
    """A group's name. The upload takes a name of digits for the id of a group (process.php, "Only
    non-numeric names are supported")."""
    return f"{class_name}班" if re.fullmatch(r"[0-9.]+", class_name) else class_name


def _sis(accounts: Sequence[Account], choices: FileChoices) -> dict[str, bytes]:
    users = [["user_id", "login_id", "password", "full_name", "sortable_name", "email", "status"]]
    enrolments = [["course_id", "user_id", "role", "status", "associated_user_id"]]
    observers = [["observer_id", "student_id", "status"]]
    for account in accounts:
        number, password, email = account.number, account.password or "", account.email or ""
        family, given = split_name(account.name, account.title)
        full = family + given if _HAN.fullmatch(account.name) else account.name
        users.append([number, number, password, full, f"{family}, {given}", email, "active"])
        # "Ignored for any role other than observer", which has one line for each child.
        watched = [child.number for child in account.children] if choices.role == "observer" else [""]
        if choices.course:
            enrolments += [[choices.course, number, choices.role, "active", child] for child in watched]
        observers += [[number, child.number, "active"] for child in account.children]
    files = {"users.csv": write_csv(users)}
    if choices.course:
        files["enrollments.csv"] = write_csv(enrolments)
    if choices.with_observers:
        files["user_observers.csv"] = write_csv(observers)
    return files
