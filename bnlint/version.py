"""bnlint's version, as its installation says."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("bnlint")
except PackageNotFoundError:  # running from a source tree that was never installed
    VERSION = "0+unknown"
