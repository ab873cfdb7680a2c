"""HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["SHOWN", "table"]

SHOWN = 50
"""Rows that are shown of a longer table."""


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """Return an HTML table; every cell is escaped."""
    titles = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f"<table>{f'<tr>{titles}</tr>' if head else ''}{body}</table>"
