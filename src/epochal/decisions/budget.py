"""How much of a test set is left."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from epochal.decisions.charter import Charter
from epochal.decisions.ledger import Ledger
from epochal.decisions.multiplicity import expected_maximum, largest_k, look_level

__all__ = ["Budget", "budget_of", "typical_se"]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at one set of test images: spent, allowed, advised."""

    dataset: str
    split: str
    n_images: int
    images: str
    """Blob with the images' digests."""
    used: int
    """Challenger looks so far; the reference's own is free."""
    budget: int
    """What the charter allows."""
    advice: int
    """Looks that a set of this size bears: the best of more would look better than it is by more
    than the smallest gain worth having."""
    bias: float
    """What the best of the looks so far is overrated by, in the metric's stored unit."""
    next_level: float
    """Error level at which the next challenger is judged."""
    state: Literal["open", "amber", "spent"]
    """``amber``: the advice is used up, or two looks are left."""

    @property
    def left(self) -> int:
        """Looks that are left."""
        return max(0, self.budget - self.used)


def typical_se(images: int) -> float:
    """Return the usual error of the difference of two mAPs, 0..1: 20 points over root n."""
    return 0.20 / math.sqrt(max(images, 1))


def budget_of(
    ledger: Ledger, images: str, charter: Charter, *, reference: str | None, se: float = 0.0
) -> Budget:
    """Return the state of the test images in the blob `images`.

    Parameters
    ----------
    reference
        Id of the run that is compared against now.
    se
        Measured standard error of a difference on these images; 0 takes the usual one.
    """
    looks = ledger.at(images)
    used = len(ledger.challengers(images, reference))
    known = ledger.images(images)
    n = len(known) if known is not None else max((look.n_images for look in looks), default=0)
    se = se or typical_se(n)
    advice = largest_k(charter.min_gain_stored, se)
    spent = used >= charter.test_budget
    amber = used >= min(advice, charter.test_budget - 2)
    last = looks[-1] if looks else None
    return Budget(
        dataset=last.dataset if last else "",
        split=last.split if last else charter.split,
        n_images=n,
        images=images,
        used=used,
        budget=charter.test_budget,
        advice=advice,
        bias=expected_maximum(used) * se,
        next_level=look_level(charter.alpha_family, used + 1),
        state="spent" if spent else ("amber" if amber and used else "open"),
    )
