"""The page's types are generated from openapi.json and committed: they must not fall behind."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


LINES = re.MULTILINE
WHOLE = re.MULTILINE | re.DOTALL


def test_types_name_every_operation_and_field():
    api = json.loads((ROOT / "src/epochal/server/openapi.json").read_text())
    types = (ROOT / "web/src/api/schema.d.ts").read_text()
    told = "run `npm run types` in web/"
    for path, methods in api["paths"].items():
        assert f'"{path}": {{' in types, told
        for operation in methods.values():
            assert re.search(rf"^    {operation['operationId']}: {{", types, LINES), told
    for name, schema in api["components"]["schemas"].items():
        found = re.search(
            rf'^        "?{re.escape(name)}"?: (.*?)^        }};', types, re.MULTILINE | re.DOTALL
        )
        for field in schema.get("properties", {}):
            assert found, told
            assert re.search(rf'^            "?{re.escape(field)}"?\??: ', found[1], LINES), told
