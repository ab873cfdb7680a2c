"""A detector made of dice: match records of models that share their images' difficulty.

An object is found when its logit is high enough: the model's skill, plus how hard its image, its
class and the object itself are for every model, plus what only this model makes of the class
(`wobble`: its training's seed) and of the object (`noise`: an interaction of model and image).
Two models of one skill are two trainings of one recipe: their true difference is that of their
wobbles alone, zero in the mean. No boxes are drawn: the IoU of a found object is drawn directly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epochal.evaluation import COCO_THRESHOLDS, MatchRecords
from epochal.evaluation.match_records import count_truth


@dataclass(frozen=True, eq=False)
class World:
    """A test set: objects, and how hard they are for everybody."""

    n_images: int
    n_classes: int
    img: NDArray[np.int64]
    cls: NDArray[np.int64]
    difficulty: NDArray[np.float64]
    placing: NDArray[np.float64]
    names: tuple[str, ...]
    groups: tuple[str, ...] = ()


def world(
    n_images: int, n_classes: int, seed: int, *, per_image: float = 4.0, clip: int = 1
) -> World:
    """Draw a test set; `clip` frames in a row share their difficulty and are one group."""
    draw = np.random.default_rng(seed)
    # Classes are those of the recipe, the same in every world: only images are drawn anew.
    hard_class = np.random.default_rng(20).normal(0, 0.6, n_classes)
    share = 1.0 / np.arange(1, n_classes + 1) ** 0.7
    img = np.repeat(np.arange(n_images), draw.poisson(per_image, n_images))
    cls = draw.choice(n_classes, size=len(img), p=share / share.sum())
    hard_image = np.repeat(draw.normal(0, 0.6, -(-n_images // clip)), clip)[:n_images]
    hard_object = draw.normal(0, 1.2, len(img))
    return World(
        n_images=n_images,
        n_classes=n_classes,
        img=img,
        cls=cls,
        difficulty=hard_image[img] + hard_object + hard_class[cls],
        placing=draw.normal(0, 0.5, len(img)),
        names=tuple(f"img{i:06d}-{seed}" for i in range(n_images)),
        groups=tuple(f"clip{i // clip}" for i in range(n_images)) if clip > 1 else (),
    )


@dataclass(frozen=True)
class Model:
    """A trained model: the same weights on whatever test set it sees."""

    skill: float
    seed: int
    n_classes: int
    wobble: float = 0.08
    noise: float = 0.6
    class_bonus: tuple[float, ...] = ()

    def run(self, world: World, *, background: int = 12) -> MatchRecords:
        """Return the match records of this model on `world`."""
        own = np.random.default_rng(self.seed)
        by_class = own.normal(0, self.wobble, self.n_classes)
        if self.class_bonus:
            by_class = by_class + np.array(self.class_bonus)
        draw = np.random.default_rng([self.seed, hash_of(world)])
        n = len(world.img)
        z = self.skill + world.difficulty + by_class[world.cls] + draw.normal(0, self.noise, n)
        found = np.flatnonzero(z > -1.2)
        z = z[found]
        spread = 0.055 * np.exp(
            world.placing[found] + draw.normal(0, 0.4, len(found)) - 0.25 * np.clip(z, -3, 3)
        )
        dx, dy, dw, dh = np.abs(draw.normal(0, 1, (4, len(found)))) * spread
        inter = np.clip(1 - dx, 0, 1) * np.clip(1 - dy, 0, 1)
        iou = inter / (2 - inter) * np.exp(-dw - dh)
        wrong = draw.random(len(found)) < _logistic(-2.2 - 0.7 * z)
        cls = np.where(wrong, draw.integers(0, world.n_classes, len(found)), world.cls[found])
        score = _logistic(0.9 * z + draw.normal(0, 0.8, len(found)) - wrong)
        tp = (iou[:, None] >= np.array(COCO_THRESHOLDS)) & (cls == world.cls[found])[:, None]
        twice = np.flatnonzero(draw.random(len(found)) < 0.3)
        m = world.n_images * background
        extra = np.zeros((len(twice) + m, len(COCO_THRESHOLDS)), bool)
        tp = np.concatenate([tp, extra])
        return MatchRecords(
            images=world.names,
            classes=tuple(f"c{c}" for c in range(world.n_classes)),
            groups=world.groups,
            evaluator="epochal/coco101",
            img=np.concatenate(
                [
                    world.img[found],
                    world.img[found[twice]],
                    np.repeat(np.arange(world.n_images), background),
                ]
            ).astype(np.int32),
            cls=np.concatenate([cls, cls[twice], draw.integers(0, world.n_classes, m)]).astype(
                np.int32
            ),
            score=np.concatenate(
                [
                    score,
                    _logistic(0.5 * z[twice] - 2 + draw.normal(0, 0.8, len(twice))),
                    _logistic(draw.normal(-4.6, 1.0, m)),
                ]
            ),
            tp=tp,
            ignored=np.zeros_like(tp),
            **count_truth(world.img.astype(np.int32), world.cls.astype(np.int32)),
        )


def hash_of(world: World) -> int:
    """Return a number that is the world's own, so that models draw anew on each."""
    return int(world.names[0].rpartition("-")[2]) + 1


def _logistic(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-value))
