"""The truth: append-only files, one per writer, and the folder they lie in.

`folder` finds and lays out a workspace, `lines` is the format of one line, `writer` appends,
`reader` reads and judges, `governance` links the records that decide things into a hash DAG,
`process` tells whether a writer still lives. Standard library and msgspec only: a training
process imports this.
"""
