"""What all services of a platform share: calls with a token, the meaning of a status, the next page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from integrations.errors import PlatformRejected, PlatformUnavailable
from integrations.http import MEGABYTE, HttpAnswer, HttpStream, PlatformHttp, retry_after
from integrations.lti.links import link_to
from integrations.lti.tokens import TokenSource
from integrations.platforms.base import is_throttled, origin
from integrations.terms import ServiceAccess


class ServiceCalls:
    """Calls with a token. A refused token is forgotten and the call repeated once with a new one."""

    def __init__(self, http: PlatformHttp, tokens: TokenSource) -> None:
        self._http = http
        self._tokens = tokens

    def call(
        self,
        access: ServiceAccess,
        scopes: Collection[str],
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = 5 * MEGABYTE,
    ) -> HttpAnswer:
        """The answer, whatever its status. Raises what TokenSource and PlatformHttp raise."""
        for attempt in (1, 2):
            token = self._tokens.token(access, scopes)
            answer = self._http.request(
                method,
                url,
                policy=access.policy,
                headers={**headers, "Authorization": f"Bearer {token}"},
                body=body,
                max_bytes=max_bytes,
            )
            if attempt == 2 or answer.status not in access.expired_statuses or is_throttled(answer):
                break
            self._tokens.forget(access, scopes, token)
        return answer

    @contextmanager
    def stream(
        self, access: ServiceAccess, scopes: Collection[str], url: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[HttpAnswer, HttpStream]]:
        """The answer to a GET (without its body if it is a success), and the body as it comes."""
        for attempt in (1, 2):
            token = self._tokens.token(access, scopes)
            sent = {**headers, "Authorization": f"Bearer {token}"}
            with self._http.stream(url, policy=access.policy, headers=sent) as body:
                head = body.head()
                if attempt == 2 or head.status not in access.expired_statuses or is_throttled(head):
                    yield head, body
                    return
            self._tokens.forget(access, scopes, token)


def good(answer: HttpAnswer) -> HttpAnswer:
    """A 2xx answer, or the error that the status means: PlatformUnavailable (platform-busy) or
    PlatformRejected (token-refused, forbidden, not-found, refused)."""
    status = answer.status
    if status in (408, 425, 429) or status >= 500 or is_throttled(answer):
        raise PlatformUnavailable(
            "platform-busy", status=status, retry_after=retry_after(answer), exchange=answer.exchange
        )
    if not 200 <= status < 300:
        codes = {401: "token-refused", 403: "forbidden", 404: "not-found", 410: "not-found"}
        raise PlatformRejected(codes.get(status, "refused"), status=status, exchange=answer.exchange)
    return answer


def linked(answer: HttpAnswer, url: str, relation: str) -> str | None:
    """Where an answer from `url` links to with that relation, absolute, or None.

    It must be at the same origin, because a token goes with the request: PlatformUnavailable
    (foreign-next-page, broken-answer) otherwise.
    """
    target = link_to(answer.header("Link"), relation)
    if target is None:
        return None
    try:
        absolute = urljoin(url, target)
        same = origin(absolute) == origin(url)
    except ValueError as error:
        raise PlatformUnavailable("broken-answer", "a next page that is no URL") from error
    if not same:
        raise PlatformUnavailable("foreign-next-page")
    return absolute


def with_query(url: str, extra: Mapping[str, str]) -> str:
    """`url` with more query parameters; those it has are left exactly as they are."""
    if not extra:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(extra)]))))
