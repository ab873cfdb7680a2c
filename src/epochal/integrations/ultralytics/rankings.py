"""What a classification validator sees: of each image the classes, ranked.

Its batches do not say which images they hold, and its loader draws them in random order. So the
loader's drawing is listened to: indices are drawn in this process, batch by batch in the order in
which batches arrive, whatever processes load the images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np  # noqa: TID253 - only a YOLO process imports this, and it has NumPy

from epochal.evaluation.classification import rank
from epochal.evaluation.outcomes import Outcomes
from epochal.integrations.ultralytics.capture import Capture, array

__all__ = ["Order", "Rankings"]


class Order:
    """The indices that a loader draws, of the pass under way and of those drawn ahead.

    Takes the place of the sampler of batches within Ultralytics' endless one, and draws from it.

    Parameters
    ----------
    loader
        An ``InfiniteDataLoader`` that has drawn nothing ahead.

    Raises
    ------
    TypeError
        It is another loader, or has drawn batches that nobody listened to.
    """

    def __init__(self, loader: Any) -> None:
        endless: Any = getattr(loader, "batch_sampler", None)
        if type(endless).__name__ != "_RepeatSampler":
            raise TypeError(f"{type(loader).__name__} does not say which images it draws")
        if loader.num_workers and getattr(loader, "iterator", None) is not None:
            raise TypeError("images were drawn before anybody could listen")
        self.loader = loader
        self._batches = endless.sampler
        self._passes: dict[int, list[list[int]]] = {}
        self._drawn = 0
        self._begun = 0
        endless.sampler = self

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        drawn = self._passes[self._drawn] = []
        self._drawn += 1
        for batch in self._batches:
            drawn.append(batch)
            yield batch

    def begin(self) -> None:
        """A pass over the images begins: forget those before it."""
        for number in [number for number in self._passes if number < self._begun]:
            del self._passes[number]
        self._begun += 1

    def batch(self, number: int) -> list[int]:
        """Return the images of a batch of the pass under way.

        Raises
        ------
        LookupError
            It was not drawn.
        """
        return self._passes[self._begun - 1][number]


class Rankings(Capture):
    """Collects one validation of a classifier: three numbers of each image.

    Parameters
    ----------
    order
        What the validation's loader draws; None where that cannot be told.
    """

    __slots__ = ("_seen", "files", "order", "place", "predicted", "true")

    def __init__(self, order: Order | None) -> None:
        super().__init__()
        self.order = order
        self.files: list[str] = []
        self.true: list[int] = []
        self.predicted: list[int] = []
        self.place: list[int] = []
        self._seen = 0

    def add(self, preds: Any, batch: dict[str, Any]) -> None:
        """Take one batch: `preds` (n, k), a probability for each class."""
        if self.order is None:
            raise LookupError("the loader does not say which images it draws")
        drawn = self.order.batch(self._seen)
        self._seen += 1
        samples = [self.order.loader.dataset.samples[i] for i in drawn]
        true = array(batch["cls"]).reshape(-1).astype(np.int64)
        if true.tolist() != [sample[1] for sample in samples]:
            raise LookupError("the classes are not those of the images that were drawn")
        scores = array(preds).astype(np.float64)
        if not np.isfinite(scores).all():
            raise ValueError("a probability is not finite")
        predicted, place = rank(scores, true)
        self.files += [str(sample[0]) for sample in samples]
        self.true += true.tolist()
        self.predicted += predicted.tolist()
        self.place += place.tolist()

    def _copy_stats(self, validator: Any) -> None:
        """Nothing is cleared, and nothing of it is needed."""

    def outcomes(
        self, names: tuple[str, ...], classes: tuple[str, ...], evaluator: str
    ) -> Outcomes:
        """Return the outcomes, by name: every machine lists files as it likes.

        Raises
        ------
        InvalidInput
            As `Outcomes`.
        """
        order = sorted(range(len(names)), key=names.__getitem__)
        return Outcomes(
            images=tuple(names[i] for i in order),
            classes=classes,
            evaluator=evaluator,
            true=np.array(self.true, np.int32)[order],
            predicted=np.array(self.predicted, np.int32)[order],
            place=np.array(self.place, np.int32)[order],
        )
