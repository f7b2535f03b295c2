"""Text of files and file names, made harmless for whoever shows it: a terminal or a CI log."""

from __future__ import annotations

import json
import re

# Azure Pipelines and older GitHub runners look for these anywhere in a line.
_INLINE_COMMAND = re.compile(r"##(?=\[|vso\[)")
# GitHub runners look for `::name parameters::text` at the beginning of a line, behind blanks.
_LINE_COMMAND = re.compile(r"^(\s*):(?=:\w[^:]*::)", re.ASCII)


def printable(text: str) -> str:
    """`text` with control characters, halves of surrogate pairs and log commands made visible."""
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() or character == "\t" else repr(character)[1:-1]
            for character in text
        )
    return _INLINE_COMMAND.sub(r"#\\x23", text)


def printable_line(text: str) -> str:
    """`printable` for a text that begins a line of output."""
    return _LINE_COMMAND.sub(r"\1\\x3a", printable(text))


def to_json(record: object) -> str:
    """JSON in ASCII, without control characters or log commands."""
    text = json.dumps(record, indent=2).replace("\x7f", "\\u007f")
    return text.replace("##[", "##\\u005b").replace("##vso[", "##vso\\u005b") + "\n"
