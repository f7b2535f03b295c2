"""What a file's text says without parsing it: words of interest, and what it may import.

Both are supersets of what the parsed file would say (they look into comments and strings too),
so that a file left out here could not have led to a finding.
"""

from __future__ import annotations

import re

import msgspec

# Patterns begin with a literal, which `re` looks for fast; \b before it would be tried everywhere.
_LOG = re.compile(r"log\b(?<!\wlog)")
_BY_NAME = ("import_module", "__import__", "spec_from_file_location", "load_source", "load_module")
_STRING = re.compile(r"""["']([A-Za-z_][\w.]*)""")
# Bounded and without overlapping repeats: linear on any text.
_IMPORT = re.compile(r"import\b(?<!\wimport)[ \t]*(\((?:[^()#]|#[^\n]*)*\)|(?:\\\r?\n|[^\n#;])*)")
_FROM = re.compile(
    r"from(?<!\wfrom)[ \t]+(?:\\\r?\n[ \t]*)?([.\w\t ]{1,300}?)[ \t]*(?:\\\r?\n[ \t]*)?\Z"
)
_BEFORE = 400  # characters before `import` in which its `from` stands
_COMMENT = re.compile(r"#[^\n]*")


class Words(msgspec.Struct, frozen=True):
    """What to look for; apis/words.py has them.

    Attributes:
      frameworks: what names TensorFlow and Keras; code without builds no graph.
      builds: without one of these nearby there is nothing that any rule could say.
      acts: a network alone is neither right nor wrong: something must train, evaluate or save it.
      ends: what trains, evaluates or restores: the end of a program.
    """

    frameworks: frozenset[str]
    builds: frozenset[str]
    acts: frozenset[str]
    ends: frozenset[str]


class Import(msgspec.Struct, array_like=True, frozen=True):
    """`from module import names` (level: leading dots), or `import module` without names."""

    level: int
    module: str
    names: tuple[str, ...]


class Scan(msgspec.Struct, array_like=True, frozen=True):
    """One file.

    Attributes:
      framework: it mentions TensorFlow or Keras.
      builds: it mentions batch norm, or a way to get networks with it.
      logs, acts: it mentions a logarithm; something that trains, evaluates or saves.
      imports: every import it may hold.
      by_name: it imports modules by a name that it makes up; these strings may begin one.
    """

    framework: bool
    builds: bool
    logs: bool
    acts: bool
    imports: tuple[Import, ...]
    by_name: tuple[str, ...] | None


def mentions(text: str, words: frozenset[str]) -> bool:
    """The text has one of the words, perhaps inside another."""
    return any(word in text for word in words)


def scan(text: str, words: Words) -> Scan:
    """Everything of interest in a text."""
    return Scan(
        framework=mentions(text, words.frameworks),
        builds=mentions(text, words.builds),
        logs=_LOG.search(text) is not None,
        acts=mentions(text, words.acts),
        imports=tuple(dict.fromkeys(_imports(text))),
        by_name=_names(text) if any(word in text for word in _BY_NAME) else None,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(match[1].split(".")[0] for match in _STRING.finditer(text)))


def _imports(text: str) -> list[Import]:
    found: list[Import] = []
    for match in _IMPORT.finditer(text):
        names = [
            part.split()[0]
            for part in _COMMENT.sub("", match[1]).strip("()").replace("\\", " ").split(",")
            if part.split()
        ]
        start = match.start()
        source = _FROM.search(text[max(start - _BEFORE, 0) : start])
        if source is not None:
            module = source[1].replace(" ", "").replace("\t", "")
            dotted = module.lstrip(".")
            found.append(Import(len(module) - len(dotted), dotted, tuple(names)))
        else:
            found.extend(Import(0, name, ()) for name in names if _is_dotted(name))
    return found


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))
