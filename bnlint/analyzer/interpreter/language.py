"""The whole language: importing the modules that follow it registers what they do."""

from __future__ import annotations

from bnlint.analyzer.interpreter import (
    attributes,
    branches,
    calls,
    conditions,
    containers,
    contexts,
    definitions,
    expressions,
    imports,
    loops,
    operators,
    statements,
)

LANGUAGE = (
    attributes,
    branches,
    calls,
    conditions,
    containers,
    contexts,
    definitions,
    expressions,
    imports,
    loops,
    operators,
    statements,
)
