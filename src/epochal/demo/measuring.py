"""Measure a run of the demo on a split: on test only through the ledger, as always."""

from __future__ import annotations

from pathlib import Path

import epochal
from epochal.datasets import load_manifest
from epochal.datasets.pins import tagged_versions
from epochal.decisions.ledger import complete_look, open_look
from epochal.demo.training import evaluate
from epochal.journal.folder import Folder
from epochal.store.blobs import digest_of_file

__all__ = ["measure"]


def measure(run: epochal.Run, weights: Path, data_yaml: Path, split: str, dataset: str) -> None:
    """Record an evaluation of `weights` on `split` of the tagged version `dataset`.

    A look at test images is opened before they are read, so that a crash in between counts.
    """
    folder: Folder | None = run.workspace
    if folder is None:
        return
    manifest = load_manifest(folder.datasets, tagged_versions(folder)[dataset].digest)
    look = None
    if split == "test":
        look = open_look(
            folder,
            project=run.project,
            run=run.id,
            weights=digest_of_file(weights),
            dataset=dataset,
            split=split,
            image_digests=[entry.image for entry in manifest.entries if entry.split == split],
            purpose="gate",
        )
    evaluation, records, boxes = evaluate(
        weights, data_yaml, split, dataset=dataset, manifest=manifest
    )
    run.evaluation(evaluation, records, boxes, look=look.look if look else "")
    if look is not None:
        known = {name: value for name, value in evaluation.metrics.items() if value is not None}
        complete_look(folder, look, known, revealed="verdict")
