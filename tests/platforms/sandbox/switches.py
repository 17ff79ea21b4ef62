"""What the visitor has broken on purpose. Switches live in memory: a restart repairs everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MAX_SLOW_SECONDS = 120
# The page around the tool; a frame of its own beside it; such a frame at another origin, which answers as if it
# were ours; a platform that announces a storage and never answers.
STORAGES = ("", "parent", "frame", "foreign", "silent")


@dataclass
class Settings:
    """`slow`: seconds before any service answer. `fail_next` and `throttle_next`: how many more AGS and
    NRPS calls get 500, or 429 with `retry_after` seconds. `expired_tokens`: every access token is too old.
    `unpublished`: id of a column that takes no scores, or "all". `storage`: where the school's pages keep data
    for tools, one of STORAGES; "" keeps none."""

    slow: float = 0
    fail_next: int = 0
    throttle_next: int = 0
    retry_after: int = 5
    expired_tokens: bool = False
    unpublished: str = ""
    storage: str = ""


class Switches:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings = Settings()

    def now(self) -> Settings:
        with self._lock:
            return Settings(**asdict(self._settings))

    def change(self, wishes: Mapping[str, Any]) -> None:
        """Set the named switches. Raises ValueError on an unknown name or a value out of range; then
        nothing is changed."""
        changed = asdict(self.now())
        for name, value in wishes.items():
            if name not in changed:
                raise ValueError(f"unknown switch: {name}")
            changed[name] = _read(name, value, type(changed[name]))
        if changed["storage"] not in STORAGES:
            raise ValueError(f"storage must be one of {STORAGES}")
        with self._lock:
            self._settings = Settings(**changed)

    def repair(self) -> None:
        with self._lock:
            self._settings = Settings()

    def wait(self) -> None:
        """Be as slow as the switch says."""
        if seconds := self.now().slow:
            time.sleep(seconds)

    def trouble(self) -> tuple[int, int | None] | None:
        """Status and Retry-After that this service call gets instead of an answer; counts the call."""
        with self._lock:
            settings = self._settings
            if settings.fail_next > 0:
                settings.fail_next -= 1
                return 500, None
            if settings.throttle_next > 0:
                settings.throttle_next -= 1
                return 429, settings.retry_after
        return None


def _read(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        return value in (True, "true", "on", "1", 1)
    if kind is str:
        return str(value)
    try:
        number = float(value) if name == "slow" else int(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number") from error
    if not 0 <= number <= (MAX_SLOW_SECONDS if name == "slow" else 100_000):
        raise ValueError(f"{name} is out of range")
    return number
