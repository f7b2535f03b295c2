"""What the interpreter makes of Python, one page of small programs per feature of the language.

Each section of a page is a program: its Python blocks, each a file if a line such as
`nets.py`: stands before it; the last block is the script that is followed. `reveal(x)  # 3` says
what `x` is there, and `# 1; 2` that the line is passed twice. Values read as in Python;

    tensor           a tensor or op, of which everything is known
    incomplete       something about it is not known
    unknown          nothing about it is known
    [1, *tensor]     a list with further items that are not told apart
    1 | 2            one of these, by a branch that is not decided
    setting FLAGS.x  what the user says when the program starts
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from bnlint.analyzer.apis.library import TensorFlow
from bnlint.analyzer.follow import HANDLERS
from bnlint.analyzer.interpreter.imports import run_body
from bnlint.analyzer.interpreter.interpreter import Interpreter, World
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import (
    NONE,
    Choice,
    ClassValue,
    Const,
    DictValue,
    Env,
    External,
    Function,
    Instance,
    ListValue,
    Method,
    ModuleValue,
    Partial,
    RecordValue,
    Setting,
    Symbol,
    Value,
)
from bnlint.analyzer.project.modules import Project
from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.parse import module_facts
from bnlint.program.events import EntryPoint, Program

PAGES = Path(__file__).parent / "pages"
SCRIPT = "script.py"
assert HANDLERS  # importing them registers what they do


class Case(NamedTuple):
    """A section of a page: texts by file name, the script last."""

    title: str
    files: dict[str, str]


def read_page(page: Path) -> list[Case]:
    cases = []
    for section in re.split(r"^## ", page.read_text("utf-8"), flags=re.M)[1:]:
        title, _, rest = section.partition("\n")
        blocks = re.findall(r"(?:^`([\w/.]+)`:\n\n)?^```python\n(.*?)^```", rest, re.M | re.S)
        cases.append(Case(f"{page.stem}: {title}", {name or SCRIPT: text for name, text in blocks}))
    return cases


class Revealing(TensorFlow):
    """The library, with a function `reveal` that writes down what it is given."""

    revealed: dict[int, list[str]]

    def call(self, name: str, args: Args, node: nodes.Call) -> Value:
        if name != "reveal":
            return super().call(name, args, node)
        line = self.interpreter.location(node).line
        self.revealed.setdefault(line, []).append(describe(args.positional[0]))
        return NONE


def revealed(files: dict[str, str]) -> dict[int, list[str]]:
    """What is revealed in which lines of the script."""
    facts = [
        module_facts(text, path, module_name(path), path.endswith("__init__.py"))
        for path, text in files.items()
    ]
    world = World(Project(facts))
    for module in world.project.modules:
        world.globals(module).slots["reveal"] = External("reveal")
    script = world.project.modules[-1]
    env = Env(script, None, script.name)
    env.slots.update(reveal=External("reveal"), __name__=Const("__main__"))
    program = Program(
        EntryPoint(script.path, "script", "", script.facts.location(nodes.Node(0, 0)))
    )
    interpreter = Interpreter(world, lambda interpreter: Revealing(interpreter, program))
    library = interpreter.library
    assert isinstance(library, Revealing)
    library.revealed = {}
    interpreter.script_env = env
    interpreter.module = script
    run_body(interpreter, script, env)
    return library.revealed


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def expected(text: str) -> dict[int, list[str]]:
    return {
        number: match[1].split("; ")
        for number, line in enumerate(text.splitlines(), 1)
        if "reveal(" in line and (match := re.search(r"  # (.*)$", line))
    }


def describe(value: Value | None) -> str:
    """A value as pages write it."""
    if isinstance(value, Const):
        return repr(value.value)
    if isinstance(value, Symbol):
        return "unknown" if value.unknown else "incomplete" if value.incomplete else "tensor"
    if isinstance(value, Choice):
        return " | ".join(sorted(map(describe, value.options)))
    if isinstance(value, RecordValue):
        items = zip(value.fields, value.items, strict=True)
        return f"({', '.join(f'{name}={describe(item)}' for name, item in items)})"
    if isinstance(value, ListValue):
        rest = [f"*{describe(value.rest)}"] if value.rest is not None else []
        return f"[{', '.join([*map(describe, value.items), *rest])}]"
    if isinstance(value, DictValue):
        items = [f"{key!r}: {describe(item)}" for key, item in value.items.items()]
        rest = [f"**{describe(value.rest)}"] if value.rest is not None else []
        return "{" + ", ".join([*items, *rest]) + "}"
    return _describe_object(value)


def _describe_object(value: Value | None) -> str:
    if isinstance(value, Function):
        return f"def {value.definition.qualname}"
    if isinstance(value, ClassValue):
        return f"class {value.definition.name}"
    if isinstance(value, Instance):
        return f"{value.cls.definition.name}()"
    if isinstance(value, ModuleValue):
        return f"module {value.module.name}"
    if isinstance(value, External):
        return value.name
    if isinstance(value, Setting):
        return f"setting {value.key}"
    if isinstance(value, Partial):
        return f"partial({', '.join(map(describe, (value.func, *value.args)))})"
    if isinstance(value, Method):
        return f"{describe(value.receiver)}.{value.name}"
    return type(value).__name__


CASES = [case for page in sorted(PAGES.glob("*.md")) for case in read_page(page)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_values_are_as_the_page_says(case: Case) -> None:
    assert revealed(case.files) == expected(list(case.files.values())[-1])


def test_every_page_has_cases_and_every_case_reveals_something() -> None:
    assert {case.title.split(":")[0] for case in CASES} == {page.stem for page in PAGES.iterdir()}
    assert [case.title for case in CASES if not expected(list(case.files.values())[-1])] == []
