"""Where knowledge is lost is noted, with the reason, for `bnlint show`."""

import pytest

from bnlint.analyzer.analysis import analyze, describe
from bnlint.program.events import Gap
from bnlint.program.outline import Overview
from bnlint.sources.files import Source

HEAD = """\
import tensorflow as tf
import towers

x = tf.placeholder(tf.float32, [None, 64])
is_training = tf.placeholder(tf.bool)
h = tf.layers.batch_normalization(x, training=is_training)
loss = tf.reduce_mean(h)
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
train_op = tf.train.AdamOptimizer().minimize(loss)
"""


def described(text: str, **others: str) -> Overview:
    texts = {"train": text, **others}
    return describe([Source(f"{name}.py", name, text) for name, text in texts.items()])


def gaps(line: str, **others: str) -> list[Gap]:
    (program,) = described(HEAD + line + "\n", **others).programs
    return program.gaps


@pytest.mark.parametrize(
    ("line", "what", "given"),
    [
        ("towers.sync(train_op)", "towers.sync", "a train op"),
        ("towers.sync([loss, [train_op]])", "towers.sync", "a train op"),
        ("towers.sync(update_ops)", "towers.sync", "update ops"),
        ("towers.head(h)", "towers.head", "the output of a batch norm"),
        ("towers.tail(5, is_training=True)", "towers.tail", "a training flag"),
        ("towers.tail(5, is_training)", "towers.tail", "a training flag"),
        ("towers.tail(x)", "towers.tail", "a tensor"),
    ],
)
def test_a_call_outside_is_noted_with_what_it_was_given(line: str, what: str, given: str) -> None:
    (gap,) = gaps(line)
    assert (gap.what, gap.given) == (what, given)
    assert gap.reason == "it is not among the linted files"
    assert (gap.location.path, gap.location.line) == ("train.py", 10)


@pytest.mark.parametrize(
    "line",
    [
        "towers.sync(5, 'name')",  # nothing that matters
        "tf.no_such_function(h)",  # an op, like all of TensorFlow's
        "import numpy as np; np.mean(h)",  # holds no graph
        "size = h.shape.as_list()[-1]; y = tf.reshape(h, [-1, size, h.shape[1]])",
        "towers.after(towers.load_images())",  # unknown since long before
    ],
)
def test_other_calls_are_not_noted(line: str) -> None:
    assert gaps(line) == []


def test_what_is_called_may_not_be_known() -> None:
    (call,) = gaps("def run(build): build(h)\nrun(dict(a=1).get(towers.name))")
    assert (call.what, call.reason) == ("build", "what is called is not known")
    (method,) = gaps("writer = towers.writer([])\nwriter.log(h)")
    assert (method.what, method.reason) == ("writer.log", "whose method it is is not known")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("parts[0](h)", "parts[...]"),
        ("towers.get(1)[2](h)", "towers.get(...)[...]"),
        ("(parts or towers.get(1))(h)", ""),
    ],
)
def test_what_is_called_is_named_about_as_it_is_written(call: str, what: str) -> None:
    assert [gap.what for gap in gaps(f"parts = towers.make([])\n{call}")] == [what]


@pytest.mark.parametrize("op", ["h * options.scale", "tf.multiply(options.scale, h)"])
def test_an_unknown_value_in_an_op_is_noted_once(op: str) -> None:
    (gap,) = gaps(f"options = towers.load()\ny = {op}\nz = y * options.scale")
    assert (gap.what, gap.location.line) == ("towers.load().scale", 11)
    assert gap.reason.endswith("is computed with a value that is not known")


def test_only_the_first_loss_is_noted() -> None:
    (gap,) = gaps("y = towers.head(h)\ny = towers.middle(y)\ntowers.tail(y)")
    assert gap.what == "towers.head"


def test_their_number_is_bounded_and_tensors_leave_room_for_more() -> None:
    many = "\n".join(f"towers.log{number}(x)" for number in range(50))
    found = gaps(many)
    assert len(found) == 10
    found = gaps(many + "\n" + many.replace("(x)", "(train_op)"))
    assert len(found) == 20 and found[-1].given == "a train op"


def test_nothing_is_noted_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def unused(*args: object) -> None:
        raise AssertionError("noted")

    monkeypatch.setattr("bnlint.analyzer.apis.library.add_gap", unused)
    source = Source("train.py", "train", HEAD + "towers.sync(train_op)\n")
    result = analyze([source])
    assert result.checked.train_ops == 1 and not result.errors


def test_a_program_that_is_left_says_why() -> None:
    heads = [f"{'    ' * level}for a{level} in 'ab'.split('b'):" for level in range(14)]
    endless = "    " * 14 + "h = tf.layers.batch_normalization(h, training=True)"
    overview = described("\n".join([HEAD, *heads, endless]) + "\n")
    (program,) = overview.programs
    assert program.left == "it takes more than 60,000 steps"
    assert program.gaps[-1].reason.startswith("it is long: only what can lead to batch norm")
    assert [(item.path, item.reason) for item in overview.left] == [
        ("train.py", "importing it takes more than 60,000 steps")
    ]


def test_imports_from_outside_are_listed_for_files_that_use_a_framework() -> None:
    imports = "import os, numpy, towers.deep\nfrom nets import resnet\nfrom .here import gone\n"
    overview = described(
        imports + HEAD + "import other\n", other="import urllib3, h5py\nimport train\n"
    )
    found = [(gap.what, gap.location.path, gap.location.line) for gap in overview.outside]
    assert found == [
        ("towers.deep", "train.py", 1),
        ("nets", "train.py", 2),
        (".here", "train.py", 3),
        ("towers", "train.py", 5),
    ]
