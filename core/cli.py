# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Exit code 0 done, 1 failed, 2 wrong use, 130 interrupted; errors are one sentence on stderr."""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING

import typer

from mapreel.core.commands import (
    archive,
    bench,
    demo,
    doctor,
    draft,
    jobs,
    label,
    palettes,
    panel,
    render,
    service,
    train,
    verify,
)
from mapreel.core.commands.console import Console
from mapreel.core.contract.errors import InternalError, MapreelError, UsageError, disk_error

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="mapreel",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: half the time, and it reads the same in a pipe
    pretty_exceptions_enable=False,
    help="Semantic maps into photoreal video, shots into neural archives.",
)
app.command()(render.render)
app.command()(draft.draft)
app.command()(verify.verify)
app.add_typer(train.app, name="train")
app.add_typer(archive.app, name="archive")
app.add_typer(label.app, name="label")
app.add_typer(jobs.app, name="jobs")
app.add_typer(service.app, name="service")
app.command()(palettes.palettes)
app.add_typer(bench.app, name="bench")
app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(panel.panel)


def _version(wanted: bool) -> None:
    if wanted:
        from mapreel.core.contract.versions import installed_version

        sys.stdout.write(f"mapreel {installed_version('mapreel')}\n")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Semantic maps into photoreal video, shots into neural archives."""


def _usage(exc: typer.TyperException) -> UsageError:
    """Typer's words for a wrong command line as one sentence with a remedy."""
    text = re.sub(r"\s+", " ", exc.format_message()).replace("Value error, ", "").strip().rstrip(".?")
    text = re.sub(r" \(Possible options: (.*)\)$", r"; did you mean \1", text)
    text = text.replace(". Did you mean ", "; did you mean ")
    context = getattr(exc, "ctx", None)
    command = getattr(context, "command_path", None) or "mapreel"
    return UsageError(text[:1].lower() + text[1:], f"see {command} --help")


def _our_fault(exc: Exception) -> InternalError:
    what = f"this is a fault of ours ({type(exc).__name__}: {exc})"
    return InternalError(what[:500], "send us the lines above", detail="".join(traceback.format_exception(exc)))


def _run(words: Sequence[str]) -> int:
    code = app(args=list(words), prog_name="mapreel", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _mute_stdout() -> None:
    """Nobody reads stdout any more: what Python flushes at its end must not complain about that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    given = list(sys.argv[1:] if words is None else words)
    console = Console(json="--json" in given)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe on Windows takes few letters; a name it lacks ends no job
        sys.stdout.reconfigure(errors="backslashreplace")
    error: MapreelError
    try:
        return _run(given)
    except BrokenPipeError:
        _mute_stdout()
        return 1
    except MapreelError as exc:
        error = exc
    except typer.TyperException as exc:
        if type(exc).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(exc.format_message() + "\n")
            return 2
        error = _usage(exc)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("mapreel: interrupted\n")
        return 130
    except MemoryError:
        error = InternalError("the memory is full", "close other programs or choose a smaller size")
    except OSError as exc:
        error = disk_error(exc, exc.filename or "a file")
    except Exception as exc:  # noqa: BLE001 - the border of the process: a fault of ours gets a sentence, too
        error = _our_fault(exc)
        sys.stderr.write(error.detail)
    try:
        console.error(error, error.exit_code)
    except BrokenPipeError:
        _mute_stdout()
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
