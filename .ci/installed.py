"""Checks an installed bnlint: run with the environment's Python, outside the checkout's imports."""

import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata, resources


def output(*command: str, code: int = 0) -> str:
    """Stdout of `command`, which must exit with `code`; run where no checkout can be imported."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir())
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout


def main(bnlint: str, demo: str) -> None:
    listed = json.loads(output(bnlint, "rules", "--format", "json"))
    assert len(listed) >= 25, listed
    assert len(json.loads(output(bnlint, "reproduce", "--list", "--format", "json"))) >= 22
    assert output(bnlint, "--version").split()[-1] == metadata.version("bnlint")
    found = json.loads(output(bnlint, demo, "--format", "json", code=1))["findings"]
    assert [item["code"] for item in found] == ["BN101"], found
    assert resources.files("bnlint").joinpath("py.typed").is_file()
    code = "import bnlint.cli.check, bnlint.analyzer, sys; print({'tensorflow'} & {*sys.modules})"
    assert output(sys.executable, "-c", code) == "set()\n"
    for command, needs in (("lsp", "bnlint[lsp]"), ("--watch", "bnlint[watch]")):
        done = subprocess.run([bnlint, command], capture_output=True, text=True)
        assert done.returncode == 2 and needs in done.stderr, done.stderr


if __name__ == "__main__":
    main(sys.argv[1], os.path.abspath(sys.argv[2]))
