"""What is asked: an index over the journals, rebuilt from them whenever it is missing.

`store.Store` is the door for readers: the questions of `index_reader`, and appending. `ingest`
takes journals into the `database`, a `batch` at a time; `documents` folds what was said about a
run into one document, `points` keeps its curves. `run_table` holds all runs in memory: a filter
goes through `filter_language` to a `filter_tree`, its fields through `field_lookup` to
`run_columns`. `blobs` stands apart: a training process stores files there and imports nothing
else of this room. Only this room knows SQL.
"""
