"""``python -m epochal`` is the command line."""

from epochal.cli import main

main(prog_name="epochal")
