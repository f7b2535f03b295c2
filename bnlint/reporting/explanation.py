"""A rule's documentation in Markdown, made from its rule file."""

from __future__ import annotations

from bnlint.rule import Example, Rule
from bnlint.version import rule_page


def explanation(rule: Rule) -> str:
    """What the rule finds, why that is wrong and how to repair it."""
    parts = [
        f"# {rule.code} {rule.name}",
        f"**{rule.severity.value}**: {rule.summary}",
        "## Why",
        rule.why.strip(),
        "## How to repair it",
        rule.help,
    ]
    return "\n\n".join(parts)


def with_examples(rule: Rule) -> str:
    """The explanation with the rule's first bad and first good example: about one screen."""
    parts = [f"# {rule.code} {rule.name}", f"**{rule.severity.value}**: {rule.summary}"]
    parts += [rule.why.strip()]
    for title, examples in (("Bad", rule.bad[:1]), ("Good", rule.good[:1])):
        for example in examples:
            parts += [f"**{title}:** {example.title}", *code(example)]
    parts.append(f"**Repair:** {rule.help}")
    if page := rule_page(rule.code):
        parts.append(f"Every case: <{page}>")
    return "\n\n".join(parts) + "\n"


def code(example: Example) -> list[str]:
    """A block of code per file, under the file's name where there are several."""
    blocks = [f"```python\n{text.rstrip()}\n```" for text in example.files.values()]
    if len(blocks) == 1:
        return blocks
    return [f"`{path}`\n\n{block}" for path, block in zip(example.files, blocks, strict=True)]
