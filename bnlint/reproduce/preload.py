"""Imported once by the process that the programs are forked from: what they all need."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import sklearn.datasets  # noqa: F401
import tensorflow  # noqa: F401
