"""Every fact stands where the text says."""

from pathlib import Path

import pytest

from bnlint.analyzer.syntax import nodes
from bnlint.analyzer.syntax.parse import module_facts

SOURCES = sorted(Path(nodes.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_name_and_attribute_stands_where_the_facts_say(path: Path) -> None:
    text = path.read_text()
    facts = module_facts(text, str(path), "m")
    checked = 0
    todo: list[object] = list(facts.body)
    while todo:
        node = todo.pop()
        if isinstance(node, nodes.Name):
            place = text[node.start : node.end]
            assert place == node.id or place[-1] in "'\""  # an f-string around it
            checked += 1
        if isinstance(node, nodes.Attribute):
            assert text[node.start : node.end].endswith((node.attr, "'", '"'))
        if isinstance(node, list | tuple):
            todo.extend(node)
        elif isinstance(node, nodes.Node | nodes.Argument | nodes.Param):
            todo.extend(getattr(node, name) for name in node.__struct_fields__)
    assert checked or not facts.functions
