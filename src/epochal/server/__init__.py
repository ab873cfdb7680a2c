"""The HTTP face: the API under ``/api/v1``, live updates and the built page, on one port.

`schema` says what goes in and out, `operations` which route takes what, `answers` how each is
answered from the store, `security` who may ask at all.
"""
