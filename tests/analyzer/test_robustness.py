"""Any input gives findings or a clean error."""

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bnlint.analyzer.analysis import analyze
from bnlint.sources.files import Source, source_from_bytes

CASES = Path(__file__).parents[2] / "fixtures" / "rules"
TEXTS = [path.read_text("utf-8") for path in sorted(CASES.rglob("*.py"))]

# Words without which nothing would be parsed.
HEADER = "import tensorflow as tf; batch_norm, minimize\n"


def lint_bytes(data: bytes) -> None:
    source = source_from_bytes(data, "x.py")
    if isinstance(source, Source):
        result = analyze([source])
        assert all(error.path == "x.py" and error.message for error in result.errors)
        assert not any("internal error" in error.message for error in result.errors)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@example("\U00013460".encode())  # a letter to libcst, unknown to older Pythons
def test_any_bytes(data: bytes) -> None:
    lint_bytes(HEADER.encode() + data)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_programs_with_missing_lines(text: str, random: object) -> None:
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if random.random() > 0.15]  # type: ignore[attr-defined]
    lint_bytes((HEADER + "".join(kept)).encode())


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    text = HEADER + "x = " + "(" * 5000 + "1" + ")" * 5000 + "\n"
    result = analyze([Source("deep.py", "deep", text)])
    assert [error.message for error in result.errors] == [
        "nested too deeply to be analyzed (this statement was left out, the rest was analyzed)"
    ]
