# SPDX-License-Identifier: Apache-2.0
"""What lives as long as Blender does: the link to the service, the jobs of this window, the draft on show."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from mapreel.core.contract.draft import DraftFrame
from mapreel.core.contract.errors import MapreelError
from mapreel.core.contract.host_session import HostCommand, HostFacts
from mapreel.plugin.blender import api, picture_file, results
from mapreel.plugin.blender.properties import shot_of
from mapreel.plugin.blender.versions import absolute
from mapreel.plugin.shared import map_look
from mapreel.plugin.shared.link import Link, LinkedJob
from mapreel.plugin.shared.map_look import MapLook
from mapreel.plugin.shared.take_list import TakeList

PUMP_EVERY_S = 0.1
DRAFT_IMAGE = "Mapreel Draft"
MAX_LOOKS = 16
PANELS = {("PROPERTIES", "WINDOW"), ("NODE_EDITOR", "UI"), ("SEQUENCE_EDITOR", "UI"), ("VIEW_3D", "UI")}  # ours


class Session:
    """One for each Blender; made when the extension is enabled."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.job: LinkedJob | None = None  # the one that the panel shows
        self.steps: tuple[float, str] | None = None  # how far Blender itself is with something, and what it is
        self.trained = ""  # the numbers of the last training on a shot
        self.said = ""  # the last sentence for the artist
        self.drafted: int | None = None  # the frame that the draft shows
        self.looks: dict[tuple[str, str], MapLook] = {}  # what is known of maps, by path and palette
        self.takes = TakeList(results.takes_beside)
        self._look_wish: tuple[str, str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def connected(self) -> Link:
        """The link, made with the preferences of now."""
        if self.link is None:
            self.link = Link(python=api.worker_python())
        return self.link

    def look_at(self, settings: Any) -> MapLook | None:
        """What is known of the maps that are chosen; the first question has them looked at, from the next `pump` on."""
        key = (absolute(settings.labels), settings.palette)
        if key[0] and key not in self.looks:
            self._look_wish = key
        return self.looks.get(key)

    def begin_look(self) -> None:
        """Look at the maps and takes that a panel asked for."""
        self.takes.begin_look(self.connected(), redraw)
        wish, self._look_wish = self._look_wish, None
        if wish is not None and wish not in self.looks:
            self.check(wish)

    def check(self, key: tuple[str, str], *, every_frame: bool = False) -> MapLook:
        """Look at maps anew. key: path and palette."""
        while len(self.looks) >= MAX_LOOKS:
            self.looks.pop(next(iter(self.looks)))
        self.looks.pop(key, None)
        self.looks[key] = map_look.look(self.connected(), *key, every_frame=every_frame)
        return self.looks[key]

    def close(self) -> None:
        """Let everything go; jobs go on in the service."""
        if self.link is not None:
            self.link.close()
            self.link = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def ask_draft(self, scene: Any) -> None:
        """Ask for the current frame; a newer wish takes its place."""
        try:
            request = shot_of(scene).draft_request(scene.frame_current)
        except MapreelError as error:
            self.tell(str(error))
            return
        self.connected().draft(request, self._show_draft, self._write_draft)

    def tell(self, sentence: str) -> None:
        """Show a sentence in the panel."""
        self.said = sentence
        redraw()

    def show_steps(self, share: float, sentence: str) -> None:
        """Show how far something is."""
        if self.steps != (share, sentence):
            self.steps = (share, sentence)
            redraw()

    def _draft_file(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="mapreel-")
        return Path(self._folder.name) / "draft.png"

    def _write_draft(self, answer: DraftFrame) -> None:
        """In a thread: a large picture takes longer to pack than Blender can wait."""
        picture_file.write_png(self._draft_file(), answer.width, answer.height, answer.pixels)

    def _show_draft(self, answer: DraftFrame | MapreelError) -> None:
        if isinstance(answer, MapreelError):
            self.tell(str(answer))
            return
        path = self._draft_file()
        image = bpy.data.images.get(DRAFT_IMAGE)
        if image is None:
            image = bpy.data.images.load(str(path))
            image.name = DRAFT_IMAGE
        elif image.filepath != str(path):
            image.filepath = str(path)  # Blender reads it anew for this
        else:
            image.reload()
        self.drafted = answer.number
        self.tell(f"draft of frame {answer.number}")


SESSION = Session()


def facts(scene: Any) -> HostFacts:
    """What is open here."""
    settings, render = scene.mapreel, scene.render
    return HostFacts(
        host="blender",
        version=bpy.app.version_string,
        pid=os.getpid(),
        file=bpy.data.filepath,
        scene=scene.name,
        first=scene.frame_start,
        last=scene.frame_end,
        fps=render.fps / render.fps_base,
        width=render.resolution_x * render.resolution_percentage // 100,
        height=render.resolution_y * render.resolution_percentage // 100,
        colour_space=scene.display_settings.display_device,
        labels=absolute(settings.labels),
        take=absolute(settings.take),
    )


def obey(command: HostCommand) -> None:
    """Do what the panel asks for. Raises MapreelError."""
    api.bring_in(command.take, bpy.context.scene, into=command.into)
    SESSION.tell(f"brought in: {Path(command.take).name}")


def redraw() -> None:
    """Have Blender draw what shows our state anew: the regions of our panels, not the scene beside them."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in PANELS:
                    region.tag_redraw()


def pump() -> float:
    """Called by Blender ten times a second; a timer that raises would be removed for good."""
    try:
        SESSION.connected().open_session(facts(bpy.context.scene), obey)
        SESSION.begin_look()
        if SESSION.connected().pump():
            redraw()
    except Exception as error:  # noqa: BLE001 - see above
        SESSION.said = f"this is a fault of ours ({type(error).__name__}: {error})"
    return PUMP_EVERY_S


@persistent
def frame_changed(scene: Any, _graph: Any = None) -> None:
    """The playhead moved: draft the frame, if it is to be followed."""
    settings = getattr(scene, "mapreel", None)
    if settings is not None and settings.follow and not bpy.app.background:
        SESSION.ask_draft(scene)


def start() -> None:
    """Begin to listen."""
    if not bpy.app.timers.is_registered(pump):
        bpy.app.timers.register(pump, first_interval=PUMP_EVERY_S, persistent=True)
    bpy.app.handlers.frame_change_post.append(frame_changed)


def end() -> None:
    """Stop listening."""
    if bpy.app.timers.is_registered(pump):
        bpy.app.timers.unregister(pump)
    if frame_changed in bpy.app.handlers.frame_change_post:
        bpy.app.handlers.frame_change_post.remove(frame_changed)
    SESSION.close()
