"""What can go wrong between a tool and a platform.

    IntegrationError
    ├── BadMessage            a platform or a browser sent something that the standard does not allow
    └── PlatformError         a call to a platform did not give what was asked
        ├── PlatformUnavailable   no usable answer now; trying later may help
        ├── PlatformRejected      an answer that says no; trying the same again does not help
        └── AddressRefused        we did not call: the address is not one we may talk to

Each error carries a short stable `code` (ASCII, kebab-case) that pages and logs show, and keeps its cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class IntegrationError(Exception):
    """The root: `code` is stable and may be shown; `str(error)` is for logs and holds no personal data."""

    retryable = False

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


class BadMessage(IntegrationError):
    """An LTI message that must be refused (missing, malformed or contradicting claims)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back, as it was: it may hold tokens and personal data."""

    method: str
    url: str
    request: bytes = field(default=b"", repr=False)
    status: int | None = None
    content_type: str = ""
    answer: bytes = field(default=b"", repr=False)


class PlatformError(IntegrationError):
    """A call to a platform failed; `status` is the HTTP status if there was an answer, `exchange` the call
    that failed where it is known."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        super().__init__(code, message)
        self.status = status
        self.retry_after = retry_after
        self.exchange = exchange


class PlatformUnavailable(PlatformError):
    """Timeout, refused connection, 5xx, 429, or a body that is too large or not what was asked for."""

    retryable = True


class PlatformRejected(PlatformError):
    """The platform understood and said no (4xx)."""


class AddressRefused(PlatformError):
    """Not https, or a private address, and the registration does not allow it."""
