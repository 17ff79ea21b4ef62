"""Assignment and Grade Services 2.0: columns, scores and results of a platform.

Media types are part of the interface: some platforms refuse `application/json` and `*/*` here. `limit` is
sent only where `Platform.results_page_size` says so: a platform that misreads it answers with an error page
or pages that lead nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from integrations.errors import PlatformRejected, PlatformUnavailable
from integrations.http import MEGABYTE, HttpAnswer, PlatformHttp, json_list, json_object, retry_after
from integrations.lti.claim_fields import Identifier, Moment, Text, WebAddress
from integrations.lti.json_items import json_items
from integrations.lti.service_calls import ServiceCalls, good, linked
from integrations.lti.service_calls import with_query as with_query
from integrations.lti.tokens import TokenSource
from integrations.platforms.base import Platform, json_number
from integrations.terms import LineItem, Outcome, Result, ServiceAccess

SCOPE_LINE_ITEM = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"
SCOPE_LINE_ITEM_READ = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
SCOPE_RESULT_READ = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"
SCOPE_SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"

SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
RESULTS_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"

T = TypeVar("T")
_MOST_PAGES = 200
_MOST_BYTES = 10 * MEGABYTE
"""Of a list that is kept in memory, all pages together."""
MOST_RESULT_PAGES = 5_000
RESULTS_AT_ONCE = 500
_POINTS = validate.Range(Decimal("-1e9"), Decimal("1e9"))


class _LineItemSchema(Schema):
    """AGS 2.0, 3.2. Platforms send null labels and empty ids for columns that are not a tool's."""

    class Meta:
        unknown = EXCLUDE

    id = WebAddress(required=True)
    label = Text()
    scoreMaximum = fields.Decimal(required=True, allow_nan=False, validate=_POINTS)
    resourceLinkId = Text()
    resourceId = Text()
    tag = Text()
    endDateTime = Moment()


class _ResultSchema(Schema):
    """AGS 2.0, 3.3. A person without a grade is absent or has a null score."""

    class Meta:
        unknown = EXCLUDE

    userId = Identifier(required=True)
    resultScore = fields.Decimal(load_default=None, allow_none=True, allow_nan=False, validate=_POINTS)
    resultMaximum = fields.Decimal(load_default=None, allow_none=True, allow_nan=False, validate=_POINTS)
    comment = Text(10_000)


_LINE_ITEM, _RESULT = _LineItemSchema(), _ResultSchema()


class AgsClient:
    """AGS calls with a token. A refused token is forgotten and the call repeated once with a new one.

    The reading and creating methods raise PlatformRejected (token-refused, forbidden, not-found, refused) and
    PlatformUnavailable (platform-busy, broken-answer, foreign-next-page, too-many-pages), besides what
    TokenSource and PlatformHttp raise.
    """

    def __init__(self, http: PlatformHttp, tokens: TokenSource) -> None:
        calls = ServiceCalls(http, tokens)
        self._call, self._stream = calls.call, calls.stream

    def post_score(self, access: ServiceAccess, line_item_url: str, payload: Mapping[str, Any]) -> HttpAnswer:
        """The platform's answer to a score, of any status: `Platform.classify` says what it means."""
        return self._call(
            access,
            [SCOPE_SCORE],
            "POST",
            scores_url(line_item_url),
            {"Content-Type": SCORE_TYPE},
            _json_bytes(payload),
        )

    def line_items(
        self,
        access: ServiceAccess,
        line_items_url: str,
        *,
        resource_link_id: str | None = None,
        resource_id: str | None = None,
        tag: str | None = None,
    ) -> list[LineItem]:
        """The columns that this tool may see, filtered; complete or an error."""
        filters = {"resource_link_id": resource_link_id, "resource_id": resource_id, "tag": tag}
        url = with_query(line_items_url, {name: value for name, value in filters.items() if value})
        entries = _with_some_scope(lambda scope: self._pages(access, [scope], url, LINE_ITEMS_TYPE))
        return [_read(entry, _line_item) for entry in entries]

    def create_line_item(self, access: ServiceAccess, line_items_url: str, item: LineItem) -> LineItem:
        """The new column with its URL. Platforms check no uniqueness: look for an existing one first."""
        wanted = {
            "label": item.label,
            "scoreMaximum": json_number(item.maximum),
            "resourceLinkId": item.resource_link_id,
            "resourceId": item.resource_id,
            "tag": item.tag,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        answer = self._send_item(access, "POST", line_items_url, given)
        return _read(json_object(good(answer)), _line_item)

    def line_item(self, access: ServiceAccess, url: str, platform: Platform) -> LineItem:
        """The column as it is now. PlatformRejected `not-found`: it is gone; `scope-not-granted`: columns may
        not be looked at."""
        return _read(_with_some_scope(lambda scope: self._item(access, scope, url, platform)), _line_item)

    def update_line_item(
        self, access: ServiceAccess, url: str, change: Mapping[str, Any], platform: Platform
    ) -> LineItem:
        """Change these members of the column (None: leave it out) and nothing else.

        The whole object goes back as it came: some platforms erase whatever a PUT leaves out. Nothing is
        sent when nothing would change. Members are those of AGS 2.0, 3.2, with JSON values.
        """
        before = self._item(access, SCOPE_LINE_ITEM, url, platform)
        left_out = [name for name, value in change.items() if value is None]
        after = {name: value for name, value in (before | dict(change)).items() if name not in left_out}
        if after != before:
            _usable(self._send_item(access, "PUT", url, after), platform)
        return _read(after | {"id": url}, _line_item)

    def delete_line_item(self, access: ServiceAccess, url: str, platform: Platform) -> None:
        """Delete the column with its grades. One that is gone already is as good as deleted."""
        answer = self._call(access, [SCOPE_LINE_ITEM], "DELETE", url, {"Accept": LINE_ITEM_TYPE})
        try:
            _usable(answer, platform)
        except PlatformRejected as error:
            if error.code != "not-found":
                raise

    def results(self, access: ServiceAccess, line_item_url: str, user_id: str | None = None) -> list[Result]:
        """What the gradebook shows in this column, of one person or of all; complete or an error."""
        url = with_query(results_url(line_item_url), {"user_id": user_id} if user_id else {})
        return [
            _read(entry, _result) for entry in self._pages(access, [SCOPE_RESULT_READ], url, RESULTS_TYPE)
        ]

    def stream_results(
        self, access: ServiceAccess, line_item_url: str, platform: Platform
    ) -> Iterator[list[Result]]:
        """What the gradebook shows of everybody in this column, at most 500 at a time.

        One request for each page where the platform pages, else one whose answer is read as it comes; little
        of it is in memory. An error means that what came so far is not everything: PlatformRejected
        (not-found, context-closed, scope-not-granted, token-refused, forbidden, refused) or PlatformUnavailable.
        """
        size = platform.results_page_size
        page: str | None = with_query(results_url(line_item_url), {"limit": str(size)} if size else {})
        seen: set[str] = set()
        while page is not None:
            if page in seen or len(seen) >= MOST_RESULT_PAGES:
                raise PlatformUnavailable("too-many-pages")
            seen.add(page)
            with self._stream(access, [SCOPE_RESULT_READ], page, {"Accept": RESULTS_TYPE}) as (head, body):
                following = linked(_usable(head, platform), page, "next")
                chunk: list[Result] = []
                for entry in json_items(body):
                    chunk.append(_read(entry, _result))
                    if len(chunk) == RESULTS_AT_ONCE:
                        yield chunk
                        chunk = []
            if chunk:
                yield chunk
            page = following

    def _item(self, access: ServiceAccess, scope: str, url: str, platform: Platform) -> dict[str, Any]:
        answer = self._call(access, [scope], "GET", url, {"Accept": LINE_ITEM_TYPE})
        return json_object(_usable(answer, platform))

    def _send_item(self, access: ServiceAccess, method: str, url: str, item: Mapping[str, Any]) -> HttpAnswer:
        headers = {"Content-Type": LINE_ITEM_TYPE, "Accept": LINE_ITEM_TYPE}
        return self._call(access, [SCOPE_LINE_ITEM], method, url, headers, _json_bytes(item))

    def _pages(self, access: ServiceAccess, scopes: Collection[str], url: str, accept: str) -> list[Any]:
        entries: list[Any] = []
        left = _MOST_BYTES
        seen: set[str] = set()
        page: str | None = url
        while page is not None:
            if page in seen or len(seen) >= _MOST_PAGES:
                raise PlatformUnavailable("too-many-pages")
            seen.add(page)
            answer = good(self._call(access, scopes, "GET", page, {"Accept": accept}))
            left -= len(answer.body)
            if left < 0:
                raise PlatformUnavailable("too-large", status=answer.status)
            entries += json_list(answer)
            page = linked(answer, page, "next")
        return entries


def scores_url(line_item_url: str) -> str:
    """Where scores of a column go (AGS 2.0, 3.4.1): the path grows, the query string stays behind it."""
    return _below(line_item_url, "scores")


def results_url(line_item_url: str) -> str:
    """Where a column's results are (AGS 2.0, 3.3.1)."""
    return _below(line_item_url, "results")


def _with_some_scope(ask: Callable[[str], T]) -> T:
    """Read columns. The full scope includes reading, and some platforms grant only that one."""
    try:
        return ask(SCOPE_LINE_ITEM_READ)
    except PlatformRejected as error:
        if error.code != "scope-not-granted":
            raise
    return ask(SCOPE_LINE_ITEM)


def _usable(answer: HttpAnswer, platform: Platform) -> HttpAnswer:
    """A 2xx answer, or the error of `good`; with what this platform means by its statuses and words."""
    outcome = platform.classify(answer).outcome
    if outcome is Outcome.RETRY:
        raise PlatformUnavailable(
            "platform-busy",
            status=answer.status,
            retry_after=retry_after(answer),
            exchange=answer.exchange,
        )
    if outcome is Outcome.CONTEXT_CLOSED:
        raise PlatformRejected("context-closed", status=answer.status, exchange=answer.exchange)
    return good(answer)


def _below(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}", fragment=""))


def _read(entry: Any, build: Callable[[Any], T]) -> T:
    try:
        return build(entry)
    except ValidationError as error:
        raise PlatformUnavailable("broken-answer", ", ".join(map(str, error.messages_dict))) from error


def _line_item(entry: Any) -> LineItem:
    loaded = _LINE_ITEM.load(entry)
    return LineItem(
        label=loaded["label"] or "",
        maximum=loaded["scoreMaximum"],
        url=loaded["id"],
        resource_link_id=loaded["resourceLinkId"],
        resource_id=loaded["resourceId"],
        tag=loaded["tag"],
        ends_at=loaded["endDateTime"],
    )


def _result(entry: Any) -> Result:
    loaded = _RESULT.load(entry)
    return Result(loaded["userId"], loaded["resultScore"], loaded["resultMaximum"], loaded["comment"])


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
