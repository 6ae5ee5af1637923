"""What both command lines share: an option that is given twice is a mistake, not a choice, and
what a terminal cannot show is no error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from benchmark.errors import UserError


class Command(TyperCommand):
    """A command that refuses an option given twice, of which the last would silently count."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in given:
            single = isinstance(option, TyperOption) and not (option.multiple or option.count)
            if single and given.count(option) > 1:
                raise UserError(
                    f"{option.opts[0]} is given {given.count(option)} times; give it once "
                    "(a list has commas between its names)"
                )
        return super().parse_args(ctx, args)


class App(typer.Typer):
    """A command line, or a group of its commands, whose commands are `Command`s."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # not every encoding has a ±
        return super().__call__(*args, **options)

    def command(self, *args: Any, **options: Any) -> Callable:
        return super().command(*args, cls=Command, **options)
