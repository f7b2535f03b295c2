"""The kinds of input of benchmarks/fuzz.py: how each is made, and what is a fault.

An input is plain data that JSON can keep. File names and texts are strings, in which a lone
surrogate stands for a byte that is not UTF-8.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY = 4 * 1024**3  # bytes of address space
TOKENS = [
    *"()[]{}:,=@#`'\0é", *("lambda ", "yield ", "await ", "async ", "print ", "exec ", "def f("),
    "\n", "\n\t", "\\\n", '"""', "f'{", "**", "<>", "0777", "match x:\n",
    "import_module(", "batch_norm(", "minimize(",
]  # fmt: skip
HEADER = "import tensorflow as tf; batch_norm, minimize\n"
PROGRAM = """\
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 64])
h = tf.layers.batch_normalization(x, training=True)
train_op = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    sess.run(train_op)
"""
FORMATS = ("text", "concise", "json", "sarif", "github", "gitlab", "junit")
ODD = [
    *map(chr, range(0x20)), *"\x7f\x80\x85\x9b\xa0\xad\u200b\u2028\u202e\ufeff\ufffe\uffff",
    *"\udce9\udcff😀é日", *":,;%&<>\"'`[]{}()#!*?\\|$~^=+-@ .", "::error::", "##[error]", "a", "b",
    "%0A", "[red]", "${{x}}", "BN101", "x" * 100,
]  # fmt: skip


def limit_memory() -> None:
    """For the process that tries inputs."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def corpus(folders: list[str]) -> list[str]:
    """The texts to start from."""
    if folders:
        files = [file for folder in folders for file in Path(folder).rglob("*.py")]
        return [file.read_text(errors="replace") for file in files if file.stat().st_size < 50_000]
    from bnlint.registry import all_rules

    cases = [case for rule in all_rules().values() for case in (*rule.bad, *rule.good)]
    return [text for case in cases for text in case.files.values()]


@contextlib.contextmanager
def tree(files: dict[str, str]) -> Iterator[None]:
    """A folder of these files, as the current one; names that cannot be are left out."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="bnlint-fuzz-") as folder:
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = os.path.join(folder, ".user")
        try:
            for name, text in files.items():
                with contextlib.suppress(OSError, ValueError):
                    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
                    with open(os.fsencode(name), "wb") as stream:
                        stream.write(text.encode("utf-8", "surrogateescape"))
            yield
        finally:
            os.chdir(before)


def command(*arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command, in this process."""
    from bnlint.cli.last_resort import ended_well
    from bnlint.cli.main import cli
    from bnlint.execution.executor import prepare

    prepare()
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = ended_well(lambda: cli.main(list(arguments), "bnlint", standalone_mode=False))
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return code, *texts  # type: ignore[return-value]


def wrong(code: int, out: str, err: str) -> str:
    """What no run may do; "" if it does nothing of it."""
    if code not in (0, 1, 2):
        return f"exit code {code}"
    for text in (out, err):
        for word in ("Traceback", "internal error"):
            if word in text:
                return text[text.index(word) :][:300]
    if code == 1 and "BN" not in out:
        return "exit code 1 without a finding"
    return ""


def pieces(random_: random.Random, parts: list[str], most: int) -> str:
    """Some of the parts, one after another."""
    return "".join(random_.choices(parts, k=random_.randint(0, most)))


# --- damaged sources ---------------------------------------------------------------------------


def damaged(random_: random.Random, texts: list[str]) -> str:
    """A text with lines, words or characters dropped, doubled, swapped or replaced."""
    text = random_.choice(texts)
    for _ in range(random_.choice([0, 1, 1, 2, 5, 20])):
        parts = re.findall(random_.choice([r".*\n", r"\w+|\W", r"(?s)."]), text)
        if not parts:
            break
        at, other = random_.randrange(len(parts)), random_.randrange(len(parts))
        change = random_.randrange(5)
        if change == 0:
            del parts[at]
        elif change == 1:
            parts[at] *= random_.choice([2, 2, 3, 500])
        elif change == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif change == 3:
            parts[at] = random_.choice(TOKENS)
        else:
            parts[at] += random_.choice(re.findall(r"\w+|\W", random_.choice(texts)) or [""])
        text = "".join(parts)
    return HEADER + text


def analyzed(text: str) -> str:
    """Faults of the analysis of one text."""
    from bnlint.analyzer.analysis import analyze
    from bnlint.execution.executor import prepare
    from bnlint.sources.files import Source, source_from_bytes

    prepare()
    source = source_from_bytes(text.encode("utf-8", "surrogatepass"), "x.py")
    if not isinstance(source, Source):
        return ""
    try:
        result = analyze([source])
    except Exception as error:
        return repr(error)
    internal = [error.message for error in result.errors if "internal error" in error.message]
    return internal[0] if internal else ""


# --- expressions and statements that grow ------------------------------------------------------

ATOMS = [
    "x", "y", "z", "f", "C", "tf", "1", "0", "-7", "2.5", "1e308", "True", "None", "''", "'ab'",
    "b'a'", "[]", "[1, 2]", "()", "{}", "{'a': 1}", "{1}", "10**9", "h", "net", "d", "args.rate",
]  # fmt: skip
BINARY = ["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "|", "&", "^", "@", "and", "or", "==",
          "in", "is", "<", "not in"]  # fmt: skip
WRAPPED = [
    "[*{0}, *{0}]", "({0}, {1})", "{{**{0}, 'k': {1}}}", "{0}[{1}]", "{0}[{1}:]", "{0}.a", "{0}()",
    "{0}({1})", "{0}(*{1})", "{0}(**{1})", "f({0}, {1})", "'%s' % {0}", "'%999999999d' % {0}",
    "'{{:{{}}}}'.format({0}, {1})", "f'{{{0}:>{{{1}}}}}'", "[v for v in {0}]",
    "[(a, b) for a in {0} for b in {1}]", "{{k: v for k, v in {0}.items()}}", "lambda: {0}",
    "({0} if {1} else {0})", "len({0})", "str({0})", "list({0})", "range({0})", "sum({0})",
    "getattr({0}, {1})", "isinstance({0}, {1})", "{0}.append({1})", "{0}.extend({0})",
    "{0}.update({1})", "sorted({0})", "zip({0}, {1})", "'x'.join({0})", "{0}.format({1})",
    "int({0})", "map({0}, {1})", "tf.cond({0}, {1}, {1})", "tf.layers.dense({0}, {1})",
    "tf.layers.batch_normalization({0}, training={1})", "tf.Session().run({0}, {{{1}: {0}}})",
    "functools.partial({0}, {1})", "super({0}, {1})", "type({0})", "vars({0})", "dict(a={0})",
    "tf.train.AdamOptimizer({0}).minimize({1})", "{0}.__class__", "globals()[{0}]", "-{0}",
    "not {0}", "({0}).__add__({1})", "open({0})", "print({0})", "next({0})", "iter({0})",
]  # fmt: skip
STATEMENTS = [
    "{t} = {0}", "{t} = {0}", "{t} += {0}", "{t} = {t} + {t}", "{t} = [*{t}, *{t}]",
    "{t} = {t} * {t} + {t}", "{t}.extend({t})", "{t}, y = {0}, {1}", "{t}[{0}] = {1}",
    "{t}.a = {0}", "del {t}", "for {t} in {0}:\n    y = {1}", "while {0}:\n    {t} = {1}",
    "if {0}:\n    {t} = {1}\nelse:\n    {t} = {0}", "with {0} as {t}:\n    y = {1}",
    "try:\n    {t} = {0}\nexcept {1}:\n    pass", "def f(*a, **k):\n    return {0}",
    "def f(a={0}):\n    yield {1}\n    return f(a, a)", "class C({0}):\n    a = {1}",
    "class C(C, {0}):\n    def __init__(self, a):\n        self.a = {1}", "return {0}",
    "global {t}\n{t} = {0}", "assert {0}, {1}", "import {m}", "from {m} import *",
    "f({0}, *{1})", "sess.run({0}, feed_dict={{{1}: {0}}})", "raise {0}", "{t}: {0} = {1}",
    "match {0}:\n    case [{t}, *_]:\n        y = {1}",
]  # fmt: skip


def expression(random_: random.Random, depth: int) -> str:
    """An expression that nests at most so deep."""
    if depth <= 0 or random_.random() < 0.2:
        return random_.choice(ATOMS)
    first, second = expression(random_, depth - 1), expression(random_, depth - 1)
    if random_.random() < 0.4:
        return f"({first} {random_.choice(BINARY)} {second})"
    return f"({random_.choice(WRAPPED).format(first, second)})"


def growing(random_: random.Random, texts: list[str]) -> str:
    """A program with statements that compute on values, some of them repeated."""
    lines = [
        PROGRAM,
        "import argparse, functools",
        "x = y = z = [1]",
        "d = {}",
        "f = C = net = str",
    ]
    lines.append("args = argparse.ArgumentParser().parse_args()")
    for _ in range(random_.randint(1, 12)):
        names = {"t": random_.choice("xyzfC"), "m": random_.choice(["a.b", "os.a", "x", "a" * 99])}
        parts = [expression(random_, random_.choice([1, 2, 4])) for _ in range(2)]
        statement = random_.choice(STATEMENTS).format(*parts, **names)
        lines += [statement] * random_.choice([1, 1, 1, 2, 40])
    return "\n".join(lines) + "\n"


# --- settings and patterns ---------------------------------------------------------------------

KEYS = ["select", "ignore", "exclude", "confidence", "baseline", "per-file-ignores", "cache-dir",
        "x", '"\\u001b[2J"', '""']  # fmt: skip
VALUES = [
    "1", "-1", "1e999", "true", '""', '"high"', '"/dev/zero"', '"../x"', '"a\\u0000"', '"BN"',
    '["BN1"]', '["BN101", "ALL"]', "[]", "[1]", '["!"]', '["\\\\"]', '["*a*a*a*b"]', "{}",
    '{"*.py" = ["BN101"]}', '{"[" = ["BN1"]}', '{"a" = 1}', "1979-05-27", "[[[]]]", "nan", '"x" 1',
    "[" * 2000, '"' + "y" * 5000 + '"', "'''\n'''", '["' + "*" * 300 + 'b"]', '["[z-a]", "**/"]',
]  # fmt: skip


def settings(random_: random.Random, texts: list[str]) -> str:
    """A pyproject.toml, well-formed or not."""
    lines = [random_.choice(["[tool.bnlint]", "[tool.bnlint]", "[[tool.bnlint]]", "[tool]", ""])]
    for _ in range(random_.randint(0, 5)):
        lines.append(f"{random_.choice(KEYS)} = {random_.choice(VALUES)}")
    text = "\n".join(lines) + "\n"
    if random_.random() < 0.3:
        at = random_.randrange(len(text))
        text = text[:at] + pieces(random_, ODD, 3) + text[at + random_.randint(0, 3) :]
    return text


def with_settings(text: str) -> str:
    """Faults of a run with these settings."""
    with tree({"train.py": PROGRAM, "pyproject.toml": text}):
        return wrong(*command("--no-cache", "--format", "json", "."))


PATTERN = ["*", "**", "?", "/", "!", "\\", "[", "]", "[!", "[a-z]", "[z-a]", "[[:alpha:]]", "-",
           "^", "a", "b", ".py", "train", " ", "#", "\n", "\n", "\t", "\r", "é", "\udcff",
           "\0"]  # fmt: skip


def patterns(random_: random.Random, texts: list[str]) -> str:
    """A .gitignore."""
    return pieces(random_, PATTERN, random_.choice([3, 10, 100, 2000]))


def with_patterns(text: str) -> str:
    """Faults of a run with this .gitignore, and with its lines as options."""
    lines = [line for line in text.split("\n") if "\0" not in line][:20]
    options = [f"--exclude={line}" for line in lines]
    with tree({"train.py": PROGRAM, "a" * 120 + ".py": PROGRAM, ".gitignore": text}):
        return wrong(*command("--no-cache", "--format", "json", ".")) or wrong(
            *command("--no-cache", "--format", "json", *options, ".")
        )


# --- file names and formats --------------------------------------------------------------------


def names(random_: random.Random, texts: list[str]) -> list[str]:
    """A format and a name."""
    name = pieces(random_, ODD, 12).replace("/", "").replace("\0", "")
    return [random_.choice([*FORMATS, "diff"]), name[:120] + ".py"]


def with_name(case: list[str]) -> str:
    """Faults of the report about a file of this name, which has a finding."""
    format_, name = case
    os.environ["TF_BUILD"] = "1"  # a diff is then for a log
    options = ["--diff"] if format_ == "diff" else ["--format", format_]
    with tree({name: PROGRAM}):
        if not os.path.exists(os.fsencode(name)):
            return ""
        code, out, err = command("--no-cache", *options, ".")
    return wrong(code, out + err, "") or _unclean(format_, out) or _unclean("text", err)


def _unclean(format_: str, text: str) -> str:
    odd = {c for c in text if not c.isprintable()} - {"\n", "\t"}
    if odd:
        return f"{format_} has {odd!r}"
    if "##[" in text or "##vso[" in text:
        return f"{format_} has a log command"
    try:
        if format_ in ("json", "sarif", "gitlab"):
            json.loads(text)
        elif format_ == "junit":
            ET.fromstring(text)
    except (ValueError, ET.ParseError) as error:
        return f"{format_} is not well-formed: {error}"
    commands = [line for line in text.split("\n") if re.match(r"\s*::\w", line)]
    if format_ == "github":
        return "" if len(commands) == 1 else f"{len(commands)} commands for one finding"
    return f"{format_} has a log command" if commands else ""


# --- damaged caches ----------------------------------------------------------------------------


def cache_damage(random_: random.Random, texts: list[str]) -> list[Any]:
    """[statement or "", [[where (share of the file), bytes as hexadecimal digits], ...]]."""
    statement = random_.choice(
        [
            "", "", "", "DROP TABLE entries", "UPDATE entries SET value = zeroblob(100)",
            "UPDATE entries SET used = 'x'", "UPDATE entries SET value = 1",
            "ALTER TABLE entries ADD COLUMN more", "CREATE VIEW v AS SELECT 1",
            "CREATE TRIGGER t AFTER UPDATE ON entries BEGIN DELETE FROM entries; END",
            "UPDATE entries SET value = (SELECT max(value) FROM entries)",
            "CREATE INDEX i ON entries (abs(used))", "PRAGMA user_version = 7",
            "ALTER TABLE entries RENAME TO other", "DELETE FROM entries WHERE rowid % 2",
        ]
    )  # fmt: skip
    edits = [
        [random_.random(), random_.randbytes(random_.choice([1, 4, 64, 3000])).hex()]
        for _ in range(random_.choice([0, 1, 3, 20]))
    ]
    return [statement, edits]


def with_cache(case: list[Any]) -> str:
    """Faults of a run on a damaged cache: it must say what a run without a cache says."""
    import sqlite3

    statement, edits = case
    arguments = ("--format", "json", ".")
    with tree({"train.py": PROGRAM, "other.py": PROGRAM + "# other\n"}):
        expected = command("--no-cache", *arguments)
        command(*arguments)
        (file,) = Path(".user", "bnlint").glob("*.sqlite3")
        if statement:
            with contextlib.closing(sqlite3.connect(file)) as database, database:
                database.execute(statement)
        data = bytearray(file.read_bytes())
        for share, digits in edits:
            at = int(share * len(data))
            data[at : at + len(digits) // 2] = bytes.fromhex(digits)
        file.write_bytes(data)
        found = [command(*arguments) for _ in range(2)]
    return "" if found == [expected] * 2 else f"{statement}: {found} instead of {expected}"


# --- the language server -----------------------------------------------------------------------

METHODS = [
    "textDocument/didOpen", "textDocument/didChange", "textDocument/didChange",
    "textDocument/hover", "textDocument/codeAction", "textDocument/didSave",
    "textDocument/didClose", "workspace/didChangeWatchedFiles", "notebookDocument/didOpen",
    "workspace/didChangeWorkspaceFolders", "textDocument/nothing", "$/cancelRequest",
]  # fmt: skip


def messages(random_: random.Random, texts: list[str]) -> list[dict[str, Any]]:
    """Messages of a client, some of them wrong."""
    return [_message(random_, texts, number) for number in range(random_.randint(3, 15))]


def _message(random_: random.Random, texts: list[str], number: int) -> dict[str, Any]:
    place = {"line": random_.choice([0, 1, 5, 99999]), "character": random_.choice([0, 3, 10**6])}
    end = {"line": random_.choice([0, 2, 7, 99999]), "character": random_.choice([0, 1, 500])}
    uri = random_.choice(["file:///FOLDER/train.py", "file:///FOLDER/x.py", "untitled:1", "", "x:"])
    text = damaged(random_, texts)
    method = random_.choice(METHODS)
    params: dict[str, Any] = {
        "textDocument": {"uri": uri, "languageId": "python", "version": number, "text": text},
        "contentChanges": [{"range": {"start": place, "end": end}, "text": text[:200]}],
        "position": place,
        "range": {"start": place, "end": end},
        "context": {"diagnostics": []},
        "changes": [{"uri": uri, "type": 2}],
        "event": {"added": [], "removed": [{"uri": uri, "name": "x"}]},
        "notebookDocument": {"uri": uri, "notebookType": "jupyter-notebook", "version": 1,
                             "cells": [{"kind": 2, "document": uri}]},
        "cellTextDocuments": [{"uri": uri, "languageId": "python", "version": 1, "text": text}],
    }  # fmt: skip
    if random_.random() < 0.15:
        params[random_.choice(list(params))] = random_.choice([None, 1, [], "x", {}])
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    if method in ("textDocument/hover", "textDocument/codeAction", "textDocument/nothing"):
        message["id"] = f"m{number}"
    return message


def with_messages(case: list[dict[str, Any]]) -> str:
    """Faults of a server that gets these messages: it must answer the last one."""
    with tree({"train.py": PROGRAM}):
        folder = os.getcwd()
        start = {"jsonrpc": "2.0", "id": "start", "method": "initialize",
                 "params": {"capabilities": {}, "rootUri": f"file://{folder}"}}  # fmt: skip
        done = {"jsonrpc": "2.0", "id": "done", "method": "shutdown"}
        ready: dict[str, Any] = {"jsonrpc": "2.0", "method": "initialized", "params": {}}
        sent = [start, ready, *case, done, {"jsonrpc": "2.0", "method": "exit"}]
        data = b""
        for message in sent:
            body = json.dumps(message).replace("/FOLDER", folder).encode()
            data += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        server = subprocess.run(
            [sys.executable, "-m", "bnlint", "lsp"], input=data, capture_output=True, timeout=50
        )
    if b'"id": "done"' not in server.stdout and b'"id":"done"' not in server.stdout:
        return f"no answer to shutdown, exit code {server.returncode}: {server.stderr[-300:]!r}"
    if b"internal error" in server.stdout:
        at = server.stdout.index(b"internal error")
        return server.stdout[at : at + 300].decode("utf-8", "replace")
    return ""


# --- bnlint run --------------------------------------------------------------------------------

SCRIPTS = {
    "": 0, "import sys; print(sys.argv)": 0, "import sys; sys.exit(3)": 3, "raise ValueError": 1,
    "import sys; sys.exit('text')": 1, "x = (": 1, "import os; os.chdir('/')": 0,
    "import sys; del sys.argv[:]": 0, "import sys; sys.stdout = None": 0,
}  # fmt: skip
ARGUMENTS = ["--", "-", "--stop", "--format", "json", "text", "--save-to", "out.json", "--help-me",
             "--steps=3", "", "-x", "é", "--format=x", "/nowhere/x", "*"]  # fmt: skip


def run_arguments(random_: random.Random, texts: list[str]) -> list[Any]:
    """[options before the script, script, arguments behind it]."""
    before = random_.choice([[], [], ["--stop"], ["--format", "json"], ["--save-to", "out.txt"]])
    return [before, random_.choice(list(SCRIPTS)), random_.choices(ARGUMENTS, k=3)]


def with_run(case: list[Any]) -> str:
    """Faults of a script that is run under bnlint: its exit code and arguments are its own."""
    before, script, behind = case
    with tree({"script.py": script}):
        done = subprocess.run(
            [sys.executable, "-m", "bnlint", "run", *before, "script.py", *behind],
            capture_output=True,
            text=True,
            timeout=55,
        )
    if "internal error" in done.stderr or "bnlint/cli" in done.stderr:
        return done.stderr[-500:]
    if done.returncode != SCRIPTS[script]:
        return f"exit code {done.returncode}, not {SCRIPTS[script]}: {done.stderr[-300:]}"
    return ""


@dataclass(frozen=True)
class Kind:
    """How inputs are made and tried; `weight`: how often, compared with the other kinds."""

    make: Callable[[random.Random, list[str]], Any]
    run: Callable[[Any], str]
    weight: float


KINDS = {
    "sources": Kind(damaged, analyzed, 40),
    "expressions": Kind(growing, analyzed, 25),
    "settings": Kind(settings, with_settings, 12),
    "gitignore": Kind(patterns, with_patterns, 8),
    "names": Kind(names, with_name, 10),
    "caches": Kind(cache_damage, with_cache, 4),
    "server": Kind(messages, with_messages, 0.6),
    "run": Kind(run_arguments, with_run, 0.4),
}
