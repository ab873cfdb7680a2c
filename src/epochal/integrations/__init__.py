"""Code that runs inside other people's frameworks. One folder per framework.

`ultralytics` records YOLO trainings; `launcher` is behind ``epochal run -- CMD`` and arms the
integrations in a process whose script knows nothing about Epochal.
"""
