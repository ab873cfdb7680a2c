"""How commands fail: one line that says what and what next, exit code 2, nothing changed."""

from __future__ import annotations

import sys
from typing import Any

import click

from epochal.errors import EpochalError

__all__ = ["EpochalGroup", "fail"]


def fail(error: EpochalError, *, as_json: bool = False) -> None:
    """Print `error` to stderr, as text or JSON, and exit with 2."""
    if as_json:
        import msgspec

        found = {
            "error": {
                "type": type(error).__name__,
                "message": error.message,
                "remedy": error.remedy,
            }
        }
        click.echo(msgspec.json.encode(found).decode(), err=True)
    else:
        click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
        if error.remedy:
            click.echo(click.style("  try: ", fg="cyan") + error.remedy, err=True)
    sys.exit(2)


class EpochalGroup(click.Group):
    """A group whose commands turn our errors, and the disk's, into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EpochalError as error:
            fail(error, as_json="--json" in sys.argv)
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            fail(EpochalError(f"{error.strerror or error}{place}"), as_json="--json" in sys.argv)
