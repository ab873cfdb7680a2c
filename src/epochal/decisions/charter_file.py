"""``epochal.toml``: where a project's rules are proposed, reviewed and explained."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from epochal.decisions.charter import Charter
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FILE_NAME", "default_toml", "find_toml", "read_toml"]

FILE_NAME = "epochal.toml"

_REQUIRED = re.compile(r"missing required field `(?P<field>[^`]+)`")
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]+)`")
_CHOICES = {
    field.encode_name: field.type.values
    for field in inspect.type_info(Charter).fields  # type: ignore[attr-defined] # a struct's has them
    if isinstance(field.type, inspect.LiteralType)
}
_PLACE = re.compile(r" - at `(key in )?\$\.?(?P<path>[^`]*)`$")


def find_toml(start: Path) -> Path | None:
    """Return the nearest ``epochal.toml`` in `start` or a folder above it."""
    here = start.absolute()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def read_toml(path: Path) -> Charter:
    """Return the charter that the file at `path` proposes. What it does not name is the default.

    Raises
    ------
    InvalidInput
        If the file is not there, not TOML, or holds a key or value that a charter does not have;
        the message names file, line and key, and the accepted ones.
    """
    # A training starts faster without the parser, and needs the file only in a new project.
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"cannot read {path}: {reason}", "`epochal init` writes one") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(
            f"{path} is not TOML: {error}", "https://toml.io has the rules"
        ) from None
    try:
        charter = msgspec.convert(values, Charter)
    except msgspec.ValidationError as error:
        raise _explained(path, text, values, str(error)) from None
    for field in ("naming_pattern", "group_of"):
        try:
            re.compile(getattr(charter, field))
        except re.error as error:
            raise InvalidInput(
                f"{path}{_line(text, field)}: {field} is no regular expression: {error}",
                "correct it, or remove it for the default",
            ) from None
    try:
        metric = charter.registry().resolve(charter.metric)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path}{_line(text, 'metrics')}: {error.message}", error.remedy
        ) from None
    if metric.direction is None:
        raise InvalidInput(
            f"{path}{_line(text, 'metric')}: nothing says whether more or less of "
            f"{charter.metric!r} is better",
            f'add "{charter.metric}" = "max" (or "min") below [metrics], or use mAP50-95',
        )
    return msgspec.structs.replace(charter, metric=metric.name)


def _explained(path: Path, text: str, values: dict[str, Any], error: str) -> InvalidInput:
    """Turn msgspec's message into one for a person who looks at the file."""
    accepted = ", ".join(Charter.__struct_fields__)
    if missing := _REQUIRED.search(error):
        field = missing["field"]
        return InvalidInput(f"{path}: {field} is missing", f'add {field} = "..." at the top')
    if unknown := _UNKNOWN.search(error):
        field = unknown["field"]
        close = difflib.get_close_matches(field, Charter.__struct_fields__, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        return InvalidInput(
            f"{path}{_line(text, field)}: there is no key {field!r}", f"{hint}Keys are {accepted}"
        )
    place = _PLACE.search(error)
    key = place["path"].partition(".")[0].partition("[")[0] if place else ""
    wanted = _PLACE.sub("", error)
    if key in _CHOICES:
        wanted = f"expected {' or '.join(map(repr, _CHOICES[key]))}"
    given = f", not {values[key]!r}" if key in values and "got" not in wanted else ""
    default = next((f.default for f in msgspec.structs.fields(Charter) if f.name == key), None)
    return InvalidInput(
        f"{path}{_line(text, key)}: {key}: {wanted[:1].lower()}{wanted[1:]}{given}",
        f"The default is {default!r}" if isinstance(default, str | int | float) else "",
    )


def _line(text: str, key: str) -> str:
    """Return ``:N`` for the first line that sets `key` or opens its table; empty if none does."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    pattern = re.compile(rf"\s*({name}\s*[.=]|\[\s*{name}\s*[\].])")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f":{number}"
    return ""


def default_toml(project: str) -> str:
    """Return the commented ``epochal.toml`` that a new project starts with: the defaults."""
    charter = Charter(project=project)
    values = {
        field: msgspec.json.encode(value).decode()
        for field, value in msgspec.structs.asdict(charter).items()
    }
    # A regular expression reads best as a literal string, without doubled backslashes.
    for field in ("naming_pattern", "group_of"):
        values[field] = f"'{getattr(charter, field)}'"
    return _TEMPLATE.format(**values)


_TEMPLATE = """\
# The charter of this project: how two trainings are compared, and what may ship.
#
# Decide these rules before you see numbers, and review changes like code. This file proposes;
# in force is what was recorded last. The first command that needs the rules records version 1.
# After an edit: `epochal charter apply -m "why"`. Until then `epochal decide` refuses.

project = {project}


# --- What counts as better -------------------------------------------------------------------

# The one metric that decides. Others are shown, but cannot be picked afterwards because they
# happen to look good.
metric = {metric}

# The smallest gain worth shipping, in points (0.5 points: 0.412 -> 0.417). This says what is
# relevant, not what is real: retraining the very same recipe with another seed moves a detector
# by half a point in about one case out of three.
min_gain = {min_gain}

# "evidence": a gain must also stand out from noise, measured by resampling the images.
# "literal":  bare numbers are compared. Simple, and wrong about every third time on small sets.
rule_set = {rule_set}

# Images that are frames of clips (or come from few sites) show the same thing again: drawing them
# one by one makes the interval far too narrow. A regular expression for the part of an image's
# name that says which clip it is from, e.g. '^(.*)_frame' or '(site\\d+)'. Empty: no clips.
group_of = {group_of}

# How often a recipe that is no better may pass on val: 5 %.
alpha = {alpha}

# A better mean must not hide a broken class: every class keeps 90 % of the baseline's AP, or in
# a classifier of its recall. Only a drop that noise does not explain blocks; dips within noise
# are listed.
keep_share = {keep_share}

# true: any class below that share blocks, noise or not. With 20 classes and 500 images even an
# equal model fails this nine times out of ten.
strict_floor = {strict_floor}

# A class with fewer objects, or in fewer images, is too rare to judge alone: it is named.
min_instances = {min_instances}
min_images = {min_images}

# Who computes the numbers. Libraries (and versions of one) define AP differently, by up to
# several points; numbers of two evaluators are never compared.
evaluator = {evaluator}


# --- The test set ----------------------------------------------------------------------------

# Tune on val, decide on test. Only a run that wins on val is measured on this split.
split = {split}

# Every look at the test set uses it up a little: the best of ten equal models looks better by
# 1.5 standard errors. Looks are kept in a ledger; after this many the set is spent and a new
# one is needed. Ten is right for about 5000 images; with 500, think of one or two.
test_budget = {test_budget}

# How often all looks at one test set together may let an equal model pass: 10 %. Look number k
# gets alpha_family / (k (k + 1)) of it.
alpha_family = {alpha_family}

# Whose test numbers are shown: "winners", or "all". A loser learns the verdict only, because a
# number that the next attempt is tuned against is spent.
reveal_test = {reveal_test}


# --- Latency on the target device --------------------------------------------------------------

# The slowest acceptable inference in milliseconds: the upper bound of the 95th percentile.
# Without it there is no latency gate.
# latency_budget_ms = 15.0

# The device as its measurements name it, and the images per call. Only measurements on that
# device count; a trainer's throughput never does.
latency_device = {latency_device}
latency_batch = {latency_batch}


# --- Discipline ----------------------------------------------------------------------------------

# A name that is still understood next year: <version>_<what_changed>, e.g. v3_pallets_added.
naming_pattern = {naming_pattern}

# "warn" or "refuse": what happens to a run with another name.
naming_policy = {naming_policy}

# A result is worth what is known about its data. On data without a tagged version:
# "require" refuses to start and says how to tag it, "auto" tags it, "warn" only warns.
dataset_policy = {dataset_policy}


# --- The first version ---------------------------------------------------------------------------

# There is nothing yet to compare it with: it ships when it reaches the floors below on the
# deciding split and the person named here decides. Name, login or e-mail address.
first_version_approver = {first_version_approver}

[first_version_floors]
# "mAP50-95" = 0.40


# --- Metrics of your own -------------------------------------------------------------------------

# Say which way is better for what you log yourself, or give another spelling of a known metric.
[metrics]
# "val/defects_missed" = "min"
# "defect_recall" = {{ direction = "max", unit = "ratio", aliases = ["val/defect_recall"] }}
"""
