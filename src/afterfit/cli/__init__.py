"""The command line: one file per command, each imported only when it runs."""

from afterfit.cli._group import cli, main

__all__ = ["cli", "main"]
