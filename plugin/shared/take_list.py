# SPDX-License-Identifier: Apache-2.0
"""The takes that lie beside one another, as a panel lists them: looked up in a thread, for a disk may be slow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mapreel.core.contract.errors import MapreelError
    from mapreel.plugin.shared.link import Link

LOOK_AGAIN_S = 5.0


class TakeList:
    """What is known of each take's siblings; asked while a panel is drawn, so it never waits."""

    def __init__(self, find: Callable[[Path], list[Path]]) -> None:
        """find: gives the takes beside one; called in a thread."""
        self._find = find
        self._known: dict[Path, list[Path]] = {}
        self._looked: dict[Path, float] = {}  # when somebody was sent to look
        self._asked: set[Path] = set()

    def beside(self, take: Path) -> list[Path]:
        """The takes beside this one as they were seen last; none before that."""
        self._asked.add(take)
        return self._known.get(take, [])

    def forget(self) -> None:
        """Look again when asked: a take was added."""
        self._looked.clear()

    def begin_look(self, link: Link, changed: Callable[[], None]) -> None:
        """Have those looked up that were asked for, not of late. changed: called from `pump` where something is new."""
        asked, self._asked = self._asked, set()
        now = time.monotonic()
        for take in asked:
            if now - self._looked.get(take, -LOOK_AGAIN_S) >= LOOK_AGAIN_S:
                self._looked[take] = now
                self._look(link, take, changed)

    def _look(self, link: Link, take: Path, changed: Callable[[], None]) -> None:
        def found(answer: list[Path] | MapreelError) -> None:
            if isinstance(answer, list) and self._known.get(take) != answer:
                self._known[take] = answer
                changed()

        link.apart(lambda: self._find(take), found)
