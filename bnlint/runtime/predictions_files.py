"""Read predictions and labels from `.npy`, `.npz`, `.csv` and `.parquet`, a chunk at a time.

Files come from strangers: nothing is unpickled, nothing is loaded whole (arrays in Fortran
order inside a `.npz` excepted, up to a limit), and what can't be read is a PredictionFileError.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CHUNK_BYTES = 8 * 2**20
CHUNK_ROWS = 65_536
MAX_FORTRAN_BYTES = 256 * 2**20
MAX_ARRAY_BYTES = 64 * 2**30

PREDICTION_NAMES = [
    "predictions",
    "prediction",
    "predicted",
    "y_pred",
    "pred",
    "preds",
    "predicted_class",
    "logits",
    "scores",
    "probabilities",
    "probs",
]
LABEL_NAMES = ["labels", "label", "y_true", "y", "target", "targets", "true"]


class PredictionFileError(Exception):
    """A file of predictions or labels that can't be read; the message does not repeat its name."""


@dataclass(frozen=True)
class Source:
    """What to read from a file.

    Attributes:
      path: the file.
      names: column names (.csv, .parquet) or the array's name (.npz); empty: the only one there
        is, or the one with a usual name out of `usual`.
      usual: names to prefer, when the file holds several and `names` is empty.
      exclude: names that are something else (the labels).
    """

    path: Path
    names: tuple[str, ...] = ()
    usual: Sequence[str] = tuple(PREDICTION_NAMES)
    exclude: tuple[str, ...] = ()

    def choose(self, present: Sequence[str], what: str, option: str) -> list[str]:
        """The names to read out of those that are present."""
        missing = [name for name in self.names if name not in present]
        listed = ", ".join(map(repr, present[:20])) or "none"
        if missing:
            raise PredictionFileError(f"no {what} {missing[0]!r}; it has {listed}")
        if self.names:
            return list(self.names)
        left = [name for name in present if name not in self.exclude]
        usual = [name for name in left if name.lower() in self.usual]
        if len(left) == 1 or len(usual) == 1:
            return usual if len(usual) == 1 else left
        raise PredictionFileError(f"which {what}? It has {listed}; name it with {option}")


def read_chunks(source: Source) -> Iterator[np.ndarray]:
    """Chunks of rows: shape (rows,) for one column or 1-D array, else (rows, columns).

    Raises:
      PredictionFileError: while iterating, for any file that can't be read.
    """
    path = source.path
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise PredictionFileError(
            f"unknown file type {path.suffix!r}; expected {', '.join(readers)}"
        )
    with _clear_errors():
        if not path.exists():
            raise PredictionFileError("no such file")
        if not path.is_file():
            raise PredictionFileError("not a regular file")
        yield from reader(source)


def names_in(path: Path) -> list[str]:
    """Names of a file's columns or arrays; empty for a `.npy`, which has none."""
    with _clear_errors():
        if path.suffix.lower() == ".npz" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        if path.suffix.lower() == ".csv" and path.is_file():
            return _csv_header(path)[0]
        if path.suffix.lower() == ".parquet" and path.is_file():
            import pyarrow.parquet

            return list(pyarrow.parquet.read_schema(path).names)
    return []


def aligned(*sources: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """Chunks of the same rows from every source, whatever their own chunk sizes.

    Raises:
      PredictionFileError: one source has fewer rows than another.
    """
    pending: list[np.ndarray | None] = [None] * len(sources)
    while True:
        for index, chunks in enumerate(sources):
            if pending[index] is None:
                pending[index] = next((chunk for chunk in chunks if len(chunk)), None)
        full = [chunk for chunk in pending if chunk is not None]
        if not full:
            return
        if len(full) < len(sources):
            raise PredictionFileError("the files of predictions and labels differ in rows")
        rows = min(len(chunk) for chunk in full)
        yield tuple(chunk[:rows] for chunk in full)
        pending = [chunk[rows:] if len(chunk) > rows else None for chunk in full]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn what readers raise on broken files into PredictionFileError, on one line."""
    import csv
    import tokenize
    import zlib

    # numpy raises ValueError, EOFError, OSError, SyntaxError and TokenError (header); pandas and
    # pyarrow subclasses of ValueError and OSError; zipfile its own, and RuntimeError.
    kinds = (
        *(ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError),
        *(KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, csv.Error, tokenize.TokenError),
    )
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise PredictionFileError(f"can't be read: {reason}") from error


def _rows_per_chunk(shape: tuple[int, ...], itemsize: int) -> int:
    columns = shape[1] if len(shape) > 1 else 1
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, columns * itemsize)))


def _check_array(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    import math

    if dtype.hasobject:
        raise PredictionFileError("holds pickled Python objects, which bnlint never loads")
    if len(shape) not in (1, 2):
        raise PredictionFileError(f"has an array of shape {shape}; expected 1 or 2 dimensions")
    if math.prod(shape) * dtype.itemsize > MAX_ARRAY_BYTES:
        raise PredictionFileError(f"is over the limit of {MAX_ARRAY_BYTES >> 30} GiB")


def _npy(source: Source) -> Iterator[np.ndarray]:
    import numpy as np

    with source.path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise PredictionFileError("is not a .npy file (wrong magic bytes)")
        file.seek(0)
        shape, _, dtype = _npy_header(file)
    _check_array(dtype, shape)
    if 0 in shape:
        return
    array = np.load(source.path, mmap_mode="r", allow_pickle=False)
    step = _rows_per_chunk(array.shape, array.dtype.itemsize)
    for start in range(0, len(array), step):
        yield np.array(array[start : start + step])


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype; the file is then at the array's first byte."""
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise PredictionFileError(f"has a .npy header of unknown version {version}")


def _npz(source: Source) -> Iterator[np.ndarray]:
    import numpy as np

    with zipfile.ZipFile(source.path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        (name,) = source.choose(list(members), "array", "--column or --labels")
        with archive.open(members[name]) as file:
            shape, fortran, dtype = _npy_header(file)
            _check_array(dtype, shape)
            if fortran and len(shape) == 2:
                yield _fortran(file, shape, dtype)
                return
            step = _rows_per_chunk(shape, dtype.itemsize)
            row_shape = shape[1:]
            row_bytes = dtype.itemsize * (row_shape[0] if row_shape else 1)
            for start in range(0, shape[0], step):
                rows = min(step, shape[0] - start)
                data = file.read(rows * row_bytes)
                if len(data) != rows * row_bytes:
                    raise PredictionFileError(f"array {name!r} is cut off")
                yield np.frombuffer(data, dtype=dtype).reshape(rows, *row_shape)


def _fortran(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    import numpy as np

    size = shape[0] * shape[1] * dtype.itemsize
    if size > MAX_FORTRAN_BYTES:
        raise PredictionFileError(
            "holds an array in Fortran order, which has no rows to stream; save it as .npy or"
            " with numpy.ascontiguousarray"
        )
    return np.frombuffer(file.read(size), dtype=dtype).reshape(shape, order="F")


def _csv_header(path: Path) -> tuple[list[str], bool]:
    """Column names, and whether the first line is one of names (not numbers)."""
    import csv

    with path.open(newline="", encoding="utf-8-sig") as file:
        first = next(csv.reader(file), None)
    if not first:
        raise PredictionFileError("is empty")
    counted = [str(index) for index in range(len(first))]
    named_by_number = len(first) > 1 and first == counted  # pandas names columns 0, 1, 2, ...
    if any(_is_number(cell) for cell in first) and not named_by_number:
        return counted, False
    return first, True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _csv(source: Source) -> Iterator[np.ndarray]:
    import pandas

    names, has_header = _csv_header(source.path)
    if has_header or source.names:
        chosen = source.choose(names, "column", "--column (repeat it for scores) or --labels")
    else:  # `numpy.savetxt` writes scores without a header
        chosen = [name for name in names if name not in source.exclude]
    frames = pandas.read_csv(
        source.path,
        header=0 if has_header else None,
        names=names,
        usecols=chosen,
        chunksize=CHUNK_ROWS,
        low_memory=False,
        encoding="utf-8-sig",
    )
    with frames:
        for frame in frames:
            yield _values(frame, chosen)


def _parquet(source: Source) -> Iterator[np.ndarray]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(source.path) as file:
        names = list(file.schema_arrow.names)
        chosen = source.choose(names, "column", "--column (repeat it for scores) or --labels")
        for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=chosen):
            frame = batch.to_pandas()
            yield _values(frame, chosen)


def _values(frame: Any, chosen: list[str]) -> np.ndarray:
    """One column as (rows,), several as (rows, columns), a column of lists as (rows, length)."""
    import numpy as np

    if len(chosen) > 1:
        return frame[chosen].to_numpy()
    values = frame[chosen[0]].to_numpy()
    if len(values) and isinstance(values[0], np.ndarray):
        return np.stack(list(values))
    return values
