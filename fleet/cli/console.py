"""The terminal: data on stdout, words on stderr, colour only where it is wanted."""

import json
import os
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

from rich.console import Console
from rich.text import Text

from fleet.diagnostics.text import Piece, visible

NO_WIDTH = 10_000

STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "bold": "bold",
    "dim": "dim",
    "help": "cyan",
    "ok": "green",
    "": "",
}


@cache
def out() -> Console:
    """For data; where no person looks, no line is broken: it is searched or read by a program."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = NO_WIDTH
    return console


@cache
def err() -> Console:
    """For words: progress, questions, errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def styled(pieces: Iterable[Piece]) -> Text:
    """Pieces as one text of the terminal."""
    text = Text()
    for style, part in pieces:
        text.append(part, style=STYLES[style])
    return text


def say(message: str, style: str = "") -> None:
    """Words on stderr. What comes from outside, Azure's messages for one, must not drive the terminal."""
    shown = "\n".join(visible(line) for line in message.split("\n"))
    err().print(Text(shown, style=STYLES.get(style, style)))


def print_json(value: Any) -> None:
    """A JSON document on stdout, indented, keys as they stand; a large one without a second copy of it."""
    for part in json.JSONEncoder(indent=2).iterencode(value):
        sys.stdout.write(part)
    sys.stdout.write("\n")


def confirm(question: str, *, yes: bool) -> bool:
    """Whether the user agrees. Without a terminal nobody is asked, and the answer is no."""
    if yes:
        return True
    if not err().is_terminal:
        say("nobody to ask here: add --yes to go on", "warning")
        return False
    return err().input(Text(f"{question} [y/N] ")).strip().lower() in ("y", "yes")
