"""What several parts of the API share."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from epochal.records import Status

__all__ = [
    "AnyProjectQuery",
    "Cell",
    "Digest",
    "Done",
    "Markdown",
    "MarkdownText",
    "Name",
    "Problem",
    "ProjectQuery",
    "Reason",
    "RunId",
    "RunRef",
]

RunId: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Digest: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=250)]
Reason: TypeAlias = Annotated[str, Meta(max_length=2000)]

Cell: TypeAlias = Any
"""A value in a table: null, boolean, number, text or a list of texts."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered (RFC 9457, ``application/problem+json``)."""

    type: str
    title: str
    status: int
    detail: str
    """What happened, in one line."""
    code: str
    """Stable, for programs: ``not-found``, ``invalid-input``, ``refused``, ``conflict`` ..."""
    remedy: str
    """What can be done about it, in one line; may be empty."""
    id: str
    """Names the request in the server's log; empty where nothing is logged."""


class RunRef(msgspec.Struct, frozen=True, kw_only=True):
    """Enough of a run to name it and link to it."""

    id: str
    name: str
    project: str
    status: Status
    number: int
    """Which run of its project it is, by start; 0 where it was purged. Its colour follows."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A change was made and is durable."""

    change: int
    """The change counter from which on reads show it."""


class MarkdownText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Markdown to render."""

    text: Annotated[str, Meta(max_length=100_000)]


class Markdown(msgspec.Struct, frozen=True, kw_only=True):
    """Rendered Markdown: sanitised, without images or links that load or run anything."""

    html: str


class ProjectQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which project."""

    project: str


class AnyProjectQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which project; None: of all."""

    project: str | None = None
