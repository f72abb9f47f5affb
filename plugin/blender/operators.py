# SPDX-License-Identifier: Apache-2.0
"""What buttons, menus and keys do. Each runs without a window as well, and then waits until it is done."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from mapreel.core.contract.errors import CancelledError, MapreelError
from mapreel.plugin.blender import apart, api, classes, results, scene_maps, training
from mapreel.plugin.blender.job_operator import JobOperator, SentenceOperator
from mapreel.plugin.blender.properties import PATH, shot_of
from mapreel.plugin.blender.session import SESSION
from mapreel.plugin.blender.steps import StepOperator
from mapreel.plugin.blender.versions import absolute, stored, whole
from mapreel.plugin.shared.shot import decode_request

if TYPE_CHECKING:
    from collections.abc import Generator

    from mapreel.core.contract.requests import Request

INTO = [
    ("node", "Node", "A Mapreel node of the compositor"),
    ("strip", "Strip", "A strip of the sequencer"),
    ("none", "Nothing", "Only write the pictures"),
]


def _frames(take: str) -> dict[int, Path]:
    return results.frames_of(Path(take))


class MAPREEL_OT_render(JobOperator):
    """Render the shot into a new take and show it. Needs a saved file, or an output folder of your choice"""

    bl_idname = "mapreel.render"
    bl_label = "Render"
    __annotations__ = {
        "group": bpy.props.StringProperty(name="Node group", description="Settings of this group, not the scene's"),
        "into": bpy.props.EnumProperty(name="Show in", items=INTO, default="node"),
    }

    def _group(self) -> Any | None:
        return bpy.data.node_groups.get(self.group) if self.group else None

    def request(self, context: Any) -> Request:
        """The shot of the scene or of the node group."""
        group = self._group()
        return shot_of(context.scene, group.mapreel if group else None).render_request()

    look = staticmethod(_frames)

    def over(self, context: Any, take: str, seen: Any) -> None:
        """Show the take."""
        group = self._group()
        (group or context.scene).mapreel.take = stored(Path(take))
        SESSION.takes.forget()
        if self.into == "node":
            results.bring_into_node(context.scene, Path(take), group, seen)
        elif self.into == "strip":
            results.bring_into_strip(context.scene, Path(take), files=seen)


class MAPREEL_OT_cancel(SentenceOperator):
    """Cancel the job that runs; finished frames stay"""

    bl_idname = "mapreel.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while something runs."""
        return SESSION.job is not None and not SESSION.job.is_over

    def act(self, _context: Any) -> None:
        """Ask for the end."""
        assert SESSION.job is not None
        SESSION.connected().cancel(SESSION.job)


class MAPREEL_OT_draft(SentenceOperator):
    """Draft the current frame into the image "Mapreel Draft\""""

    bl_idname = "mapreel.draft"
    bl_label = "Draft"

    def act(self, context: Any) -> None:
        """With a window in the background, without one at once."""
        if bpy.app.background:
            path = api.draft(context.scene, out=f"{bpy.app.tempdir}draft.png")
            image = bpy.data.images.load(path, check_existing=True)
            image.name = "Mapreel Draft"
        else:
            SESSION.ask_draft(context.scene)


class MAPREEL_OT_add_node(SentenceOperator):
    """Add a Mapreel node, which carries the settings of the scene's shot and shows its take"""

    bl_idname = "mapreel.add_node"
    bl_label = "Mapreel"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """Make it the active node."""
        node = results.add_node(context.scene)
        for other in node.id_data.nodes:
            other.select = other == node
        node.id_data.nodes.active = node


class MAPREEL_OT_show_take(SentenceOperator):
    """Show another take of the same output"""

    bl_idname = "mapreel.show_take"
    bl_label = "Show take"
    bl_options = {"REGISTER", "UNDO"}
    __annotations__ = {
        "take": bpy.props.StringProperty(name="Take", subtype="DIR_PATH", options=PATH),
        "group": bpy.props.StringProperty(name="Node group"),
        "into": bpy.props.EnumProperty(name="Show in", items=INTO[:2], default="node"),
    }

    def act(self, context: Any) -> None:
        """In the node group or the sequencer."""
        take = Path(whole(self.take))
        if self.into == "strip":
            results.bring_into_strip(context.scene, take)
        else:
            results.bring_into_node(context.scene, take, bpy.data.node_groups.get(self.group))


class MAPREEL_OT_export_archive(JobOperator):
    """Keep the take in a neural archive"""

    bl_idname = "mapreel.export_archive"
    bl_label = "Export archive"

    def request(self, context: Any) -> Request:
        """The take that is shown."""
        settings = context.scene.mapreel
        shot = shot_of(context.scene)
        return shot.encode_request(shot.take, whole(settings.archive), psnr_db=settings.psnr)


class MAPREEL_OT_import_archive(JobOperator):
    """Bring the frames of a neural archive in"""

    bl_idname = "mapreel.import_archive"
    bl_label = "Import archive"
    __annotations__ = {
        "filepath": bpy.props.StringProperty(name="Archive", subtype="FILE_PATH"),
        "into": bpy.props.EnumProperty(name="Show in", items=INTO, default="strip"),
    }

    def request(self, context: Any) -> Request:
        """All frames, into a folder beside the takes."""
        archive = Path(whole(self.filepath or context.scene.mapreel.archive))
        return decode_request(str(archive), str(archive.with_suffix("")))

    look = staticmethod(_frames)

    def over(self, context: Any, take: str, seen: Any) -> None:
        """Show them."""
        if self.into != "none":
            api.bring_in(take, context.scene, into=self.into, files=seen)


class MAPREEL_OT_write_maps(StepOperator):
    """Write class, instance and motion maps of the scene's frame range, and take them as this shot's maps"""

    bl_idname = "mapreel.write_maps"
    bl_label = "Maps from the scene"
    __annotations__ = {
        "folder": bpy.props.StringProperty(name="Folder", subtype="DIR_PATH", options=PATH, default="//mapreel/maps"),
    }

    def act(self, context: Any) -> None:
        """The whole range at once."""
        self._take_them(context.scene, api.maps_from_scene(context.scene, self.folder))

    def steps(self, context: Any) -> Generator[tuple[float, str], None, None]:
        """Frame after frame, or by a Blender of their own."""
        scene, name = context.scene, context.scene.name
        frames = apart.renderers().maps(scene, Path(whole(self.folder)), scene.mapreel.palette)
        written = yield from scene_maps.told(frames, "maps of frame")
        self._take_them(scene_maps.scene_called(name), written)

    def _take_them(self, scene: Any, written: scene_maps.SceneMaps) -> None:
        settings = scene.mapreel
        settings.labels = settings.instances = settings.motion = stored(Path(written.pattern))
        per_frame = written.seconds / max(1, len(written.frames))
        SESSION.tell(f"{len(written.frames)} frames of maps, {per_frame:.2f} s each")


class MAPREEL_OT_train(StepOperator):
    """Render every nth frame as the scene is, train a model on them, then render the whole range with that model"""

    bl_idname = "mapreel.train"
    bl_label = "Train on this shot"

    def act(self, context: Any) -> None:
        """All of it at once."""
        settings = context.scene.mapreel
        every, steps = settings.train_every, settings.train_steps
        self._show(context.scene, api.train_on_shot(context.scene, settings.train_folder, every=every, steps=steps))

    def steps(self, context: Any) -> Generator[tuple[float, str], None, None]:
        """Frame after frame; the jobs go on in the service meanwhile."""
        name, settings = context.scene.name, context.scene.mapreel
        folder, every, count = whole(settings.train_folder), settings.train_every, settings.train_steps
        by = apart.renderers()
        made = yield from training.train_steps(context.scene, Path(folder), every, count, self._run, by)
        self._show(scene_maps.scene_called(name), made)

    def _run(self, request: Request) -> Generator[tuple[float, str], None, tuple[str, dict[str, Any]]]:
        link = SESSION.connected()
        job = SESSION.job = link.submit(request)
        try:
            while not job.is_over:
                yield job.share, job.sentence
        except GeneratorExit:
            link.cancel(job)
            raise
        if job.state != "finished":
            raise CancelledError(job.error or f"the {job.kind} is {job.state}", "the true frames stay where they are")
        return job.take, job.result

    def _show(self, scene: Any, made: training.Trained) -> None:
        results.bring_into_node(scene, Path(made.take))
        SESSION.trained = made.sentence
        SESSION.tell(made.sentence)


def _class_names(_operator: Any, context: Any, _typed: str) -> list[str]:
    try:
        return list(classes.load_palette(context.scene.mapreel.palette).ids)
    except MapreelError:  # told when it is assigned
        return []


class MAPREEL_OT_assign_class(SentenceOperator):
    """Give materials or objects whose names match a pattern a class of the palette"""

    bl_idname = "mapreel.assign_class"
    bl_label = "Assign class"
    bl_options = {"REGISTER", "UNDO"}
    __annotations__ = {
        "pattern": bpy.props.StringProperty(name="Names", default="*", description="Such as tree*"),
        "label": bpy.props.StringProperty(
            name="Class", search=_class_names, description="A class of the palette; empty takes the class away"
        ),
        "what": bpy.props.EnumProperty(
            name="What", items=[("materials", "Materials", ""), ("objects", "Objects", "")], default="materials"
        ),
    }

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for names and class; those of the active object to begin with."""
        thing = context.object
        material = thing.active_material if thing else None
        if not self.properties.is_property_set("pattern") and material is not None:
            self.pattern, self.label = glob.escape(material.name), classes.class_of(material)
        return set(context.window_manager.invoke_props_dialog(self))

    def act(self, context: Any) -> None:
        """All at once."""
        palette = classes.load_palette(context.scene.mapreel.palette)
        named = classes.assign(self.pattern, self.label, palette, what=self.what)
        SESSION.tell(f"{len(named)} of the {self.what}: {self.label or 'without a class'}")


class MAPREEL_OT_guess_classes(SentenceOperator):
    """Give every material whose name holds the name of a class that class"""

    bl_idname = "mapreel.guess_classes"
    bl_label = "Guess from names"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """Only those without one."""
        found = classes.guess(classes.load_palette(context.scene.mapreel.palette))
        bare = classes.without_class(context.scene)
        left = f"; without a class: {', '.join(bare[:5])}{' …' if len(bare) > 5 else ''}" if bare else ""
        SESSION.tell(f"{len(found)} material{'' if len(found) == 1 else 's'} got a class{left}")


class MAPREEL_OT_check_maps(SentenceOperator):
    """Look at every frame of the label maps: what is missing, and what the label doctor finds"""

    bl_idname = "mapreel.check_maps"
    bl_label = "Check every frame"

    def act(self, context: Any) -> None:
        """With a window in the background, without one until it is done."""
        settings = context.scene.mapreel
        if not bpy.app.background:
            SESSION.check((whole(settings.labels), settings.palette), every_frame=True)
        else:
            SESSION.tell("; ".join(api.check_maps(context.scene).lines))


class MAPREEL_OT_open_panel(SentenceOperator):
    """Open the panel of Mapreel in a window of its own. What is open here shows there"""

    bl_idname = "mapreel.open_panel"
    bl_label = "Open panel"

    def act(self, context: Any) -> None:
        """Comes back at once; what goes wrong is told later, as a sentence."""
        labels = absolute(context.scene.mapreel.labels)
        SESSION.connected().open_panel((labels,) if labels else (), SESSION.tell)


OPERATORS = (
    MAPREEL_OT_render,
    MAPREEL_OT_cancel,
    MAPREEL_OT_draft,
    MAPREEL_OT_add_node,
    MAPREEL_OT_show_take,
    MAPREEL_OT_export_archive,
    MAPREEL_OT_import_archive,
    MAPREEL_OT_write_maps,
    MAPREEL_OT_assign_class,
    MAPREEL_OT_guess_classes,
    MAPREEL_OT_train,
    MAPREEL_OT_check_maps,
    MAPREEL_OT_open_panel,
)
