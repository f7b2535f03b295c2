"""What a flag may be, by the names that it is passed on by."""

import sys
from types import FrameType
from typing import Any

from bnlint.analyzer.project.modules import Project
from bnlint.analyzer.project.name_values import DEPTH, NameValues
from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.parse import module_facts


def values(text: str) -> tuple[set[tuple[bool | None, str]], int]:
    """(value, kind) of everything that `flag` may be, and how many lines ran to find it."""
    (module,) = Project([module_facts(text, "net.py", "net")]).modules
    names = NameValues([(module, list(nodes.nodes_in(module.facts.body)))])
    lines = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = names.of(nodes.Name(0, 0, "flag"), module)
    finally:
        sys.settrace(before)
    return {(source.value, source.kind) for source in found}, lines


def test_a_flag_is_what_the_names_on_its_way_are() -> None:
    text = "def net(flag=False): pass\nnet(mode)\nnet(flag=flag)\nmode = True\n"
    assert values(text)[0] == {(False, "default"), (True, "literal")}


def test_where_ways_differ_in_length_the_shortest_counts() -> None:
    """The other one alone would be too long."""
    way = "".join(f"name{i} = name{i + 1}\n" for i in range(DEPTH))
    assert values(f"flag = name0\n{way}name{DEPTH} = True\n")[0] == {(None, "unknown")}
    assert values(f"flag = name0\nflag = near\nnear = name{DEPTH - 2}\n{way}name{DEPTH} = True\n")[
        0
    ] == {(True, "literal")}


def test_names_that_are_passed_on_to_each_other_are_looked_up_once() -> None:
    """`training` and `is_training` in every layer of a large package: ways without number."""

    def lines(count: int) -> int:
        every = ", ".join(f"name{i}=0" for i in range(count))
        passed = ", ".join(f"name{i}=name{j}" for i in range(count) for j in range(count) if i > j)
        back = ", ".join(f"name{i}=name{j}" for i in range(count) for j in range(count) if i < j)
        return values(f"def f({every}): pass\nf({passed})\nf({back})\nflag = name0\n")[1]

    assert lines(16) <= 6 * lines(8)
