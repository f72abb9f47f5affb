# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frame the viewer can show now, of what is in memory and what was made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapreel.ui.state.shot import Layer
from mapreel.ui.state.viewer_plan import Mode, Shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapreel.ui.state.darkroom import Darkroom, Print
    from mapreel.ui.state.frames import FrameKey, FrameStore
    from mapreel.ui.state.playback import Playback
    from mapreel.ui.state.viewer_plan import Plan

LATEST = 48
"""Frames back from the playhead that may still be shown while it plays on."""


class Screen:
    """Looks; asks for nothing and changes nothing."""

    def __init__(self, frames: FrameStore, playback: Playback, darkroom: Darkroom) -> None:
        self._frames, self._playback, self._darkroom = frames, playback, darkroom

    def needs(self, plan: Plan, numbers: Iterable[int]) -> list[FrameKey]:
        """Frames that have to be in memory for these numbers, in their order."""
        return [key for number in numbers for key in plan.needs(number, self._before(plan, number))]

    def prints(self, plan: Plan, numbers: Iterable[int]) -> list[Print]:
        """Prints that can be made for these numbers, in their order."""
        return [one for number in numbers for one in self._prints(plan, number) if one is not None]

    def best(self, plan: Plan, shown: Shown | None) -> Shown | None:
        """What to show of the playhead's frame; None: what is shown stays.

        While it plays, the newest frame that was made since the one that is shown; at rest, what there is of a frame
        that lacks something, and why.
        """
        number = self._playback.frame
        found = self._made(plan, number)
        if found is not None:
            return found
        if not self._playback.playing:
            return self._lacking(plan, number)
        late = (self._made(plan, number) for number in self._passed(shown))
        return next((made for made in late if made is not None), None)

    def late(self, plan: Plan, shown: Shown | None) -> tuple[int, ...]:
        """While it plays and frames come too late for their time: the newest one that has come is still to be made."""
        if not self._playback.playing:
            return ()
        return next(((number,) for number in self._passed(shown) if all(self._prints(plan, number))), ())

    def _passed(self, shown: Shown | None) -> Iterable[int]:
        """The playhead's frame and those before it, back to the one that is shown."""
        for number in self._playback.behind(LATEST):
            if shown is not None and number == shown.number:
                return
            yield number

    def _before(self, plan: Plan, number: int) -> int | None:
        """The frame before, for flicker."""
        return self._playback.before(number) if plan.mode is Mode.FLICKER else None

    def _prints(self, plan: Plan, number: int) -> tuple[Print | None, ...]:
        return plan.prints(number, self._before(plan, number), self._frames)

    def _made(self, plan: Plan, number: int) -> Shown | None:
        """A number with all its panes."""
        prints = self._prints(plan, number)
        panes = [self._darkroom.get(one) for one in prints if one is not None]
        if len(panes) < len(prints) or any(pane is None for pane in panes):
            return None
        return Shown(number, plan.mode, plan.panes(), tuple(panes))

    def _lacking(self, plan: Plan, number: int) -> Shown | None:
        """A number of which a pane will not come: the others, and why. None: it is still on its way."""
        prints = self._prints(plan, number)
        panes, notes = [], []
        for layer, one in zip(plan.panes(), prints, strict=True):
            made = self._darkroom.get(one) if one is not None else None
            why = self._why(plan, number) if one is None else None
            on_its_way = made is None and why is None and not (one is None and layer is Layer.DRAFT)
            if on_its_way:
                return None
            panes.append(made)
            notes.append(why or "")
        return Shown(number, plan.mode, plan.panes(), tuple(panes), tuple(notes))

    def _why(self, plan: Plan, number: int) -> str | None:
        """Why a print of this number cannot be made: the first sentence about a frame that it needs."""
        reasons = [self._frames.why(*key) for key in self.needs(plan, (number,))]
        told = [reason for reason in reasons if reason is not None]
        return next((reason for reason in told if reason), told[0]) if told else None
