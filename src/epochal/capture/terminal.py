"""From the characters that a program prints to the lines a terminal would end up showing.

A progress bar rewrites its line some ten times a second. Kept as printed, a night's console is
hundreds of megabytes of bars; kept as shown it is what a person remembers.

The model, by code points (a wide character is one column, a tab one character): carriage return,
backspace and the cursor movements up, down, right, left and to a column move; printing overwrites;
erasing to the right, to the left, the line, and everything below erases; all other escape
sequences (colours, links, titles) and control characters leave no trace. Trailing blanks are not
kept. Escape sequences follow ECMA-48; see also ctlseqs(xterm).
"""

from __future__ import annotations

import re

__all__ = ["LINE_LIMIT", "Terminal"]

LINE_LIMIT = 8_192
"""Characters that are kept of a line; how many more there were is said at its end."""

_FARTHEST = 10_000_000
_OPEN_ROWS = 200
_ROWS_IN_REACH = 50
"""How far up a program can still rewrite once very many rows are open."""

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x08\x0a-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<parameters>[0-?]{0,64})[ -/]{0,8}(?P<final>[@-~])"
    r"|\x1b[\]P_^X][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)"
    r"|\x1b[ -/]{1,8}[0-~]"
    r"|\x1b[0-OQ-WYZ`-~\\]"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])"
)
_UNFINISHED = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|[\]P_^X][^\x07\x1b\n]{0,4096}\x1b?|[ -/]{0,8})\Z"
)
_LONGEST_SEQUENCE = 4_100


class Terminal:
    """Assemble the lines of one stream.

    However the text is cut into calls of `feed`, the lines are the same. Rows above the cursor
    become final with `take`: a program that moves up afterwards rewrites from the first row that
    is still open.
    """

    def __init__(self) -> None:
        self._rows = [""]
        self._widths = [0]
        """Columns that were printed to, which may be more than a row keeps."""
        self._row = 0
        self._column = 0
        self._carry = ""
        self._done: list[str] = []

    @property
    def pending(self) -> int:
        """Characters held in rows that are not final yet."""
        return sum(map(len, self._rows)) + len(self._carry)

    def feed(self, text: str) -> None:
        """Print `text`."""
        if self._carry:
            text, self._carry = self._carry + text, ""
        tail = text.rfind("\x1b", max(len(text) - _LONGEST_SEQUENCE, 0))
        if tail > 0 and text[tail - 1 :].startswith("\x1b\x1b"):
            pass
        for start in self._escape_starts(text):
            if _UNFINISHED.match(text, start):
                text, self._carry = text[:start], text[start:]
                break
        for token in _TOKEN.finditer(text):
            kind = token.lastgroup
            if kind == "text":
                self._print(token[0])
            elif kind == "control":
                self._control(token[0])
            elif kind == "final":
                self._move_or_erase(token["final"], token["parameters"])

    def take(self) -> list[str]:
        """Return the lines that are final since the last call, without line breaks."""
        self._settle(self._row)
        done, self._done = self._done, []
        return done

    def finish(self) -> list[str]:
        """Return all that is left, the unfinished line as well, and begin anew."""
        carry, self._carry = self._carry, ""
        self._print(carry.lstrip("\x1b"))
        last = len(self._rows)
        while last > self._row and not self._rows[last - 1].rstrip(" "):
            last -= 1
        self._settle(last)
        done = self._done
        self.__init__()  # type: ignore[misc]
        return done
