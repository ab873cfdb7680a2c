"""The links that other tools' clients print lead to the page that shows the same here."""

import json
import re
import urllib.request

import pytest

pytestmark = pytest.mark.browser


def say(url, path, body):
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_a_link_that_an_mlflow_client_prints(folder, serve, open_page):
    url = serve(folder.root).url
    experiment = say(url, "experiments/create", {"name": "forks & co"})["experiment_id"]
    asked = {"experiment_id": experiment, "run_name": "v1_baseline", "start_time": 1}
    run = say(url, "runs/create", asked)["run"]["info"]["run_id"]
    # Another project is newer: the link has to name its own.
    other = say(url, "experiments/create", {"name": "other"})["experiment_id"]
    say(url, "runs/create", {"experiment_id": other, "run_name": "v9_other"})

    page = open_page(f"{url}/#/experiments/{experiment}/runs/{run}")
    page.get_by_role("heading", name="v1_baseline").wait_for()
    assert re.search(rf"/run\?id={run}&project=forks", page.url)

    page.evaluate(f"location.hash = '#/experiments/{experiment}'")
    page.wait_for_url(re.compile(r"/runs\?project=forks"))
    page.get_by_role("link", name="v1_baseline").wait_for()
