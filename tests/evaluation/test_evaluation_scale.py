"""COCO val's size: 5,000 images, 80 classes, 500,000 detections."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, time
import numpy as np
from epochal.evaluation import Boxes, Resampler, build_evaluation

n, k, m, p = 5000, 80, 36_000, 500_000
rng = np.random.default_rng(0)
corner = rng.uniform(0, 400, (m, 2))
truth = np.hstack([corner, corner + rng.uniform(8, 200, (m, 2))])
img, cls = rng.integers(0, n, m), rng.integers(0, k, m)
of = rng.integers(0, m, p)  # predictions are jittered truth, many of them far off
pred = truth[of] + rng.normal(0, 1, (p, 4)) * rng.choice([2, 20, 200], (p, 1))
pred = np.hstack([np.minimum(pred[:, :2], pred[:, 2:]), np.maximum(pred[:, :2], pred[:, 2:])])
boxes = Boxes(
    images=[f"{i:06}" for i in range(n)], classes=[f"c{i}" for i in range(k)],
    truth_img=img, truth_cls=cls, truth_xyxy=truth,
    pred_img=img[of], pred_cls=cls[of], pred_score=rng.random(p), pred_xyxy=pred,
)
start = time.process_time()
evaluation, records = build_evaluation(boxes, split="val", dataset="coco")
built = time.process_time() - start
resampler = Resampler(records)
weights = rng.multinomial(n, np.full(n, 1 / n), size=20)
start = time.process_time()
resampler.ap_many(weights)
resampled = (time.process_time() - start) / 20
print(built, resampled, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_a_few_seconds_and_little_memory():
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    built, resampled, megabytes = map(float, found.split())
    # Several times what an idle machine needs: this catches a wrong order of growth, not a load.
    assert built < 10
    assert resampled < 0.06
    assert megabytes < 500
