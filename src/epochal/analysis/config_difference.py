"""What differs between two runs' configurations, and whether that is one change or several.

A result can be laid to a change only where there is exactly one. So the difference separates what
changes a training from what merely differs (paths, names, workers, seeds), counts a dataset
version and a code commit as changes like any other, and calls more than one *confounded*.

The difference is taken on what was *requested*. What the trainer made of it is *effective* and
follows from it (an image size rounded to the stride, a learning rate chosen by
``optimizer: auto``): counting it as well would count one decision twice, so it is only listed,
where it differs although nothing that was requested under that key does.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import Any, Literal, TypeAlias

import msgspec

from epochal.analysis.ultralytics_defaults import ULTRALYTICS_DEFAULTS, is_ultralytics

__all__ = ["DEFAULT_NOISE", "Change", "ConfigDifference", "difference", "flatten"]

Kind: TypeAlias = Literal["changed", "added", "removed"]
Source: TypeAlias = Literal["config", "dataset", "commit"]
Ignored: TypeAlias = Literal["", "noise", "seed", "default", "type", "dataset"]

# fmt: off
_NOISE_AT_ANY_DEPTH = (
    # where things lie
    "save_dir", "output_dir", "out_dir", "work_dir", "log_dir", "logdir", "logging_dir",
    "checkpoint_dir", "cache_dir", "exist_ok", "run_id", "run_name", "experiment_name", "hostname",
    # how the machine is used; not how many devices, which can change the effective batch
    "device", "gpu", "local_rank", "workers", "num_workers", "dataloader_num_workers",
    "pin_memory", "persistent_workers",
    # what is shown and logged
    "verbose", "log_every*", "log_interval", "logging_steps", "report_to", "disable_tqdm",
)
# In a nested part of a config these may be anything (`optimizer.name`): noise at the top only.
_NOISE_AT_THE_TOP = (
    "name", "project", "experiment", "timestamp", "user", "host", "resume", "cache", "profile",
    "plots", "save", "save_*", "show", "show_*", "line_width", "visualize", "wandb", "wandb.*",
    "mlflow", "mlflow.*",
    # what a script hands on to `epochal.init`, in a config that is all of its arguments
    "parent", "group", "tags", "hypothesis",
)
_SEEDS = {"seed", "random_seed", "manual_seed", "global_seed", "rng_seed", "random_state"}
_DATA = {"data", "data_dir", "data_root", "data_path", "dataset", "dataset_path", "dataset_root"}
# fmt: on

DEFAULT_NOISE: frozenset[str] = frozenset(
    (*_NOISE_AT_THE_TOP, *_NOISE_AT_ANY_DEPTH, *(f"*.{key}" for key in _NOISE_AT_ANY_DEPTH))
)
"""Patterns of keys that differ between runs without changing what is learnt; see `difference`."""

_NO_DEFAULT = object()
_PLAIN = frozenset({str, int, float, bool, type(None), list, tuple})
"""Nearly all values: asking an abstract class about each would be half of a comparison's time."""
_JSON_NAMES = {"None": "null", "True": "true", "False": "false"}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One key whose value differs between a and b."""

    key: str
    """Dotted path; ``dataset`` or ``commit`` where `source` says so."""
    kind: Kind
    before: Any = None
    after: Any = None
    source: Source = "config"
    ignored: Ignored = ""
    """Why it does not count: a noise key, a seed, a default spelled out, the same value in
    another type, or a data path that the dataset version speaks for. Empty: it counts."""

    def __str__(self) -> str:
        if self.kind == "added":
            return f"{self.key} {_text(self.after)} added"
        if self.kind == "removed":
            return f"{self.key} removed (was {_text(self.before)})"
        before, after = _text(self.before), _text(self.after)
        if before == after:
            before, after = (
                f"{text} ({type(value).__name__})"
                for text, value in ((before, self.before), (after, self.after))
            )
        return f"{self.key} {before} -> {after}"


class ConfigDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How b differs from a."""

    changes: tuple[Change, ...] = ()
    """What counts: the dataset version first, then config keys by name, then the commit."""
    ignored: tuple[Change, ...] = ()
    effective: tuple[Change, ...] = ()
    """What the trainer resolved differently although the same was requested."""

    @property
    def count(self) -> int:
        """How many changes count."""
        return len(self.changes)

    @property
    def confounded(self) -> bool:
        """Whether more than one change could explain a difference in results."""
        return self.count > 1

    @property
    def replicate(self) -> bool:
        """Whether the two runs are the same recipe under two seeds."""
        return self.count == 0 and any(change.ignored == "seed" for change in self.ignored)

    def of_kind(self, kind: Kind) -> tuple[Change, ...]:
        """Return the changes that count and are ``changed``, ``added`` or ``removed``."""
        return tuple(change for change in self.changes if change.kind == kind)

    def summary(self, limit: int = 5) -> str:
        """Return one line: how many changes, and the first `limit` of them."""
        if self.replicate:
            seeds = ", ".join(str(c) for c in self.ignored if c.ignored == "seed")
            return f"no change, a replicate: {seeds}"
        if not self.changes:
            return "no change"
        head = f"{self.count} changes, confounded" if self.confounded else "1 change"
        listed = ", ".join(map(str, self.changes[:limit]))
        more = f" and {self.count - limit} more" if self.count > limit else ""
        return f"{head}: {listed}{more}"


def difference(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    dataset: tuple[str | None, str | None] | None = None,
    commit: tuple[str | None, str | None] | None = None,
    effective: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
    noise: Iterable[str] = DEFAULT_NOISE,
) -> ConfigDifference:
    """Return what changed from configuration `a` (the parent) to `b`.

    Parameters
    ----------
    a, b
        Requested configurations, nested or already flattened with dots. ``1`` equals ``1.0``;
        ``0.1`` and ``"0.1"`` are one value in two types, which is listed but does not count
        (some trackers store every parameter as text). Lists are compared as wholes.
    dataset
        Dataset versions of a and b. Where both are known they speak for the ``data`` key, whose
        path is then ignored.
    commit
        Code commits of a and b; an abbreviated hash equals the full one. Not compared where one
        is unknown.
    effective
        What the trainer made of a and b.
    noise
        Patterns (``*`` and ``?``, case does not matter) that a whole dotted key has to match.

    Notes
    -----
    Where a key is on one side only, the other side had the trainer's default. If one side is a
    full Ultralytics configuration and the value is Ultralytics' own default, nothing changed.
    """
    is_noise = _matcher(frozenset(noise))
    left, right = flatten(a), flatten(b)
    defaults = ULTRALYTICS_DEFAULTS if is_ultralytics(left) or is_ultralytics(right) else {}
    pinned = dataset is not None and bool(dataset[0]) and bool(dataset[1])
    real: list[Change] = []
    ignored: list[Change] = []
    for change in _changes(left, right):
        reason = _ignored(change, is_noise, defaults, pinned=pinned)
        if reason:
            ignored.append(msgspec.structs.replace(change, ignored=reason))
        else:
            real.append(change)
    if dataset is not None and pinned and dataset[0] != dataset[1]:
        real.insert(0, _pair("dataset", *dataset))
    if commit is not None and commit[0] and commit[1] and not _same_commit(commit[0], commit[1]):
        real.append(_pair("commit", *map(_short, commit)))
    resolved = _changes(*map(flatten, effective)) if effective is not None else []
    requested = {change.key for change in (*real, *ignored)}
    return ConfigDifference(
        changes=tuple(real),
        ignored=tuple(ignored),
        effective=tuple(
            change
            for change in resolved
            if change.key not in requested
            and not _ignored(change, is_noise, defaults, pinned=pinned)
        ),
    )


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `config` with dotted keys; an empty mapping stays a value, lists are values."""
    flat: dict[str, Any] = {}
    # a stack, not recursion: how deep a user's config goes is not ours to limit
    pending: list[tuple[str, Any]] = [(str(key), config[key]) for key in reversed(list(config))]
    while pending:
        key, value = pending.pop()
        if type(value) not in _PLAIN and isinstance(value, Mapping) and value:
            pending.extend((f"{key}.{inner}", value[inner]) for inner in reversed(list(value)))
        else:
            flat[key] = value
    return flat


def _changes(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Change]:
    changes = []
    for key in sorted(left.keys() | right.keys()):
        if key not in right:
            changes.append(Change(key=key, kind="removed", before=left[key]))
        elif key not in left:
            changes.append(Change(key=key, kind="added", after=right[key]))
        elif not _equal(left[key], right[key]):
            changes.append(Change(key=key, kind="changed", before=left[key], after=right[key]))
    return changes


@functools.lru_cache(maxsize=32)
def _matcher(patterns: frozenset[str]) -> Callable[[str], object]:
    """Return what tells whether a key, in lower case, matches any of the patterns."""
    return re.compile("|".join(translate(p.casefold()) for p in sorted(patterns)) or r"(?!)").match


def _ignored(
    change: Change, is_noise: Callable[[str], object], defaults: Mapping[str, Any], *, pinned: bool
) -> Ignored:
    """Return why `change` does not count; empty if it does."""
    key = change.key.casefold()
    last = key.rpartition(".")[2]
    if last in _SEEDS:
        return "seed"
    if pinned and last in _DATA:
        return "dataset"
    if is_noise(key):
        return "noise"
    if change.kind == "changed":
        return "type" if _retyped(change.before, change.after) else ""
    value = change.after if change.kind == "added" else change.before
    default = defaults.get(change.key, _NO_DEFAULT)
    if _equal(value, default) or _retyped(value, default):
        return "default"
    return ""


def _equal(a: Any, b: Any) -> bool:
    """Whether two config values are the same: numbers by value, NaN to itself, bool no number."""
    if a is b:
        return True
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b or (a != a and b != b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b)


def _retyped(a: Any, b: Any) -> bool:
    """Whether `a` and `b` are one value of which one, or both, came as text."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(
            _equal(*ab) or _retyped(*ab) for ab in zip(a, b, strict=True)
        )
    text, value = (a, b) if isinstance(a, str) else (b, a)
    if not isinstance(text, str):
        return False
    text = text.strip()
    if isinstance(value, str):
        number = _number_in(text)
        return number is not None and _equal(number, _number_in(value))
    if value is None:
        return text.casefold() in ("none", "null", "")
    if isinstance(value, bool):
        return text.casefold() == str(value).casefold()
    if isinstance(value, int | float):
        return _equal(_number_in(text), value)
    return isinstance(value, list | tuple | Mapping) and _bare(text) == _bare(str(value))


def _number_in(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _bare(text: str) -> str:
    """Return a collection's text without what Python and JSON write differently."""
    bare = re.sub(r"""[\s'"]|,(?=[])])""", "", text).replace("(", "[").replace(")", "]")
    return re.sub(r"\b(None|True|False)\b", lambda m: _JSON_NAMES[m[1]], bare)


def _text(value: Any, limit: int | None = 40) -> str:
    """Return `value` as a line shows it, shortened to `limit` characters."""
    if isinstance(value, str):
        text = value if value.strip() else repr(value)
    elif isinstance(value, bool) or value is None:
        text = json.dumps(value)
    elif isinstance(value, int | float):
        text = f"{value:.15g}" if isinstance(value, float) else str(value)
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(_text(item, limit=None) for item in value)}]"
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


def _pair(source: Literal["dataset", "commit"], before: str | None, after: str | None) -> Change:
    return Change(key=source, kind="changed", before=before, after=after, source=source)


_HASH = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)


def _short(commit: str | None) -> str | None:
    return commit[:7] if commit and _HASH.fullmatch(commit) else commit


def _same_commit(a: str, b: str) -> bool:
    if _HASH.fullmatch(a) and _HASH.fullmatch(b):
        short, long = sorted((a.casefold(), b.casefold()), key=len)
        return long.startswith(short)
    return a == b
