import re

from epochal.server import openapi
from epochal.server.operations import OPERATIONS


def test_the_committed_document_is_the_generated_one():
    assert openapi.PATH.read_bytes() == openapi.rendered(), (
        "run `python -m epochal.server.openapi` and commit openapi.json"
    )


def test_names_and_routes_are_unique():
    assert len({o.name for o in OPERATIONS}) == len(OPERATIONS)
    assert len({(o.method, o.path) for o in OPERATIONS}) == len(OPERATIONS)


def test_every_reference_leads_somewhere():
    document = openapi.document()
    text = openapi.rendered().decode()
    schemas = document["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/([^\"]+)", text)) <= set(schemas)
    assert not [name for name in schemas if "." in name], "two structs share a name"
