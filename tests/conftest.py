"""What several rooms' tests share: a workspace, and runs written straight into its journals."""

import uuid

import pytest
from hypothesis import settings

from epochal.journal.folder import Folder
from epochal.journal.writer import Writer
from epochal.records import Config, Finished, Metrics, Opened, Summary, to_wire

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty workspace in the current directory of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EPOCHAL_WORKSPACE", raising=False)
    monkeypatch.setenv("EPOCHAL_AUTHOR", "Test Author <author@example.org>")
    return Folder.create(tmp_path)


@pytest.fixture
def record_run(folder):
    """Return a function that records a run as a training process would, and returns its id.

    `metrics` maps keys to their values at steps 0, 1, 2 ...; `bodies` are further records;
    `status` None leaves the run without an end.
    """

    def record(
        name="v1_baseline",
        project="pallets",
        *,
        config=None,
        metrics=None,
        summary=None,
        bodies=(),
        status="finished",
        reason="",
        run=None,
        attempt=1,
        first_step=0,
        t=None,
        **opened,
    ):
        run = run or uuid.uuid4().hex
        place = folder.run_folder(run) or folder.new_run_folder(run, name)
        writer = Writer(place / "journal", run=run, attempt=attempt)
        writer.append(Opened(run=run, attempt=attempt, project=project, name=name, **opened), t)
        if config:
            writer.append(Config(values=config))
        series = metrics or {}
        for step in range(max(map(len, series.values()), default=0)):
            values = {
                key: to_wire(float(column[step]))
                for key, column in series.items()
                if step < len(column) and column[step] is not None
            }
            if values:
                at = first_step + step
                writer.append(Metrics(values=values, step=at, epoch=at))
        if summary:
            writer.append(Summary(values=summary))
        for body in bodies:
            writer.append(body)
        if status is not None:
            writer.append(Finished(status=status, reason=reason))
        writer.close()
        return run

    return record
