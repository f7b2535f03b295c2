"""Follows a program: Python as far as networks are built with it."""
