"""One run: what was captured, its tree, what a person may change."""

from __future__ import annotations

import msgspec

from epochal.analysis.naming import check, suggest
from epochal.comparison.run_difference import config_difference, parent_of
from epochal.errors import InvalidInput, Refused
from epochal.journal.writer import TooLong
from epochal.records import Evaluated, ImageLogged, Renamed, StopRequested, Tagged, Trashed
from epochal.server.context import Context, last_epoch, planned_epochs
from epochal.server.schema.common import Done
from epochal.server.schema.run import (
    ConsolePage,
    ConsolePart,
    ConsoleQuery,
    DecisionRef,
    Lineage,
    LineageRun,
    MediaImage,
    MediaKey,
    MediaPage,
    MediaQuery,
    NameCheck,
    NameQuery,
    Rename,
    RunDetail,
    StopRequest,
    TagsEdit,
    TrashEdit,
    UsedDataset,
)
from epochal.store.documents import RunDocument, Stamped

__all__ = [
    "check_name",
    "console",
    "edit_tags",
    "edit_trash",
    "lineage",
    "media",
    "rename_run",
    "run",
    "stop_run",
]

_TREE = 500
"""Runs that a tree shows at most."""
_MAX_TAGS = 100


def run(context: Context, run: str) -> RunDetail:
    """Return everything about a run but its points, console and images."""
    change = context.change
    document = context.run(run)
    charter, _ = context.charter(document.project)
    parent = parent_of(context.store, document)
    pin = document.pin
    last = document.attempts[-1] if document.attempts else None
    header = context.store.writer_header(last.writer) if last and last.writer else None
    return RunDetail(
        document=msgspec.structs.replace(
            document, images=[], evaluations=_shown(context, document)
        ),
        number=context.number(document),
        status=context.store.status(document),
        seconds=document.duration,
        epoch=last_epoch(document),
        epochs=planned_epochs(document),
        name_check=check(document.name, charter.naming_pattern),
        aliases=context.aliases(document.project).get(run, []),
        parent=context.ref(parent) if parent is not None else None,
        children=[context.ref(child) for child in _children(context, [document])[:200]],
        decisions=_decisions(context, run),
        dataset=None
        if pin is None
        else UsedDataset(name=pin.dataset, digest=pin.digest, state=pin.state, detail=pin.detail),
        host=header.host if header is not None else "",
        images=len(document.images),
        change=change,
    )


def _shown(context: Context, document: RunDocument) -> list[Stamped]:
    """Return the run's evaluations without numbers that are withheld."""
    return [
        msgspec.structs.replace(stamped, body=msgspec.structs.replace(stamped.body, metrics={}))
        if isinstance(stamped.body, Evaluated) and context.is_withheld(document, stamped.body)
        else stamped
        for stamped in document.evaluations
    ]


def _children(context: Context, parents: list[RunDocument]) -> list[RunDocument]:
    """Return the runs of the project that name one of `parents` as theirs, oldest first."""
    project = parents[0].project
    table = context.table(project)
    ids = [*table.select("not parent is null").ids, *table.select(trashed=True).ids]
    # Ids name one run; a name may be that of several, which only the store can tell.
    named = {text for d in parents for text in (d.id, d.name, f"{d.project}/{d.name}")}
    prefixes = tuple(d.id for d in parents)
    found = []
    for id, given in zip(ids, table.values(ids, "parent"), strict=True):
        if given and (given in named or any(p.startswith(given) for p in prefixes)):
            document = context.run(id)
            parent = parent_of(context.store, document)
            if not document.trashed and parent is not None and parent.id in prefixes:
                found.append(document)
    return sorted(found, key=lambda document: document.created)


def _decisions(context: Context, run: str) -> list[DecisionRef]:
    found = []
    for governed in reversed(context.store.governance("decision")):
        body = governed.body
        candidate = context.ref_of(body.candidate)
        if run in (body.candidate, body.baseline) and candidate is not None:
            found.append(
                DecisionRef(
                    digest=body.digest,
                    t=governed.t,
                    verdict=body.verdict,
                    candidate=candidate,
                    baseline=context.ref_of(body.baseline),
                    author=body.author,
                    override=body.override,
                )
            )
    return found


def lineage(context: Context, run: str) -> Lineage:
    """Return the tree that a run belongs to, from its root down."""
    root = context.run(run)
    seen = {root.id}
    while (above := parent_of(context.store, root)) is not None and above.id not in seen:
        root = above
        seen.add(root.id)
    project = root.project
    charter, _ = context.charter(project)
    registry = charter.registry()
    metric = registry.resolve(charter.metric)
    aliases = context.aliases(project)
    tree: list[tuple[RunDocument, RunDocument | None]] = [(root, None)]
    known, level = {root.id}, [root]
    while level and len(tree) <= _TREE:
        below = []
        for child in _children(context, level):
            parent = parent_of(context.store, child)
            if child.id not in known:
                known.add(child.id)
                tree.append((child, parent))
                below.append(child)
        level = below
    rows = []
    for document, parent in tree[:_TREE]:
        key = registry.find_key(metric.name, document.metrics)
        summary = document.metrics[key] if key is not None else None
        best = summary and (summary.min if metric.direction == "min" else summary.max)
        rows.append(
            LineageRun(
                run=context.ref(document),
                parent=parent.id if parent is not None else None,
                change=config_difference(parent, document).summary() if parent else "",
                value=float(best[1]) if best else None,
                aliases=aliases.get(document.id, []),
            )
        )
    return Lineage(root=root.id, metric=metric.name, runs=rows, truncated=len(tree) > _TREE)


def console(context: Context, query: ConsoleQuery, run: str) -> ConsolePage:
    """Return part of what a run printed; places count from 0."""
    context.run(run)
    total = context.store.console_size(run)
    if query.before is not None:
        end = min(query.before, total)
        start = max(0, end - query.limit)
    elif query.after is not None:
        start = query.after + 1
        end = start + query.limit
    else:
        start = max(0, total - query.limit) if query.tail else 0
        end = start + query.limit
    parts = [
        ConsolePart(place=start + i, t=found.t, stream=found.stream, text=found.text)
        for i, found in enumerate(context.store.console(run, start, max(0, end - start)))
    ]
    return ConsolePage(
        parts=parts, first=start, last=max(start + len(parts) - 1, 0), total=max(total, 0)
    )


def media(context: Context, query: MediaQuery, run: str) -> MediaPage:
    """Return the logged images of one key, newest first, and which keys there are."""
    document = context.run(run)
    images = [(s.t, s.body) for s in document.images if isinstance(s.body, ImageLogged)]
    keys: dict[str, list[int]] = {}
    for _, body in images:
        keys.setdefault(body.key, []).append(body.step)
    key = query.key if query.key is not None else next(iter(sorted(keys)), None)
    fits = [(t, body) for t, body in images if body.key == key and query.step in (None, body.step)]
    fits.sort(key=lambda pair: (-pair[1].step, pair[0]))
    page = fits[query.offset : query.offset + query.limit]
    return MediaPage(
        keys=[
            MediaKey(key=name, steps=sorted(set(steps)), images=len(steps))
            for name, steps in sorted(keys.items())
        ],
        key=key,
        images=[
            MediaImage(
                key=body.key,
                digest=body.digest,
                step=body.step,
                t=t,
                caption=body.caption,
                boxes=list(body.boxes),
            )
            for t, body in page
        ],
        total=len(fits),
    )


# --- changes ------------------------------------------------------------------------------------


def check_name(context: Context, query: NameQuery) -> NameCheck:
    """Return whether a name follows the charter, and a better one where it does not."""
    charter, _ = context.charter(query.project)
    table = context.table(query.project)
    ids = table.select().ids
    others = [
        name for id, name in zip(ids, table.values(ids, "name"), strict=True) if id != query.run
    ]
    difference, parent = None, None
    if query.run is not None:
        document = context.run(query.run)
        parent = parent_of(context.store, document)
        difference = config_difference(parent, document) if parent is not None else None
    suggestion = suggest(parent.name if parent else None, difference, others)
    return NameCheck(
        verdict=check(query.name, charter.naming_pattern, suggestion=suggestion),
        suggestion=suggestion,
        taken=query.name in others,
        policy=charter.naming_policy,
    )


def rename_run(context: Context, body: Rename, run: str) -> Done:
    """Give a run another name; the charter may refuse it."""
    document = context.run(run)
    if any(ord(c) < 32 or ord(c) == 127 for c in body.name) or not body.name.strip():
        raise InvalidInput("a name needs letters and has no control characters")
    charter, _ = context.charter(document.project)
    verdict = check(body.name, charter.naming_pattern)
    if charter.naming_policy == "refuse" and not verdict.ok:
        raise Refused(verdict.problem, verdict.remedy)
    if body.name != document.name:
        context.store.record(Renamed(name=body.name), run)
    return context.done()


def edit_tags(context: Context, body: TagsEdit) -> Done:
    """Add and remove tags; a run that has them, or lacks them, already is left alone."""
    documents = context.runs(body.runs)
    for document in documents:
        tags = tuple(dict.fromkeys((*document.tags, *body.add)))
        tags = tuple(tag for tag in tags if tag not in body.remove)
        if len(tags) > _MAX_TAGS:
            raise InvalidInput(
                f"{document.name} would have {len(tags)} tags, {_MAX_TAGS} are possible"
            )
        if tags != document.tags:
            try:
                context.store.record(Tagged(tags=tags), document.id)
            except TooLong as error:
                raise InvalidInput(f"the tags of {document.name} are too long") from error
    return context.done()


def edit_trash(context: Context, body: TrashEdit) -> Done:
    """Move runs into the trash, or back; those that are there already are left alone."""
    for document in context.runs(body.runs):
        if document.trashed != body.on:
            context.store.record(Trashed(on=body.on), document.id)
    return context.done()


def stop_run(context: Context, body: StopRequest, run: str) -> Done:
    """Ask a training to end at its next epoch.

    Raises
    ------
    Refused
        If it is not running.
    """
    document = context.run(run)
    status = context.store.status(document)
    if status not in ("running", "stale"):
        raise Refused(f"run {document.name} is {status}: there is nothing to stop")
    if not document.stop_requested:
        context.store.record(StopRequested(reason=body.reason), run)
    return context.done()
