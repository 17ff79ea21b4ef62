"""Assignment and Grade Services 2.0 and Names and Roles 2.0: what the library asks of its host.

Scores behave like the stricter habits of real platforms: anything but a final score empties the cell, an
absent comment erases the old one, a teacher's own grade stays.
"""

from __future__ import annotations

import math
import secrets
from datetime import datetime
from typing import Any

from lti1p3platform.exceptions import LineItemNotFoundException, LtiServiceException
from lti1p3platform.membership import Context
from lti1p3platform.score import UpdateScoreStatus
from lti1p3platform.service_connector import AssignmentsGradesService, NamesRoleProvisioningService

from . import school
from .lms import Lms
from .platform import LibraryRequest
from .store import Row, stamp

AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
# Short pages, so that a class of forty already needs several.
PER_PAGE = 20
PER_PAGE_AT_MOST = 100


class Gradebook(AssignmentsGradesService):
    """The columns of one course. `scopes` are those that the present call needs one of."""

    def __init__(
        self, asked: LibraryRequest, lms: Lms, course: str, scopes: tuple[str, ...], item: str | None
    ) -> None:
        address = lms.addresses.line_item(course, item) if item else None
        super().__init__(asked, lms.platform(), lms.addresses.line_items(course), address)
        self._lms, self._course, self._scopes = lms, course, scopes

    @property
    def allowed_scopes(self) -> list[str]:
        return [AGS + scope for scope in self._scopes]

    def find_lineitems(self, page: int = 1, limit: int | None = None, **wanted: str) -> Any:
        rows = self._lms.store.line_items(self._course, tools_only=True)
        rows = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        return _page([self._shown(row) for row in rows], page, limit)

    def find_lineitem(self, line_item_id: str) -> Any:
        return self._shown(self._row(line_item_id))

    def create_lineitem(self, creation_data: Any) -> Any:
        item = {"id": secrets.token_hex(6), "course": self._course, "made_by": "tool"}
        self._lms.store.put_line_item(item | self._read(creation_data))
        return self.find_lineitem(item["id"])

    def update_lineitem(self, update_data: Any) -> Any:
        row = self._row(update_data["id"])
        kept = {name: row[name] for name in ("id", "course", "made_by")}
        self._lms.store.put_line_item(kept | self._read(update_data))
        return self.find_lineitem(row["id"])

    def delete_lineitem(self, line_item_id: str) -> None:
        if self._row(line_item_id)["made_by"] == "link":
            raise LtiServiceException("The column belongs to a link of the course", 403)
        self._lms.store.delete_line_item(line_item_id)

    def update_score(self, line_item_id: str, score: Any) -> UpdateScoreStatus:
        row = self._row(line_item_id)
        if self._lms.switches.now().unpublished in ("all", row["id"]):
            raise LtiServiceException("This assignment is still unpublished", 422)
        person = school.PEOPLE.get(str(score.get("userId")))
        if person is None or person not in school.gradable(self._course):
            raise LtiServiceException("User not found in course or is not a student", 422)
        saved = self._lms.store.save_grade({"line_item": row["id"], "user": person.id} | _grade(score, row))
        return UpdateScoreStatus.SUCCESS if saved else UpdateScoreStatus.OLD_TIMESTAMP

    def get_results(
        self, line_item_id: str, page: int = 1, limit: int | None = None, user_id: str | None = None
    ) -> Any:
        row = self._row(line_item_id)
        address = self._lms.addresses.line_item(self._course, row["id"])
        results = [
            {
                "id": f"{address}/results/{grade['user']}",
                "scoreOf": address,
                "userId": grade["user"],
                "resultScore": grade["score"],
                "resultMaximum": row["maximum"],
                "comment": grade["comment"],
            }
            for grade in self._lms.store.grades(self._course)
            if grade["line_item"] == row["id"] and grade["score"] is not None
        ]
        wanted = [result for result in results if user_id in (None, result["userId"])]
        return _page(wanted, page, limit)

    def _row(self, item: str) -> Row:
        row = self._lms.store.line_item(self._course, item)
        if row is None:
            raise LineItemNotFoundException(item)
        return row

    def _read(self, sent: Any) -> dict[str, Any]:
        label, maximum = sent.get("label"), sent.get("scoreMaximum")
        if not isinstance(label, str) or not label.strip() or not _number(maximum) or maximum <= 0:
            raise LtiServiceException("label and a positive scoreMaximum are required", 400)
        link = sent.get("resourceLinkId")
        if link is not None and link not in [known.id for known in self._lms.store.links(self._course)]:
            raise LtiServiceException("resourceLinkId is not a link of this course", 404)
        return {
            "label": label,
            "maximum": maximum,
            "resource_id": _text(sent.get("resourceId")),
            "tag": _text(sent.get("tag")),
            "resource_link_id": link,
            "starts": _text(sent.get("startDateTime")),
            "ends": _text(sent.get("endDateTime")),
        }

    def _shown(self, row: Row) -> dict[str, Any]:
        shown = {
            "id": self._lms.addresses.line_item(self._course, row["id"]),
            "label": row["label"],
            "scoreMaximum": row["maximum"],
            "resourceId": row["resource_id"],
            "tag": row["tag"],
            "resourceLinkId": row["resource_link_id"],
            "startDateTime": row["starts"],
            "endDateTime": row["ends"],
        }
        return {name: value for name, value in shown.items() if value is not None}


class Roster(NamesRoleProvisioningService):
    def __init__(self, asked: LibraryRequest, lms: Lms, course: school.Course) -> None:
        super().__init__(asked, lms.platform(), lms.addresses.memberships(course.id))
        self._store = lms.store
        self._course = course

    def get_context_by_id(self) -> Context:
        return Context(self._course.id, self._course.label, self._course.title)

    def is_resource_link_valid(self, context_id: str, resource_link_id: str) -> bool:
        link = self._store.link(resource_link_id)
        return link is not None and link.course == context_id

    def get_member_data_page(
        self, page: int = 1, limit: int | None = None, role: str | None = None, rlid: str | None = None
    ) -> Any:
        people = school.members(self._course.id)
        if role:
            wanted = role if "/" in role else school.MEMBERSHIP + role
            people = [person for person in people if wanted in person.roles]
        return _page([_member(person) for person in people], page, limit)


def _page(rows: list[Any], page: int, limit: int | None) -> dict[str, Any]:
    size = limit or PER_PAGE
    return {"content": rows[(page - 1) * size : page * size], "has_next": len(rows) > page * size}


def _member(person: school.Person) -> dict[str, Any]:
    member: dict[str, Any] = {
        "status": "Active",
        "user_id": person.id,
        "roles": list(person.roles),
        "lis_person_sourcedid": f"CG-{person.id}",
    }
    if person.shared:
        member |= {"name": person.name, "family_name": person.name[:1], "given_name": person.name[1:]}
        member["email"] = person.email
    return member


def _grade(score: Any, row: Row) -> dict[str, Any]:
    """The gradebook cell that a score makes (AGS 2.0, 3.4). Raises LtiServiceException 400 or 422."""
    moment = _moment(score.get("timestamp"))
    given, maximum = score.get("scoreGiven"), score.get("scoreMaximum")
    if given is not None and not (_number(given) and _number(maximum) and maximum > 0):
        raise LtiServiceException("scoreGiven needs a positive scoreMaximum", 400)
    if given is not None and given < 0:
        raise LtiServiceException("scoreGiven may not be negative", 422)
    if not score.get("activityProgress") or not score.get("gradingProgress"):
        raise LtiServiceException("activityProgress and gradingProgress are required", 400)
    final = given is not None and score["gradingProgress"] == "FullyGraded"
    submission = score.get("submission")
    return {
        "score": round(given * row["maximum"] / maximum, 5) if final else None,
        "comment": _text(score.get("comment")),
        "timestamp": stamp(moment),
        "activity": str(score["activityProgress"]),
        "grading": str(score["gradingProgress"]),
        "submitted_at": _text(submission.get("submittedAt")) if isinstance(submission, dict) else None,
    }


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise LtiServiceException("timestamp must be an ISO 8601 time", 400) from error
    if moment.tzinfo is None:
        raise LtiServiceException("timestamp needs an offset from UTC", 400)
    return moment


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
