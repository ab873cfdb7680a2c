"""What is asked: an index over the journals, rebuilt from them whenever it is missing.

`store.Store` is the door for readers. `blobs` stands apart: a training process stores files
there and imports nothing else of this room. Only this room knows SQL.
"""
