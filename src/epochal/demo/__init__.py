"""The whole path on a small real training that needs nothing but NumPy.

`scenes` draws a dataset, `detector` learns it, `training` records that as a user's script would,
`measuring` evaluates it, on test through the ledger. ``epochal demo`` tells the story around them.
"""
