"""What a metric key means: canonical name, direction, unit.

Keys stay as they were logged. The registry says which of them are the same quantity
(``metrics/mAP50-95(B)`` of Ultralytics, ``metrics/mAP50-95B`` after MLflow has dropped the
parentheses, ``val/mAP`` of one's own loop) and whether more or less of it is better. What it
does not know gets no direction: a guess is only made by `guess_direction`, which a caller has
to ask for and can label as one.

Ratios are stored as 0-1. A table shows them as such (``0.489``); a difference is said in points,
that is times 100 (``+3.1 points``).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DEFAULT_REGISTRY",
    "Direction",
    "Metric",
    "Registry",
    "find_key",
    "format_gain",
    "format_value",
    "guess_direction",
    "resolve",
]

Direction: TypeAlias = Literal["max", "min"]
Unit: TypeAlias = Literal["ratio", "ms", "s", "bytes", "%", ""]


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quantity that runs can be compared on."""

    name: str
    """Canonical name. A split other than val stands in front: ``test/mAP50-95``."""
    direction: Direction | None = None
    """Which way is better; None where there is none (a learning rate) or it is not known."""
    unit: Unit = ""
    """``ratio`` (0-1), ``ms``, ``s``, ``bytes``, ``%`` (0-100), or none."""
    title: str = ""
    """For headings and axes."""
    aliases: tuple[str, ...] = ()
    """Other spellings, preferred ones first. Case and punctuation do not matter."""
    default_min_gain: float | None = None
    """The smallest gain worth having, in the stored unit (0.005 of a ratio is half a point)."""
    bare_is_val: bool = True
    """Whether a key that names no split means validation, as with every quality metric. Losses
    are logged for both, so that ``train/box_loss``, ``val/box_loss`` and ``box_loss`` differ."""
    known: bool = True
    """False for a key that no registry entry describes."""


_CHARTER_FIELDS = {"direction", "unit", "title", "aliases", "default_min_gain"}

_SCOPES = {
    "metrics": "val",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "eval": "val",
    "test": "test",
    "train": "train",
    "training": "train",
}
_SCOPED_KEY = re.compile(rf"({'|'.join(_SCOPES)})[/_.:](.+)", re.IGNORECASE | re.DOTALL)


def _fold(key: str) -> str:
    """Return `key` without case and punctuation: trackers and file formats change both."""
    return re.sub(r"[\W_]+", "", key.casefold()) or key


def _ratio(name: str, title: str, *aliases: str, min_gain: float | None = None) -> Metric:
    return Metric(
        name=name,
        direction="max",
        unit="ratio",
        title=title,
        aliases=aliases,
        default_min_gain=min_gain,
    )


def _error(name: str, title: str, *aliases: str) -> Metric:
    return Metric(name=name, direction="min", title=title, aliases=aliases)


def _loss(name: str) -> Metric:
    title = f"{name.removesuffix('_loss')} loss" if name.endswith("_loss") else "loss"
    return Metric(name=name, direction="min", title=title, bare_is_val=False)


def _detection() -> Iterable[Metric]:
    """Yield the metrics that Ultralytics reports per geometry: boxes, masks, key points."""
    # The box metrics own the bare names; YOLOv5, torchmetrics and MMDetection spell them so.
    # Detectron2's `bbox/AP` is left out on purpose: it is 0-100, not 0-1.
    spellings = {
        "mAP50-95": ("mAP_0.5:0.95", "mAP@.5:.95", "coco/bbox_mAP", "bbox_mAP", "map", "AP"),
        "mAP50": ("mAP_0.5", "mAP@.5", "coco/bbox_mAP_50", "bbox_mAP_50", "map_50", "AP50"),
        "mAP75": ("mAP_0.75", "mAP@.75", "coco/bbox_mAP_75", "bbox_mAP_75", "map_75", "AP75"),
        "mAP50-95-small": (
            "mAP_small",
            "mAP_small(B)",
            "coco/bbox_mAP_s",
            "bbox_mAP_s",
            "map_small",
            "AP_small",
        ),
        "mAP50-95-medium": (
            "mAP_medium",
            "mAP_medium(B)",
            "coco/bbox_mAP_m",
            "bbox_mAP_m",
            "map_medium",
            "AP_medium",
        ),
        "mAP50-95-large": (
            "mAP_large",
            "mAP_large(B)",
            "coco/bbox_mAP_l",
            "bbox_mAP_l",
            "map_large",
            "AP_large",
        ),
        "precision": (),
        "recall": (),
        "f1": ("f1_score",),
    }
    for name, others in spellings.items():
        gain = 0.005 if name.startswith("mAP") else 0.01
        yield _ratio(name, name, f"{name}(B)", *others, min_gain=gain)
        for mark, geometry in (("M", "mask"), ("P", "pose")):
            yield _ratio(f"{name}({mark})", f"{name} {geometry}", min_gain=gain)


# fmt: off
_LOSSES = (
    "loss", "box_loss", "cls_loss", "dfl_loss", "l1_loss", "obj_loss", "giou_loss", "seg_loss",
    "sem_loss", "pose_loss", "kobj_loss", "rle_loss", "angle_loss", "dlog_loss", "dgrad_loss",
)
# fmt: on

_BUILT_IN: tuple[Metric, ...] = (
    *_detection(),
    # sd is about four times that of mAP at equal images: half a point of it means nothing
    _ratio(
        "recall@precision=0.95",
        "recall at precision ≥ 0.95",
        "recall@precision>=0.95",
        "recall_at_precision_95",
        "recall@p95",
        "R@P95",
        min_gain=0.02,
    ),
    _ratio("fitness", "fitness"),
    _ratio("accuracy_top1", "accuracy, top 1", "accuracy", "acc", "top1", "acc1", min_gain=0.005),
    _ratio("accuracy_top5", "accuracy, top 5", "top5", "acc5", min_gain=0.005),
    _ratio("mIoU", "mean IoU", "mean_iou", "miou", min_gain=0.005),
    _ratio("pixel_acc", "pixel accuracy", "pixel_accuracy", "aAcc", min_gain=0.005),
    _ratio("auroc", "area under ROC", "roc_auc", "auc_roc"),
    _ratio("delta1", "δ < 1.25", min_gain=0.005),
    _ratio("delta2", "δ < 1.25²"),
    _ratio("delta3", "δ < 1.25³"),
    _error("abs_rel", "absolute relative error"),
    _error("rmse", "root mean squared error"),
    _error("silog", "scale-invariant log error"),
    _error("mae", "mean absolute error"),
    _error("mse", "mean squared error"),
    *(_loss(name) for name in _LOSSES),
    *(
        Metric(
            name=f"latency_{q}",
            direction="min",
            unit="ms",
            title=f"latency {q}",
            aliases=(f"latency/{q}", f"latency_{q}_ms", f"latency_ms_{q}"),
        )
        for q in ("p50", "p90", "p95", "p99")
    ),
    Metric(name="model_size", direction="min", unit="bytes", title="model size"),
    Metric(name="parameters", direction="min", title="parameters", aliases=("model/parameters",)),
    Metric(name="gflops", direction="min", title="GFLOPs", aliases=("model/GFLOPs",)),
    # coordinates and settings: known, and better in neither direction
    Metric(name="epoch", title="epoch", bare_is_val=False),
    Metric(name="time", unit="s", title="training time", bare_is_val=False),
    *(
        Metric(
            name=f"lr/pg{i}",
            title=f"learning rate, group {i}",
            aliases=(f"x/lr{i}",) if i else ("x/lr0", "lr", "learning_rate"),
        )
        for i in range(8)
    ),
)


class Registry:
    """Which keys are which metric.

    Parameters
    ----------
    metrics
        The entries. Where two claim one spelling the later entry has it.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics: dict[str, Metric] = {}
        self._by_spelling: dict[str, Metric] = {}
        for metric in metrics:
            self.metrics[metric.name] = metric
            for spelling in (metric.name, *metric.aliases):
                self._by_spelling[_fold(spelling)] = metric

    def resolve(self, key: str) -> Metric:
        """Return what `key` means.

        A leading ``val``, ``metrics`` or ``eval`` is understood and dropped from quality metrics;
        ``train`` and ``test`` stay in the name, because those are other quantities. A key that no
        entry describes comes back under its own name with direction None and ``known`` False.
        """
        key = key.strip()
        if metric := self._lookup(key):
            return metric
        if match := _SCOPED_KEY.fullmatch(key):
            scope = _SCOPES[match[1].casefold()]
            if metric := self._lookup(match[2]):
                if scope == "val" and metric.bare_is_val:
                    return metric
                name = f"{scope}/{metric.name}"
                title = f"{metric.title or metric.name} ({scope})"
                scoped = msgspec.structs.replace(metric, name=name, title=title, aliases=())
                return self.metrics.get(name, scoped)
        return Metric(name=key, title=key, known=False)

    def _lookup(self, key: str) -> Metric | None:
        return self._by_spelling.get(_fold(key))

    def find_key(self, canonical: str, available_keys: Iterable[str]) -> str | None:
        """Return the one of `available_keys` that means `canonical`, or None.

        The very spelling asked for wins, then the order of the entry's aliases, then the
        shortest key. A key of another split is never returned.
        """
        keys = sorted(set(available_keys), key=lambda k: (len(k), k))
        if canonical in keys:
            return canonical
        wanted = self.resolve(canonical)
        ranks = {
            _fold(spelling): rank for rank, spelling in enumerate((wanted.name, *wanted.aliases))
        }

        def preference(key: str) -> int:
            match = _SCOPED_KEY.fullmatch(key.strip())
            folded = (_fold(key), _fold(match[2]) if match else "")
            return min(ranks.get(spelling, len(ranks)) for spelling in folded)

        matching = [key for key in keys if self.resolve(key).name == wanted.name]
        return min(matching, key=preference, default=None)

    def with_overrides(self, overrides: Mapping[str, Any]) -> Registry:
        """Return a registry that also knows what a charter says about metrics.

        Parameters
        ----------
        overrides
            Metric key -> ``"max"`` or ``"min"``, or a mapping with any of ``direction``,
            ``unit``, ``title``, ``aliases``, ``default_min_gain``. What is not named keeps the
            value of the entry that the key already resolves to; aliases add to its own.

        Raises
        ------
        InvalidInput
            For an unknown field or a value of the wrong kind, naming the metric.
        """
        added: list[Metric] = []
        for key, given in overrides.items():
            fields = {"direction": given} if isinstance(given, str) else given
            base = self.resolve(key)
            try:
                if unknown := sorted(set(fields) - _CHARTER_FIELDS):
                    raise ValueError(f"there is no field {unknown[0]!r}")
                merged = msgspec.structs.asdict(base) | {"known": True} | dict(fields)
                merged["aliases"] = [*fields.get("aliases", ()), *base.aliases]
                metric = msgspec.convert(merged, Metric)
            except (msgspec.ValidationError, AttributeError, TypeError, ValueError) as error:
                raise InvalidInput(
                    f"Metric {key!r} in the charter cannot be read: {error}",
                    'Write it as "max", "min", or a table with direction, unit, title, aliases, '
                    "default_min_gain",
                ) from None
            added.append(metric)
        return Registry([*self.metrics.values(), *added])


DEFAULT_REGISTRY = Registry(_BUILT_IN)
"""What is known without a charter: the keys of every Ultralytics task and their usual kin."""


def resolve(key: str) -> Metric:
    """Return what `key` means to the default registry; see `Registry.resolve`."""
    return DEFAULT_REGISTRY.resolve(key)


def find_key(canonical: str, available_keys: Iterable[str]) -> str | None:
    """Return the key that means `canonical`, by the default registry; see `Registry.find_key`."""
    return DEFAULT_REGISTRY.find_key(canonical, available_keys)


_LESS = re.compile(
    r"loss|err(or)?s?|time|duration|latency|ms|perplexity|ppl|[wc]er|[mr]?mse|mae|fid|nll|rel|silog"
    r"|distance|divergence|flops|params|memory"
)
_MORE = re.compile(
    r"m?ap\d*|m?ar\d*|acc(uracy)?\d*|precision|recall|f\d*|f1score|m?iou|auc|auroc|auprc|dice|psnr"
    r"|ssim|bleu|rouge\w*|score|reward|return|r2|fps|throughput|top\d+|fitness|delta\d*"
)


def guess_direction(key: str) -> Direction | None:
    """Guess from the words of `key` which way is better; for display, never for a decision.

    Words like loss, error and time mean less is better; acc, AP, F1, recall, IoU, score mean
    more. A word for less outweighs one for more (``precision_loss``). None: no word says.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", key)
    words = [word for word in re.split(r"[\W_]+", spaced.casefold()) if word]
    if any(_LESS.fullmatch(word) for word in words):
        return "min"
    if any(_MORE.fullmatch(word) for word in words):
        return "max"
    return None


def format_value(metric: Metric, value: float | None) -> str:
    """Return `value` (in the metric's stored unit) as a table shows it; None is an en dash."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    match metric.unit:
        case "ratio":
            return f"{value:.3f}"
        case "bytes":
            return _bytes(value)
        case "":
            return f"{value:.4g}"
        case unit:
            return f"{value:.3g} {unit}" if abs(value) < 1000 else f"{value:.0f} {unit}"


def format_gain(metric: Metric, difference: float | None) -> str:
    """Return a difference of two values with its sign; of ratios in points: ``+3.1 points``."""
    if difference is None or not math.isfinite(difference):
        return format_value(metric, difference)
    if metric.unit == "ratio":
        points = difference * 100
        digits = 1 if abs(points) >= 0.1 or points == 0 else 2
        return f"{points:+.{digits}f} points"
    text = format_value(metric, abs(difference))
    return f"{'-' if difference < 0 else '+'}{text}"


def _bytes(value: float) -> str:
    if abs(value) < 1000:
        return f"{value:.0f} B"
    power = min(int(math.log10(abs(value)) // 3), 4)
    return f"{value / 1000**power:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
