"""The blueprint of the sync page, and what its views share: the filter in the address, and whose rows."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from lti_app.errors import NotHere
from lti_app.gradebook.models import LineItem, Score
from lti_app.gradebook.pages.listing import Asked, Group, column_in_context
from lti_app.gradebook.pages.schemas import AskedSchema
from lti_app.gradebook.queries import score_in_context
from lti_app.launches.current import require_context

bp = Blueprint("gradebook", __name__)
SCORE = "int(max=9223372036854775807):score_id"
COLUMN = "int(max=9223372036854775807):column_id"
"""The numbers of rows in an address; more does not fit into the database."""
_ASKED = AskedSchema()


def asked_here() -> Asked:
    """What the address asks for, of this launch's class."""
    loaded = _ASKED.load(request.args.to_dict())
    return Asked(require_context().id, loaded["show"], loaded["column"], loaded["q"] or "")


def page_here() -> int:
    """The page that the address asks for."""
    return _ASKED.load(request.args.to_dict())["page"] or 1


def kept() -> dict[str, Any]:
    """The filter of this address, for others of the same page. It asks nothing of the database."""
    loaded = _ASKED.load(request.args.to_dict())
    show = None if loaded["show"] is Group.ALL else str(loaded["show"])
    values = {"show": show, "column": loaded["column"], "q": loaded["q"]}
    return {name: value for name, value in values.items() if value is not None}


def back(anchor: str = "people") -> Response:
    """To the page with the same filter, and on the same page of its list."""
    page = page_here() if page_here() > 1 else None
    return redirect(url_for("gradebook.home", **kept(), page=page, _anchor=anchor), 303)


def score_here(score_id: int) -> Score:
    """The score with its column and link, if it is of this class. Raises NotHere."""
    score = score_in_context(score_id, require_context().id)
    if score is None:
        raise NotHere()
    return score


def column_here(column_id: int) -> LineItem:
    """The column, if it is of this class. Raises NotHere."""
    column = column_in_context(column_id, require_context().id)
    if column is None:
        raise NotHere()
    return column
