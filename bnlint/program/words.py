"""What names say: training flags, evaluation data, functions that train, evaluate or sample."""

from __future__ import annotations

import re

TRAINING_PARAMETER_NAMES = frozenset(
    "is_training training is_train istrain istraining isTraining train_mode training_mode "
    "is_training_bn is_train_mode phase_train train_phase train_flag train_bn bn_training "
    "trainmode isTrain is_train_phase train".split()
)

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
EVALUATION = frozenset(
    "test testing val valid validation validate eval evaluation evaluate evaluator dev".split()
)
INFERENCE = frozenset(
    "infer inference predict prediction predictor detect recognize recognise classify".split()
)
SAMPLING = frozenset(
    "sample sampler sampling generate demo visualize visualise reconstruct complete deploy "
    "serve interpolate".split()
)
TRAINING = frozenset(["train", "training", "trainer", "fit", "learn"])
_TRAIN_OPS = frozenset(
    "train training optimizer optimize minimize adam momentum sgd step gradient".split()
)
_VARIABLES = frozenset(
    "weight weights bias biases kernel gamma beta mean variance lr rate var variable".split()
)
# Few-shot learning normalizes each task by itself.
FEW_SHOT = frozenset("support query episode maml adapt adapted".split())
_FLAG = frozenset(["train", "training", "istraining", "istrain", "phase"])


def words(name: str) -> list[str]:
    """The words of a name, lower case: "valImages_2" -> ["val", "images"]."""
    return [word.lower() for word in _WORD.findall(name)]


def names_eval_data(name: str) -> bool:
    """A name such as `test_images`, `x_val` or `data.validation.labels`."""
    found = words(name)
    return not EVALUATION.isdisjoint(found) and TRAINING.isdisjoint(found)


def names_evaluation(name: str) -> bool:
    """A function's name such as `val_step`, `evaluate_batch` or `predict`, not `train_and_test`."""
    found = words(name)
    return not (EVALUATION | INFERENCE).isdisjoint(found) and TRAINING.isdisjoint(found)


def names_variable(name: str) -> bool:
    """A tensor's name that is a variable's, such as `fc/weights:0`: no output of a network."""
    return not _VARIABLES.isdisjoint(words(name)[-1:])


def names_train_op(name: str) -> bool:
    """A name such as `train_op`, `Adam` or `train/minimize`."""
    return not _TRAIN_OPS.isdisjoint(words(name))


def names_training_flag(name: str) -> bool:
    """A name such as `is_training`, `phase_train` or `train_mode`."""
    return name in TRAINING_PARAMETER_NAMES or not _FLAG.isdisjoint(words(name))
