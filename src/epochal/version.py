"""The version of the package, read by the build and by every journal header."""

__version__ = "0.1.0"
