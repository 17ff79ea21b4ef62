"""What every view needs: addresses, memory, key, switches and the log, in one object made at the start."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from flask import current_app

from .platform import Addresses, Keyring, SandboxPlatform, SandboxRegistration
from .store import Store
from .switches import Switches
from .tools import ToolEntry

LOG_LENGTH = 200
STORAGE_FRAME = "school_storage"


@dataclass(frozen=True)
class Exchange:
    """One line of the log. The path is without its query, which may hold states and hints."""

    at: str
    method: str
    path: str
    status: int
    milliseconds: int


@dataclass(frozen=True)
class Lms:
    addresses: Addresses
    store: Store
    keys: Keyring
    switches: Switches = field(default_factory=Switches)
    log: deque[Exchange] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))

    def tools(self) -> list[ToolEntry]:
        """The tool that was connected by hand, then those that registered themselves, oldest first."""
        return [self.addresses.by_hand(), *self.store.tools()]

    def current_tool(self) -> ToolEntry:
        """The tool that links open: the one switched on last."""
        return next(tool for tool in reversed(self.tools()) if tool.active)

    def tool(self, client_id: str) -> ToolEntry | None:
        """The tool of that client id, if it is switched on."""
        return next((one for one in self.tools() if one.client_id == client_id and one.active), None)

    def platform(self, tool: ToolEntry | None = None) -> SandboxPlatform:
        """The library's platform object for one request of a tool (default: the current one)."""
        return SandboxPlatform(
            registration=SandboxRegistration(self.addresses, self.keys, tool or self.current_tool()),
            token_url=self.addresses.token,
            store=self.store,
            tokens_expired=self.switches.now().expired_tokens,
        )

    def storage_target(self) -> str | None:
        """What `lti_storage_target` says at the moment (LTI OIDC Login with LTI Client Side postMessages)."""
        where = self.switches.now().storage
        if not where:
            return None
        return STORAGE_FRAME if where in ("frame", "foreign") else "_parent"


EXTENSION = "sandbox"


def current_lms() -> Lms:
    lms: Lms = current_app.extensions[EXTENSION]
    return lms
