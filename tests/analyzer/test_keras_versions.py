"""Which Keras a program is for."""

import pytest

from bnlint.analyzer.project.keras_versions import KerasVersions
from bnlint.analyzer.project.modules import Project
from bnlint.analyzer.syntax.parse import module_facts


def versions(*texts: str, setting: str = "") -> set[str]:
    files = [module_facts(text, f"m{number}.py", f"m{number}") for number, text in enumerate(texts)]
    project = Project(files, keras=setting)
    return set(KerasVersions(project).of(project.modules[0]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import tf_keras as keras", {"2"}),
        ("import keras\nprint(keras.ops.ones(3))", {"3"}),
        ("from keras import ops", {"3"}),
        ("import tensorflow as tf\nx = tf.placeholder(tf.float32)", {"tf1"}),
        ("from keras.layers.normalization import BatchNormalization", {"tf1"}),
        ("from tensorflow import keras", {"tf1", "2", "3"}),
        ("import tensorflow as tf\nwith tf.GradientTape() as tape: pass", {"2", "3"}),
        ("from keras import backend as K\nK.set_learning_phase(1)", {"tf1", "2"}),
        (
            "import tensorflow as tf\ntf.GradientTape()\ntf.keras.backend.set_learning_phase(0)",
            {"2"},
        ),
        ("import tf_keras\nimport keras.ops", {"2", "3"}),
    ],
)
def test_what_the_code_tells(text: str, expected: set[str]) -> None:
    assert versions(text) == expected


def test_imported_modules_tell_too_and_others_do_not() -> None:
    assert versions("import m1\nfrom tensorflow import keras", "import tf_keras") == {"2"}
    assert versions("from tensorflow import keras", "import tf_keras") == {"tf1", "2", "3"}


def test_settings_decide() -> None:
    assert versions("import tf_keras", setting="3") == {"3"}
