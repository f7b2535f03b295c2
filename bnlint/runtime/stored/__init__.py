"""Checkpoints, Keras files and graph files, read without trusting them."""
