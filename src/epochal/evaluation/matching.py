"""Matching detections to ground truth, as COCO does and for the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.columns import Bools, Floats, Ints
from epochal.evaluation.detections import area_of
from epochal.evaluation.evaluators import EPOCHAL
from epochal.evaluation.match_records import COCO_THRESHOLDS, MatchRecords, count_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from epochal.evaluation.detections import Boxes

__all__ = [
    "AGNOSTIC_IOU",
    "ALL",
    "LARGE",
    "MEDIUM",
    "SMALL",
    "Matcher",
    "PairSimilarity",
    "Similarity",
    "bbox_iou",
    "match",
]

Rows: TypeAlias = "NDArray[np.intp]"
PairSimilarity: TypeAlias = "Callable[[Rows, Rows], Floats]"
"""Rows of predictions and rows of truth, pairwise -> similarity in 0..1 of each pair."""
Similarity: TypeAlias = "Callable[[Boxes], PairSimilarity]"
"""Prepared once for the boxes of an evaluation, then asked for many pairs."""

ALL = (0.0, 1e10)
SMALL = (0.0, 32.0**2)
MEDIUM = (32.0**2, 96.0**2)
LARGE = (96.0**2, 1e10)
"""COCO's area ranges in square pixels, both ends included."""

AGNOSTIC_IOU = 0.45
"""IoU that a match for the confusion matrix must exceed (Ultralytics' default)."""

_PAIRS_AT_ONCE = 1 << 19
_NEVER_EXACT = 1 - 1e-10  # pycocotools asks for less than 1 even at threshold 1


def bbox_iou(boxes: Boxes) -> PairSimilarity:
    """Return intersection over union of box pairs as pycocotools computes it, bit for bit.

    No pixel is added to the sides. With a crowd the denominator is the area of the detection.
    """
    truth, pred = boxes.truth_xyxy.T.copy(), boxes.pred_xyxy.T.copy()
    truth_area, pred_area = area_of(boxes.truth_xyxy), boxes.pred_area
    crowd = boxes.truth_crowd

    def iou(p: Rows, t: Rows) -> Floats:
        similarity = np.zeros(len(p))
        w = np.minimum(pred[2][p], truth[2][t]) - np.maximum(pred[0][p], truth[0][t])
        hit = np.flatnonzero(w > 0)  # most pairs end here: what follows is for the few others
        p, t, w = p[hit], t[hit], w[hit]
        h = np.minimum(pred[3][p], truth[3][t]) - np.maximum(pred[1][p], truth[1][t])
        high = h > 0
        hit, p, t = hit[high], p[high], t[high]
        overlap = w[high] * h[high]
        union = pred_area[p] + truth_area[t] - overlap
        similarity[hit] = overlap / np.where(crowd[t], pred_area[p], union)
        return similarity

    return iou


def match(
    boxes: Boxes,
    *,
    similarity: Similarity = bbox_iou,
    max_detections: int = 100,
    thresholds: Sequence[float] = COCO_THRESHOLDS,
    area: tuple[float, float] = ALL,
    agnostic_iou: float = AGNOSTIC_IOU,
) -> MatchRecords:
    """Match every detection at every threshold by COCO's rule.

    Per image and class, by falling score (equal scores: the detector's order), each detection
    takes the most similar object that is still free and reaches the threshold; of equally similar
    ones the later. Objects that count come before ignored ones. A crowd may be taken again and
    again; a detection on an ignored object is neutral. This is the protocol of COCOeval
    (Lin et al. 2014) and agrees with pycocotools.

    A second, class-agnostic match serves the confusion matrix: per image, by falling score, each
    detection takes the free object, of any class, with the highest IoU strictly above
    `agnostic_iou`; crowds take no part. Because it proceeds by score, the matches above any
    confidence are the same whether or not the others are there.

    Parameters
    ----------
    similarity
        What stands for IoU: boxes here, masks or keypoints elsewhere.
    max_detections
        Per image and class; what is beyond counts as ignored.
    thresholds
        In 0..1, rising.
    area
        Objects whose `truth_area` (px²) lies outside are ignored, as are unmatched detections
        whose box lies outside; those that count at no threshold are left out of the records.
        Only `ALL` has a class-agnostic match.
    agnostic_iou
        0 omits the class-agnostic match.

    Raises
    ------
    InvalidInput
        No thresholds, or not rising within 0..1, or a limit below 1.
    """
    matcher = Matcher(
        boxes,
        similarity=similarity,
        max_detections=max_detections,
        thresholds=thresholds,
        agnostic_iou=agnostic_iou if area == ALL else 0.0,
    )
    return matcher.match(area)


class Matcher:
    """Boxes made ready to be matched, once, for one area range or several.

    Parameters
    ----------
    boxes, similarity, max_detections, thresholds, agnostic_iou
        As in `match`.

    Raises
    ------
    InvalidInput
        As `match`.
    """

    def __init__(
        self,
        boxes: Boxes,
        *,
        similarity: Similarity = bbox_iou,
        max_detections: int = 100,
        thresholds: Sequence[float] = COCO_THRESHOLDS,
        agnostic_iou: float = AGNOSTIC_IOU,
    ) -> None:
        levels = np.asarray(thresholds, np.float64)
        in_range = len(levels) and bool(((levels > 0) & (levels <= 1)).all())
        if not in_range or (np.diff(levels) <= 0).any():
            raise InvalidInput(f"IoU thresholds {tuple(thresholds)} do not rise within 0..1")
        if max_detections < 1:
            raise InvalidInput(f"max_detections is {max_detections}, expected at least 1")
        self._boxes = boxes
        self._thresholds = tuple(thresholds)
        self._levels = np.minimum(levels, _NEVER_EXACT)
        self._max_detections = max_detections
        self._agnostic_iou = agnostic_iou
        by_img = _stable_order(boxes.pred_img)
        by_score = by_img[np.argsort(-boxes.pred_score[by_img], kind="stable")]
        self._order = by_score[_stable_order(boxes.pred_img[by_score])]
        self._img, self._cls = boxes.pred_img[self._order], boxes.pred_cls[self._order]
        self._group = self._img.astype(np.int64) * len(boxes.classes) + self._cls
        self._late = _beyond(self._img, self._group, max_detections)
        score = boxes.pred_score[self._order]
        place = np.empty(len(by_score), np.intp)
        place[self._order] = np.arange(len(place))
        # the order of match records
        self._final = place[by_score[_stable_order(boxes.pred_cls[by_score])]]
        self._columns: dict[str, Any] = {
            "img": self._img[self._final],
            "cls": self._cls[self._final],
            "score": score[self._final],
        }
        floor = float(self._levels[0])
        if agnostic_iou:
            floor = min(floor, float(np.nextafter(agnostic_iou, 1)))
        # The class-agnostic match asks for pairs of any classes within an image.
        key: NDArray[np.integer] = self._group
        truth_key: NDArray[np.integer] = _group(boxes)
        if agnostic_iou:
            key, truth_key = self._img, boxes.truth_img
        pairs = _candidates(self._order, key, truth_key, similarity(boxes), floor)
        same = self._cls[pairs.row] == boxes.truth_cls[pairs.truth]
        self._pairs = pairs.only(same & ~self._late[pairs.row])
        countable = pairs.only(~boxes.truth_crowd[pairs.truth])
        self._agnostic = self._match_agnostic(countable) if agnostic_iou else None

    def match(self, area: tuple[float, float] = ALL) -> MatchRecords:
        """Return the matches where only objects within `area` (px²) count.

        Except for `ALL`, detections that count at no threshold are left out.
        """
        boxes, levels = self._boxes, self._levels
        outside = (boxes.truth_area < area[0]) | (boxes.truth_area > area[1])
        ignored_truth = boxes.truth_crowd | outside
        rows, taken, _ = _assign(
            self._pairs, self._group, levels, ignored_truth, repeatable=boxes.truth_crowd
        )
        hit = (taken >= 0) & ~ignored_truth[taken]
        kept = np.ones(len(self._order), np.bool_)
        if area != ALL:
            kept = (boxes.pred_area >= area[0]) & (boxes.pred_area <= area[1])
            kept = kept[self._order]
        within = kept[rows]
        kept[rows] |= hit.any(axis=1)  # outside, whatever is no true positive is ignored
        final = kept[self._final]
        place = np.empty(len(kept), np.intp)
        place[self._final] = np.cumsum(final) - 1
        shape = (int(np.count_nonzero(final)), len(levels))
        tp, ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        ignored[place[self._late & kept]] = True
        matched = kept[rows]
        at = place[rows[matched]]
        tp[at] = hit[matched]
        ignored[at] = np.where(within[:, None], (taken >= 0) & ~hit, ~hit)[matched]
        columns = {name: values[final] for name, values in self._columns.items()}
        if area == ALL and self._agnostic is not None:
            gt_class, iou = self._agnostic
            columns |= {"gt_class": gt_class[self._final], "iou": iou[self._final]}
            columns |= {"agnostic_iou": self._agnostic_iou}
        return MatchRecords(
            images=boxes.images,
            classes=boxes.classes,
            groups=boxes.groups,
            evaluator=EPOCHAL,
            thresholds=self._thresholds,
            tp=tp,
            ignored=ignored,
            max_detections=self._max_detections,
            **columns,
            **count_truth(boxes.truth_img, boxes.truth_cls, ignored_truth),
        )

    def _match_agnostic(self, pairs: _Pairs) -> tuple[Ints, Floats]:
        """Return for each detection the class of the object it takes, or -1, and the IoU."""
        gt_class, iou = np.full(len(self._order), -1, np.int32), np.zeros(len(self._order))
        level = np.array([np.nextafter(self._agnostic_iou, 1)])
        nothing = np.zeros_like(self._boxes.truth_crowd)
        rows, taken, reached = _assign(
            pairs, self._img.astype(np.int64), level, nothing, repeatable=nothing
        )
        hit = taken[:, 0] >= 0
        gt_class[rows[hit]] = self._boxes.truth_cls[taken[hit, 0]]
        iou[rows[hit]] = reached[hit, 0]
        return gt_class, iou


def _beyond(img: NDArray[np.int32], group: NDArray[np.int64], limit: int) -> Bools:
    """Return which rows, sorted by image and falling score, come after `limit` of their group."""
    late: Bools = np.zeros(len(img), np.bool_)
    if len(img) and np.bincount(img).max() > limit:
        late = _rank(group) >= limit
    return late


def _group(boxes: Boxes) -> NDArray[np.int64]:
    """Return a number for the image and class of each true object."""
    return boxes.truth_img.astype(np.int64) * len(boxes.classes) + boxes.truth_cls


def _stable_order(key: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the rows by rising `key`, whole and not negative; equal ones in row order.

    NumPy sorts 16 bits by radix, several times as fast as it compares.
    """
    order = np.arange(len(key))
    for shift in range(0, int(key.max(initial=0)).bit_length(), 16):
        order = order[np.argsort((key[order] >> shift).astype(np.uint16), kind="stable")]
    return order


def _rank(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each row's position among the rows of its group, in row order."""
    order = _stable_order(group)
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(starts, np.diff(np.r_[starts, len(group)]))
    return rank


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Candidate pairs: sorted row of the detection, row of the truth, similarity."""

    row: Rows
    truth: Rows
    value: Floats

    def only(self, keep: Bools) -> _Pairs:
        return _Pairs(self.row[keep], self.truth[keep], self.value[keep])


def _candidates(
    order: Rows,
    key: NDArray[np.integer],
    truth_key: NDArray[np.integer],
    similarity: PairSimilarity,
    floor: float,
) -> _Pairs:
    """Return the pairs of equal keys whose similarity is at least `floor`.

    Parameters
    ----------
    order, key
        (p,) the predictions' rows in the order in which `_Pairs` names them, and their keys.
    truth_key
        (m,) the true objects' keys.
    """
    by_key = _stable_order(truth_key)
    present, first, count = np.unique(truth_key[by_key], return_index=True, return_counts=True)
    at = np.searchsorted(present, key)
    first, count = np.append(first, 0)[at], np.append(count, 0)[at]
    count[np.append(present, -1)[at] != key] = 0
    kept: list[_Pairs] = []
    for rows in _chunks(count):
        many = count[rows]
        row = np.repeat(rows, many)
        truth = np.arange(len(row)) + np.repeat(first[rows] - (np.cumsum(many) - many), many)
        truth = by_key[truth]
        prediction = np.repeat(order[rows], many)
        value = similarity(prediction, truth)
        kept.append(_Pairs(row, truth, value).only(value >= floor))
    nothing = np.zeros(0, np.intp)
    return _Pairs(
        np.concatenate([nothing, *(pairs.row for pairs in kept)]),
        np.concatenate([nothing, *(pairs.truth for pairs in kept)]),
        np.concatenate([np.zeros(0), *(pairs.value for pairs in kept)]),
    )


def _chunks(count: NDArray[np.int64]) -> Iterator[Rows]:
    """Yield consecutive rows of about `_PAIRS_AT_ONCE` pairs, so that memory stays bounded."""
    total = np.cumsum(count)
    start = 0
    while start < len(count):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _PAIRS_AT_ONCE, "right")))
        yield np.arange(start, stop)
        start = stop


def _assign(
    pairs: _Pairs,
    group: NDArray[np.int64],
    levels: Floats,
    ignored: Bools,
    *,
    repeatable: Bools,
) -> tuple[Rows, NDArray[np.intp], Floats]:
    """Give each detection, by falling score within its group, the best object that is free.

    All groups proceed at once: round r serves the r-th detection of every group, so there are as
    many rounds as the largest group has detections with candidates.

    Returns
    -------
    rows, taken, reached
        (d,) rows with candidates; (d, t) the truth taken at each level or -1; (d, t) its
        similarity, 0 where none.
    """
    rows, position = np.unique(pairs.row, return_inverse=True)
    if not len(rows):
        return rows, np.zeros((0, len(levels)), np.intp), np.zeros((0, len(levels)))
    turn = _rank(group[rows])[position]
    # Within a detection the last usable pair wins: counting before ignored, then the most similar,
    # then the later object.
    best = np.arange(len(position))
    several = np.flatnonzero(np.bincount(position)[position] > 1)
    rival = pairs.truth[several]
    keys = (rival, pairs.value[several], ~ignored[rival], position[several])
    best[several] = several[np.lexsort(keys)]
    best = best[_stable_order(turn)]
    position, truth, value = position[best], pairs.truth[best], pairs.value[best]
    bounds = np.searchsorted(turn[best], np.arange(int(turn.max()) + 2))
    free = np.ones((len(ignored), len(levels)), np.bool_)
    pair_of = np.full((len(rows), len(levels)), -1, np.intp)
    for start, stop in pairwise(bounds):
        here = truth[start:stop]
        usable = free[here] & (value[start:stop, None] >= levels)
        index = np.where(usable, np.arange(start, stop)[:, None], -1)
        owner = position[start:stop]
        firsts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        winner = np.maximum.reduceat(index, firsts, axis=0)
        pair_of[owner[firsts]] = winner
        _, level = np.nonzero(winner >= 0)
        won = truth[winner[winner >= 0]]
        free[won, level] = repeatable[won]
    taken = np.where(pair_of >= 0, truth[pair_of], -1)
    reached: Floats = np.where(pair_of >= 0, value[pair_of], 0.0)
    return rows, taken, reached
