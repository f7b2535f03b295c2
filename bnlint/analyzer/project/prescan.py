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
_IMPORT = re.compile(r"import\b(?<!\wimport)[ \t]*(\()?")
# What follows it. Nothing has to come after these, so that nothing is ever tried again.
_NAMES = re.compile(r"(?:\\\r?\n|[^\n#;])*")
_NAMES_IN_BRACKETS = re.compile(r"(?:[^()#]|#[^\n]*)*")
_BATCH_NORM = re.compile(r"batch_?norm", re.IGNORECASE)
_COMMENT = re.compile(r"#[^\n]*")
_BEFORE = 400  # characters before `import` in which its `from` stands
_AFTER = 2000  # characters after it in which the names stand
_MAX_PARTS = 100  # of a dotted name


class Words(msgspec.Struct, frozen=True):
    """What to look for; apis/words.py has them.

    Attributes:
      frameworks: what names TensorFlow and Keras; code without builds no graph.
      builds: without one of these nearby there is nothing that any rule could say.
      acts: a network alone is neither right nor wrong: something must train, evaluate or save it.
      ends: what trains, evaluates or restores: the end of a program.
      specs: what a function with a parameter `mode` mentions if it is an estimator's model_fn.
    """

    frameworks: frozenset[str]
    builds: frozenset[str]
    acts: frozenset[str]
    ends: frozenset[str]
    specs: frozenset[str]


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


def uses_batch_norm(text: str, known: Scan, frameworks: frozenset[str]) -> bool:
    """The file imports a framework, and names a batch norm outside of comments."""
    imports = any(node.module.split(".")[0] in frameworks for node in known.imports)
    return imports and _BATCH_NORM.search(_COMMENT.sub("", text)) is not None


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(match[1].split(".")[0] for match in _STRING.finditer(text)))


def _imports(text: str) -> list[Import]:
    found: list[Import] = []
    place = 0
    while (match := _IMPORT.search(text, place)) is not None:
        end = min(match.end() + _AFTER, len(text))
        pattern = _NAMES_IN_BRACKETS if match[1] else _NAMES
        listed = pattern.match(text, match.end(), end)
        assert listed is not None  # it may be empty
        # In brackets that only look like a list of names, as in prose, another import may begin.
        place = match.end() if match[1] else listed.end()
        names = [
            part.split()[0]
            for part in _COMMENT.sub("", listed[0]).replace("\\", " ").split(",")
            if part.split()
        ]
        module = _module_before(text[max(match.start() - _BEFORE, 0) : match.start()])
        if module is not None:
            dotted = module.lstrip(".")
            found.append(Import(len(module) - len(dotted), dotted, tuple(names)))
        else:
            found.extend(Import(0, name, ()) for name in names if _is_dotted(name))
    return found


def _module_before(text: str) -> str | None:
    """The module of the `from module` that a text ends in."""
    place = text.rfind("from")
    while place >= 0:
        after = text[place + 4 :].replace("\\\r\n", " ").replace("\\\n", " ")
        is_word = place == 0 or not (text[place - 1].isalnum() or text[place - 1] == "_")
        if is_word and after[:1] in (" ", "\t", "."):
            module = after.replace(" ", "").replace("\t", "")
            is_name = all(part.isidentifier() for part in module.split(".") if part)
            return module if module and is_name else None
        place = text.rfind("from", 0, place)
    return None


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    return len(parts) <= _MAX_PARTS and all(part.isidentifier() for part in parts)
