"""Arguments of library functions are bound by recorded signatures."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bnlint.analyzer.apis.registry import FUNCTIONS, METHODS, Api, Kind
from bnlint.analyzer.apis.signature import STUBS, Call, signatures
from bnlint.analyzer.apis.words import WORDS
from bnlint.analyzer.interpreter.library import Args
from bnlint.analyzer.interpreter.values import Const
from bnlint.analyzer.syntax import nodes
from bnlint.rule import Example, example
from bnlint.testing import findings_in

FIXTURES = Path(__file__).parents[3] / "fixtures"
HEAD = "import tensorflow as tf\nslim = tf.contrib.slim\nlayers = tf.contrib.layers\n"
# A network of two parts, of which training may mean one.
NETWORK = """
x = tf.placeholder(tf.float32, [None, 8])
with tf.variable_scope('body'):
    net = tf.layers.batch_normalization(tf.layers.dense(x, 8), training={training})
with tf.variable_scope('head'):
    loss = tf.reduce_mean(tf.layers.dense(net, 1))
head = tf.trainable_variables('head')
optimizer = tf.train.GradientDescentOptimizer(0.1)
"""


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FIXTURES))
    return importlib.import_module("oracle.signatures")


def declarations() -> list[Api]:
    def kinds(base: type[Kind]) -> Iterator[type[Kind]]:
        for kind in base.__subclasses__():
            yield kind
            yield from kinds(kind)

    own = [api for kind in kinds(Kind) for api in kind.methods.values()]
    return [*FUNCTIONS.values(), *(api for found in METHODS.values() for api in found), *own]


def test_the_stubs_are_those_of_the_record(oracle: ModuleType) -> None:
    written = {path.name: path.read_text("utf-8") for path in STUBS.glob("*.pyi")}
    assert written == oracle.stubs()


@pytest.mark.tensorflow
def test_the_record_is_that_of_the_installed_libraries(oracle: ModuleType) -> None:
    pytest.importorskip("tensorflow")
    recorded = json.loads((FIXTURES / "oracle" / "signatures.json").read_text("utf-8"))
    found = {name: of for name, of in oracle.record().items() if name in recorded}
    if not found:
        pytest.skip("other versions are installed than those recorded")
    assert all(found[name] == recorded[name] for name in found)


def test_every_declared_function_has_a_signature() -> None:
    assert all(api.versions for api in declarations())


def test_handlers_ask_for_parameters_that_exist() -> None:
    own = {name for name in dir(Call) if not name.startswith("_")} | {"api", "roles", "node"}
    own |= {"arguments", "more"}
    asked = 0
    for api in declarations():
        known = {name for version in api.versions for name in version.names}
        tree = ast.parse(textwrap.dedent(inspect.getsource(api.handler)))
        for node in ast.walk(tree):
            for name in _asked(node):
                if name not in own:
                    asked += 1
                    assert name in known, f"{api.handler.__qualname__}: {api.name} has no {name}"
    assert asked > 200


def _asked(node: ast.AST) -> Iterator[str]:
    """`call.name`, `call["name"]` and `call.given("name")` ask for the parameter `name`."""
    if isinstance(node, ast.Attribute) and _is_call(node.value):
        yield node.attr
    elif isinstance(node, ast.Subscript) and _is_call(node.value):
        yield ast.literal_eval(node.slice)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        asks = node.func.attr in ("given", "number") and _is_call(node.func.value)
        yield from (arg.value for arg in node.args if asks and isinstance(arg, ast.Constant))


def _is_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "call"


# --- binding -------------------------------------------------------------------------------


def bound(name: str, *positional: int, **keywords: int) -> Call:
    args = Args([Const(value) for value in positional])
    args.keywords = {key: Const(value) for key, value in keywords.items()}
    return FUNCTIONS[name].bind(args, nodes.Call(0, 0, nodes.Name(0, 0, ""), []))


def value(argument: object) -> object:
    return argument.value if isinstance(argument, Const) else argument


def test_positions_are_those_of_the_real_function() -> None:
    call = bound("tensorflow.layers.batch_normalization", *range(18))
    read = [call.training, call.trainable, call.name, call.reuse]
    assert [value(argument) for argument in read] == [14, 15, 16, 17]


def test_a_keyword_is_found_by_its_name() -> None:
    call = bound("slim.optimize_loss", 1, update_ops=2)
    assert (value(call.loss), value(call.update_ops), call.variables) == (1, 2, None)


def test_the_version_that_the_call_fits_is_taken() -> None:
    # TF 1: tuple(tensors, name, control_inputs); TF 2: tuple(tensors, control_inputs, name).
    first, second = signatures("tensorflow.tuple")
    assert (first.positional[1], second.positional[1]) == ("name", "control_inputs")
    # tf.cond's fn1 is a parameter of TF 1 only.
    assert value(bound("tensorflow.cond", 1, fn1=2, fn2=3).fn1) == 2


def test_defaults_are_known() -> None:
    assert bound("slim.batch_norm", 1).number("decay") == 0.999
    assert bound("tensorflow.layers.batch_normalization", 1).number("momentum") == 0.99
    assert bound("slim.batch_norm", 1, 0.5).number("decay") == 0.5


def test_arguments_beyond_the_parameters_are_kept() -> None:
    call = bound("slim.repeat", 1, 2, 3, 4, scope=5, num_outputs=6)
    assert [value(argument) for argument in call.more] == [4]
    assert {key: value(argument) for key, argument in call.extra.items()} == {
        "scope": 5,
        "num_outputs": 6,
    }


def test_a_name_that_no_version_has_is_an_error() -> None:
    with pytest.raises(AttributeError, match="batch_norm has no parameter momentum"):
        _ = bound("slim.batch_norm", 1).momentum


def test_words_come_from_the_declarations() -> None:
    assert {"batch_norm", "BatchNormalization", "applications"} <= WORDS.builds
    assert {"minimize", "optimize_loss", "Saver", "GradientTape"} <= WORDS.acts
    assert {"minimize", "optimize_loss"} <= WORDS.ends <= WORDS.acts
    assert "Saver" not in WORDS.ends


# --- what this mends -----------------------------------------------------------------------


def codes(program: Example) -> list[str]:
    return [code for _, _, code in findings_in(program)]


@pytest.mark.parametrize(
    "step",
    [
        "train_op = optimizer.minimize(loss, None, head)",
        "train_op = optimizer.minimize(loss, var_list=head)",
        "train_op = optimizer.apply_gradients(optimizer.compute_gradients(loss, head))",
    ],
)
def test_training_a_part_may_leave_the_rest_in_inference_mode(step: str) -> None:
    text = HEAD + NETWORK.format(training="False") + step + "\ntf.Session().run(train_op)\n"
    assert "BN204" not in codes(example("a part", text))


def test_training_everything_in_inference_mode_is_reported() -> None:
    step = "train_op = optimizer.minimize(loss, None)\ntf.Session().run(train_op)\n"
    assert "BN204" in codes(example("all", HEAD + NETWORK.format(training="False") + step))


@pytest.mark.parametrize("outputs", ["outputs", "model.output", "model.outputs[0]"])
def test_the_output_of_a_keras_model_has_its_batch_norms(outputs: str) -> None:
    text = f"""
import tensorflow as tf
inputs = tf.keras.Input((8,))
net = tf.keras.layers.BatchNormalization()(tf.keras.layers.Dense(8)(inputs), training=True)
outputs = tf.keras.layers.Dense(1)(net)
model = tf.keras.Model(inputs, outputs)
loss = tf.reduce_mean({outputs})
train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)  # <- BN101
with tf.Session() as sess:
    sess.run(train_op)
"""
    assert "BN101" in codes(example("a Keras model in a graph", text))


def test_training_is_the_fifteenth_argument_of_layers_batch_normalization() -> None:
    before = ", ".join(["-1", "0.99", "0.001", "True", "True", *["None"] * 8])
    text = f"""{HEAD}
x = tf.placeholder(tf.float32, [None, 8])
loss = tf.reduce_mean(tf.layers.batch_normalization(x, {before}, {{flag}}))
train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
tf.Session().run(train_op)
"""
    assert "BN101" in codes(example("training", text.format(flag="True")))
    assert "BN101" not in codes(example("inference", text.format(flag="False")))
