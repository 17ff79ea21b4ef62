"""An LMS that we know nothing special about: the standard's behaviour, all addresses given by hand."""

from __future__ import annotations

from typing import ClassVar

from integrations.platforms.base import Platform
from integrations.terms import Outcome


class Generic(Platform):
    kind: ClassVar[str] = "generic"
    title: ClassVar[str] = "LTI 1.3"
    # AGS has no words for a column that is not shown yet; an LMS that uses these means what Canvas means by
    # them (gradebook_services.rb, "This assignment is still unpublished").
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = (
        (422, "unpublished", Outcome.WAITING_FOR_PUBLISH),
    )
