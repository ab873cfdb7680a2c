"""How commands fail: one line that says what and what next, exit code 2, nothing changed."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Any

import click

from epochal.errors import EpochalError, InvalidInput

__all__ = ["EpochalGroup", "fail"]

_PLAIN = str.maketrans(
    {"●": "*", "✗": "x", "✓": "+", "✔": "+", "▶": ">", "■": "#", "·": "-", "–": "-", "—": "-"}
    | {"…": "~", "±": "~", "×": "x", "→": ">", "−": "-", "≥": ">=", "≤": "<=", "σ": "sd"}
    | dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True))
)
"""What our pages draw with, for terminals that cannot."""


def _drawn_plainly(error: UnicodeError) -> tuple[str, int]:
    """Stand in for characters that an encoding lacks: a page with a ``?`` beats a crash."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(c if c.isascii() else "?" for c in text), error.end


codecs.register_error("epochal.plain", _drawn_plainly)


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `args`, noting whether errors are to be JSON."""
        # What stands behind `--` is another program's.
        own = args[: args.index("--")] if "--" in args else args
        ctx.meta.setdefault("epochal.json", "--json" in own)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; end with exit code 2 where it fails."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="epochal.plain")
        try:
            return super().invoke(ctx)
        except EpochalError as error:
            fail(error, as_json=ctx.meta["epochal.json"])
        except click.UsageError as error:
            if not ctx.meta["epochal.json"]:
                raise
            place = error.ctx.command_path if error.ctx is not None else ctx.command_path
            problem = InvalidInput(error.format_message(), f"`{place} --help` tells how")
            fail(problem, as_json=True)
        except BrokenPipeError:
            raise  # `epochal runs | head`: click ends quietly
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            failed = EpochalError(f"{error.strerror or error}{place}")
            fail(failed, as_json=ctx.meta["epochal.json"])
