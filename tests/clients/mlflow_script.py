"""What a user's script does with MLflow, run by a Python that has the real client.

Prints one JSON object: what it read back. Usage: mlflow_script.py ADDRESS
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
experiment = mlflow.set_experiment("pallets/large")
with mlflow.start_run(run_name="v1_baseline", tags={"owner": "me"}) as run:
    mlflow.log_params({"lr": 0.1, "optimizer": "adam", "padded": "007"})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"nan": math.nan, "inf": math.inf}, step=3)
    mlflow.set_tag("mlflow.note.content", "**notes**")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "two words.txt"
        file.write_text("hello")
        mlflow.log_artifact(str(file), "sub/dir")
    mlflow.log_dict({"a": 1}, "d.json")
run_id = run.info.run_id

errors = []
for call in (
    lambda: client.log_param(run_id, "lr", "0.2"),
    lambda: client.get_run("0" * 32),
    lambda: client.search_runs(["0"], "no filter at all ("),
):
    try:
        call()
    except MlflowException as error:
        errors.append(error.error_code)

back = client.get_run(run_id)
found = client.search_runs(
    [experiment.experiment_id], "metrics.loss < 2 and params.optimizer = 'adam'"
)
client.create_registered_model("detector")
version = client.create_model_version("detector", f"runs:/{run_id}/model", run_id)
client.set_registered_model_alias("detector", "champion", version.version)
with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
    mlflow.log_metric("x", 1.0)
client.delete_run(child.info.run_id)
json.dump(
    {
        "version": mlflow.__version__,
        "run": run_id,
        "status": back.info.status,
        "params": back.data.params,
        "loss": back.data.metrics["loss"],
        "nan": math.isnan(back.data.metrics["nan"]),
        "tags": {k: v for k, v in back.data.tags.items() if not k.startswith("mlflow.source")},
        "history": [(m.step, m.value) for m in client.get_metric_history(run_id, "loss")],
        "files": [f.path for f in client.list_artifacts(run_id)],
        "text": Path(client.download_artifacts(run_id, "sub/dir/two words.txt")).read_text(),
        "found": [r.info.run_name for r in found],
        "champion": client.get_model_version_by_alias("detector", "champion").run_id,
        "errors": errors,
        "experiments": sorted(e.name for e in client.search_experiments()),
        "left": len(client.search_runs([experiment.experiment_id])),
        "parent": client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"]
        == parent.info.run_id,
    },
    sys.stdout,
)
