"""What a training script holds: a run, and what happens around it while it trains.

`run` is the object, `opening` makes one, `recorder` appends its records, `mirror` holds its config
and summary, `values` turns whatever is logged into numbers, `storing` turns files into blobs,
`background` does what must not cost the training's time, `pinning` binds the run to a dataset
version. Standard library and msgspec only, until something asks for more.
"""
