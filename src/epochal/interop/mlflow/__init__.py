"""MLflow: its REST protocol, so that an unmodified client records here and reads back.

`entities` says what is stored in MLflow's words, `recording` turns what a client says into
records, `search` is its filter language, `registry` models and their versions, `files` artifacts,
`wire` the routes. Nothing is decided here: a run of an MLflow client is a run like any other.
"""
