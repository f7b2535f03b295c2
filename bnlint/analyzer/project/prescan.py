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
# Strings of three quotes, strings of one, comments. Each letter fits in one way only, and nothing
# has to come at the end, so that nothing is ever tried again.
_NO_CODE = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"{3})?|\'{3}(?:[^'\\]|\\.|'(?!''))*(?:\'{3})?'''
    r"""|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|#[^\n]*""",
    re.DOTALL,
)
_BEFORE = 400  # characters before `import` in which its `from` stands
_AFTER = 2000  # characters after it in which the names stand
_MAX_PARTS = 100  # of a dotted name


class Words(msgspec.Struct, frozen=True):
    """What to look for; apis/words.py has them.

    Attributes:
      frameworks: what names TensorFlow and Keras; code without builds no graph.
      builds: without one of these nearby there is nothing that any rule could say.
      builders: the names behind them: a text mentions `applications`, its code calls `ResNet50`.
      networks: of `builders`, what is a network itself.
      by_name: the others of `builders`, which only lead to a network that is written elsewhere.
      acts: a network alone is neither right nor wrong: something must train, evaluate or save it.
      ends: what trains, evaluates or restores: the end of a program.
      specs: what a function with a parameter `mode` mentions if it is an estimator's model_fn.
    """

    frameworks: frozenset[str]
    builds: frozenset[str]
    builders: frozenset[str]
    networks: frozenset[str]
    by_name: frozenset[str]
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
      names_tf: it mentions TensorFlow, Keras or slim.
      builds: it mentions batch norm, or a way to get networks with it.
      acts: it mentions something that trains, evaluates or saves.
      logs: it acts, and mentions a logarithm and TensorFlow.
      imports: every import it may hold.
      by_name: it imports modules by a name that it makes up; these strings may begin one.
    """

    names_tf: bool
    builds: bool
    acts: bool
    logs: bool
    imports: tuple[Import, ...]
    by_name: tuple[str, ...] | None


def mentions(text: str, words: frozenset[str]) -> bool:
    """The text has one of the words, perhaps inside another."""
    return any(word in text for word in words)


def scan(text: str, words: Words) -> Scan:
    """Everything of interest in a text."""
    acts = has_word(text, words.acts)
    return Scan(
        names_tf=has_word(text, words.frameworks | TF_NAMES),
        builds=_builds(text, words),
        acts=acts,
        logs=acts and _logs(text),
        imports=tuple(dict.fromkeys(_imports(text))),
        by_name=_names(text) if any(word in text for word in _BY_NAME) else None,
    )


TF_NAMES = frozenset(["tf", "slim"])  # what TensorFlow is called, besides its real names
_TENSORFLOW = frozenset(["tf", "tensorflow"])
NETS = frozenset(["nets"])  # slim's networks, which a program may import by name


def _logs(text: str) -> bool:
    if _LOG.search(text) is None or not has_word(text, _TENSORFLOW):
        return False
    code = _NO_CODE.sub(" ", text)
    return _LOG.search(code) is not None and has_word(code, _TENSORFLOW)


def _builds(text: str, words: Words) -> bool:
    """It names a network in code; or in a string, and gets something by name."""
    if not has_word(text, words.networks | NETS):
        return False
    code = _NO_CODE.sub(" ", text)
    return has_word(code, words.networks) or has_word(code, words.by_name)


def has_word(text: str, words: frozenset[str]) -> bool:
    """The text has one of the words, on its own."""
    return any(_is_in(text, word) for word in words)


def _is_in(text: str, word: str) -> bool:
    place = text.find(word)
    while place >= 0:
        end = place + len(word)
        before, after = text[place - 1 : place], text[end : end + 1]
        if not (_continues_name(before) or _continues_name(after)):
            return True
        place = text.find(word, end)
    return False


def _continues_name(letter: str) -> bool:
    return letter == "_" or letter.isalnum()


def names_in_code(text: str, words: frozenset[str]) -> bool:
    """The text has one of the words outside of strings and comments."""
    return has_word(text, words) and has_word(_NO_CODE.sub(" ", text), words)


def imports_framework(known: Scan, frameworks: frozenset[str]) -> bool:
    """The file imports TensorFlow or Keras, or from elsewhere what is called so."""
    for node in known.imports:
        if not frameworks.isdisjoint((*node.module.split("."), *node.names)):
            return True
    return known.by_name is not None and not frameworks.isdisjoint(known.by_name)


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
