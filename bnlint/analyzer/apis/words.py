"""The words that declared functions are mentioned by: what to scan files for, where to begin."""

from __future__ import annotations

from bnlint.analyzer.apis import (
    checkpoints,
    collections,
    custom_batch_norm,
    estimator,
    graphs_and_scopes,
    keras,
    keras_batch_norm,
    keras_copies,
    keras_libraries,
    keras_norm_layers,
    keras_training,
    losses,
    networks,
    python,
    recurrent,
    sessions,
    settings,
    slim,
    summaries,
    switches,
    tapes,
    tf_layers,
    training,
    variables,
)
from bnlint.analyzer.apis.registry import names, words
from bnlint.analyzer.interpreter.names import FRAMEWORKS
from bnlint.analyzer.project.prescan import Words

# Imported for what they declare.
DECLARING = (
    graphs_and_scopes, collections, variables, losses, training, checkpoints, sessions, estimator,
    keras, keras_batch_norm, keras_copies, keras_libraries, keras_norm_layers, keras_training,
    tapes, python, settings, slim, networks, tf_layers, custom_batch_norm, summaries, switches,
    recurrent,
)  # fmt: skip

# Libraries on top of TensorFlow name their batch norms so; layers written by hand have these.
# `Classifiers.get` gives networks: `get` alone says nothing.
_MORE = frozenset(
    ["BatchNorm", "batchnorm", "reduce_variance", "moving_mean", "running_mean",
     "moving_average_update", "Classifiers"]
)  # fmt: skip
_NETWORKS = words(lambda roles: roles.makes_batch_norm) | _MORE
_NAMES = _NETWORKS | names(lambda roles: roles.makes_batch_norm)
# A module, or what is in one, got by name may hold a network.
_BY_NAME = (words(lambda roles: roles.imports_by_name) | {"__dict__"}) - _NETWORKS

WORDS = Words(
    frameworks=FRAMEWORKS,
    builds=_NETWORKS | _BY_NAME,
    builders=_NAMES | _BY_NAME,
    networks=_NAMES,
    by_name=_BY_NAME,
    # Steps that Keras calls.
    acts=words(lambda roles: roles.acts) | {"test_step", "eval_step"},
    ends=words(lambda roles: roles.ends),
    specs=words(lambda roles: roles.makes_spec) | {"ModeKeys"},
)
