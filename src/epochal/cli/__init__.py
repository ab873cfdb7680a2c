"""The command line: one module per noun, each imported when its command is used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from epochal.cli.failures import EpochalGroup
from epochal.version import __version__

__all__ = ["main"]

_COMMANDS = {
    # name: (module, help, section)
    "init": ("init", "Set up a project here: workspace and commented epochal.toml.", "Start"),
    "demo": ("demo", "See the whole path on a small real training.", "Start"),
    "run": ("run", "Run a training command, unmodified, and record it.", "Train"),
    "stop": ("run", "Ask a running training to end at its next epoch.", "Train"),
    "import": ("imports", "Take in finished runs of another tool.", "Train"),
    "ui": ("ui", "See, compare and decide in the browser.", "Look"),
    "runs": ("runs", "List runs; filter and sort them.", "Look"),
    "show": ("show", "Show one run: config, results, artifacts, lesson.", "Look"),
    "compare": ("compare", "Compare runs: curves, what changed, per-class AP.", "Look"),
    "lesson": ("lesson", "Write down what a run taught.", "Learn"),
    "lessons": ("lesson", "Search all lessons; list undocumented runs.", "Learn"),
    "dataset": ("dataset", "Tag, list and check dataset versions.", "Decide"),
    "evaluate": ("evaluate", "Measure a run's weights on a split.", "Decide"),
    "decide": ("decide", "Four gates: ship, or which experiment next.", "Decide"),
    "latency": ("latency", "Measure inference latency as the gate wants it.", "Decide"),
    "baseline": ("baseline", "Show or set what the project compares against.", "Decide"),
    "charter": ("charter", "Show, check and change the project's rules.", "Decide"),
    "ledger": ("ledger", "Show and verify every look at test images.", "Decide"),
    "promote": ("promote", "Name a decided run as what is deployed.", "Ship"),
    "handoff": ("handoff", "Write the winner with its evidence; verify on arrival.", "Ship"),
    "rename": ("edit", "Give a run another name.", "Keep"),
    "tag": ("edit", "Set or remove tags of a run.", "Keep"),
    "trash": ("edit", "Hide a run, or bring it back.", "Keep"),
    "purge": ("edit", "Delete a run for good.", "Keep"),
    "backup": ("backup", "Write the whole workspace into one file.", "Keep"),
    "restore": ("backup", "Unpack a backup.", "Keep"),
    "export": ("exports", "Give runs out to other tools.", "Keep"),
    "doctor": ("doctor", "Check journals, index and blobs; say what is wrong.", "Keep"),
}


class _Commands(EpochalGroup):
    """Finds commands by name without importing the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        place = f"epochal.cli.{_COMMANDS[cmd_name][0]}"
        if find_spec(place) is None:
            return None
        module = import_module(place)
        command: Any = getattr(module, f"{cmd_name}_command")
        return command  # type: ignore[no-any-return] # each module exports NAME_command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(section for *_, section in _COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name, text) for name, (_, text, own) in _COMMANDS.items() if own == section]
                )


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="epochal")
def main() -> None:
    """Track trainings, compare them on one metric, decide with evidence, keep the lesson.

    New here? `epochal demo` shows the whole path in a minute; `epochal init` sets up a project.
    """
