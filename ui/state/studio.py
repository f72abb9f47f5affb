# SPDX-License-Identifier: GPL-3.0-or-later
"""All state of one panel, without a widget: what views are bound to, and what tests drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject

from mapreel.core.contract.state_folder import state_folder
from mapreel.ui.state.archive_form import ArchiveForm
from mapreel.ui.state.bridge import ServiceBridge
from mapreel.ui.state.draft_watch import DraftWatch
from mapreel.ui.state.drafts import Drafts
from mapreel.ui.state.errands import Errands
from mapreel.ui.state.frames import FrameStore
from mapreel.ui.state.hosts import Hosts
from mapreel.ui.state.jobs import Jobs
from mapreel.ui.state.key_frames import KeyFrames
from mapreel.ui.state.messages import Message, Messages, Weight, sentence
from mapreel.ui.state.models import Models
from mapreel.ui.state.palette_editor import PaletteEditor
from mapreel.ui.state.playback import Playback
from mapreel.ui.state.preferences import Preferences
from mapreel.ui.state.preparing import Preparing
from mapreel.ui.state.render_form import RenderForm
from mapreel.ui.state.render_presets import RenderPresets
from mapreel.ui.state.shots import Shots
from mapreel.ui.state.takes import Takes
from mapreel.ui.state.train_form import TrainForm
from mapreel.ui.state.viewer import ViewerState

if TYPE_CHECKING:
    from pathlib import Path


class Studio(QObject):
    """The parts, made in the order in which they need each other. `start` begins to ask the service; `close` ends all.

    host_session: the host that opened the panel.
    """

    def __init__(self, *, state: str | Path | None = None, host_session: str = "", remember: bool = True) -> None:
        super().__init__()
        self.host_session = host_session
        self.state = state
        self.messages = Messages()
        self.preferences = Preferences(state_folder(state).root / "panel.json" if remember else None)
        self.bridge = ServiceBridge(state=state)
        self.errands = Errands()
        self.jobs = Jobs(self.bridge, self.messages)
        self.shots = Shots(self.errands, self.bridge, self.preferences, self.messages)
        self.frames = FrameStore(self.bridge)
        self.shots.open_changed.connect(self.frames.keep_only)
        self.playback = Playback(self.shots)
        self.key_frames = KeyFrames(self.shots, self.playback, self.errands)
        self.viewer = ViewerState(self.frames, self.playback, self.errands, self.preferences)
        self.drafts = Drafts(self.bridge, self.shots, self.playback, self.frames, self.preferences, self.messages)
        self.draft_watch = DraftWatch(self.drafts, self.viewer, self.playback)
        self.takes = Takes(self.jobs, self.shots)
        self.hosts = Hosts(self.bridge, self.shots, host_session)
        self.models = Models(self.errands, self.preferences, self.messages)
        self.render_form = RenderForm(
            self.shots, self.models, self.jobs, self.bridge, self.errands, self.preferences, self.messages
        )
        self.render_presets = RenderPresets(self.render_form, self.preferences)
        self.palette_editor = PaletteEditor(self.errands, self.shots, self.messages)
        self.viewer.follow_palette(self.palette_editor)
        self.playback.frame_changed.connect(self.palette_editor.look_at)
        self.palette_editor.follow_model(self.models, self.render_form)
        self.archive_form = ArchiveForm(
            self.shots, self.jobs, self.bridge, self.errands, self.preferences, self.messages
        )
        self.train_form = TrainForm(
            self.shots, self.jobs, self.models, self.bridge, self.errands, self.preferences, self.messages
        )
        self.preparing = Preparing()
        self.drafts.model = self.render_form.model
        self.render_form.model_changed.connect(lambda model: setattr(self.drafts, "model", model))
        self.bridge.sentence_changed.connect(self._hear_of_service)

    def start(self) -> None:
        """Begin to ask the service."""
        self.bridge.start()

    def close(self) -> None:
        """End every thread; jobs go on in the service."""
        self.preferences.save()
        self.preparing.stop()
        self.bridge.close()
        self.viewer.close()
        self.frames.close()
        self.errands.close()

    def _hear_of_service(self, told: str) -> None:
        if told:
            what, _, remedy = told.partition("; ")
            self.messages.say(Message(sentence(what), sentence(remedy), weight=Weight.WARNING, key="service"))
        else:
            self.messages.settle("service")
