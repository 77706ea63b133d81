"""The command line: which commands there are, and how each of their errors ends.

A command loads what it works with when it runs, so ``--help`` is quick.

Exit codes: 0 done; 1 done, but something was refused, failed or found damaged; 2 the settings or the arguments are
wrong; 3 it could not be done; 70 a defect of Darkroom; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, Group

from darkroom.commands.check_config import check_config
from darkroom.commands.close import close
from darkroom.commands.export import export
from darkroom.commands.find import find
from darkroom.commands.import_folder import import_folder
from darkroom.commands.jobs import jobs
from darkroom.commands.replay import replay
from darkroom.commands.send import send
from darkroom.commands.series import series
from darkroom.commands.serve import serve
from darkroom.commands.show_version import show_version
from darkroom.commands.verify import verify
from darkroom.console import print_error, print_fault_table

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, WRONG, MISUSED, FAILED, DEFECT, INTERRUPTED = 0, 1, 2, 3, 70, 130

_OURS = frozenset({"config", "darkroom", "db", "processing", "scp"})
_NODE = Group("The node", sort_key=1)
_ARCHIVE = Group("What it has", sort_key=2)
_WORK = Group("What it makes of it", sort_key=3)

app = App(
    name="darkroom",
    help="""A DICOM network node that keeps every image, knows when a series is complete, and develops it.

    With no settings file it listens on 127.0.0.1:11112 as DARKROOM: **darkroom serve**.""",
    help_epilogue="""Exit codes: 0 done; 1 something was refused, failed or found damaged; 2 wrong settings or
    arguments; 3 it could not be done.""",
    help_format="markdown",
    version=lambda: version("dicom-darkroom"),
    group_parameters=Group("Options", sort_key=9),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app["--version"].show = False
app["--help"].show = False
app.command(serve, group=_NODE)
app.command(check_config, group=_NODE)
app.command(show_version, name="version", group=_NODE)
app.command(import_folder, name="import", group=_ARCHIVE)
app.command(find, group=_ARCHIVE)
app.command(send, group=_ARCHIVE)
app.command(verify, group=_ARCHIVE)
app.command(series, group=_WORK)
app.command(close, group=_WORK)
jobs.group = (_WORK,)
app.command(jobs)
app.command(export, group=_WORK)
app.command(replay, group=_WORK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result = app(arguments, exit_on_error=False)
        sys.stdout.flush()
    except CycloptsError:
        return MISUSED  # cyclopts has said what is wrong
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # noqa: BLE001 - main: whatever it is, the operator gets one clear line
        return _explain(error)
    return result if isinstance(result, int) else DONE


def _explain(error: Exception) -> int:
    """Tell the operator what went wrong, and return the exit code."""
    if type(error).__module__.partition(".")[0] in _OURS:
        print_error(str(error), hint=getattr(error, "hint", ""))
        if faults := getattr(error, "faults", ()):
            print_fault_table(faults)
            return MISUSED
        return FAILED
    if isinstance(error, OSError):
        print_error(f"The system refused: {error.strerror or type(error).__name__}.")
        return FAILED
    print_error(f"A defect: {_where(error)}.", hint="Please report it with this line; it holds no data.")
    return DEFECT


def _where(error: Exception) -> str:
    """Return type and place of an error, and not its text: it may hold a patient's data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return (
        f"{type(error).__name__} in {trace.tb_frame.f_globals.get('__name__', '?')}, line {trace.tb_lineno}"
    )
