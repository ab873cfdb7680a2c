import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from epochal.decisions.charter import Charter
from epochal.decisions.ledger import complete_look, open_look
from epochal.evaluation import MatchRecords, build_evaluation
from epochal.evaluation.storage import store_evaluation
from epochal.journal.folder import Folder
from epochal.journal.writer import Writer
from epochal.records import (
    Alias,
    Artifact,
    Config,
    Evaluated,
    Finished,
    Latency,
    Metrics,
    Opened,
)
from epochal.store.documents import RunDocument
from epochal.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # tests share `simulator`

PROTOCOL = {"imgsz": 640, "conf": 0.001, "iou": 0.7, "max_det": 300}


@dataclass
class Workshop:
    """A workspace in which runs are made by hand, as a training's journal would say them."""

    folder: Folder
    project: str = "pallets"

    def __post_init__(self) -> None:
        self.store = Store(self.folder, index=self.folder.root / "index.sqlite")

    def run(
        self,
        name: str,
        *,
        config: dict | None = None,
        parent: str | None = None,
        hypothesis: str = "",
        val: MatchRecords | None = None,
        test: MatchRecords | None = None,
        curve: tuple[float, ...] = (),
        keep_records: bool = True,
        latency: Latency | None = None,
        look: bool = True,
        more: tuple = (),
        **test_options,
    ) -> RunDocument:
        """Record a finished run with weights of its own, evaluated on the splits given."""
        run = secrets.token_hex(16)
        weights = self.store.blobs.put(f"weights of {run}".encode())
        writer = Writer(self.folder.new_run_folder(run, name) / "journal", run=run)
        for body in (
            Opened(
                run=run,
                attempt=1,
                project=self.project,
                name=name,
                parent=parent,
                hypothesis=hypothesis,
                owner=writer.id,
            ),
            Config(values=config or {"imgsz": 640, "name": name}),
            Artifact(key="weights/best.pt", digest=weights, size=10, role="weights"),
            *(
                Metrics(values={"metrics/mAP50-95(B)": value}, step=step)
                for step, value in enumerate(curve)
            ),
        ):
            writer.append(body)
        if val is not None:
            writer.append(self.evaluated(val, "val", weights, keep_records=keep_records))
        for body in (*more, *filter(None, [latency])):
            writer.append(body)
        writer.append(Finished(status="finished"))
        writer.close()
        self.store.refresh()
        if test is not None:
            self.evaluate(run, test, look=look, **test_options)
        return self.store.run(run)

    def evaluated(
        self,
        records: MatchRecords,
        split: str,
        weights: str,
        *,
        keep_records: bool = True,
        look: str = "",
        protocol: dict | None = None,
        dataset_digest: str = "",
    ) -> Evaluated:
        evaluation, matches = build_evaluation(
            records,
            split=split,
            dataset="pallets@v1",
            dataset_digest=dataset_digest,
            split_digest=f"{split}-{records.images[0]}",
            weights=weights,
            protocol=PROTOCOL | (protocol or {}),
        )
        kept = matches if keep_records else None
        return store_evaluation(self.store.blobs, evaluation, kept, look=look)

    def evaluate(
        self,
        run: str,
        records: MatchRecords,
        split: str = "test",
        *,
        look: bool = True,
        weights: str = "",
        **options,
    ) -> None:
        """Measure a run on a split later; on test under a look that shows nothing."""
        document = self.store.run(run)
        weights = weights or document.artifacts["weights/best.pt"].body.digest
        opened = None
        if split == "test" and look:
            opened = open_look(
                self.folder,
                project=self.project,
                run=run,
                weights=weights,
                dataset="pallets@v1",
                split=split,
                image_digests=records.images,
            )
        body = self.evaluated(
            records, split, weights, look=opened.look if opened else "", **options
        )
        if opened:
            complete_look(self.folder, opened, {"mAP50-95": 0.1}, "nothing")
        self.store.record(body, run)

    def baseline(self, run: RunDocument) -> None:
        self.store.record(Alias(project=self.project, alias="baseline", run=run.id))


@pytest.fixture
def workshop(tmp_path: Path):
    made = Workshop(Folder.create(tmp_path))
    yield made
    made.store.close()


@pytest.fixture
def charter() -> Charter:
    return Charter(project="pallets")
