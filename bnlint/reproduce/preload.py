"""Imported once by the process that the programs are forked from: what they all need."""

import os

from bnlint.runtime.native_logs import import_tensorflow

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import_tensorflow()

import sklearn.datasets  # noqa: E402, F401
