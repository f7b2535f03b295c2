"""Read predictions and labels from `.npy`, `.npz`, `.csv` and `.parquet`, a chunk at a time.

Files come from strangers: nothing is unpickled, nothing is loaded whole (arrays in Fortran
order inside a `.npz` excepted, up to a limit), and what can't be read is a PredictionFileError.

A CSV file starts with a header line, unless every cell of its first line is a number.
"""

from __future__ import annotations

import fnmatch
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
MAX_LINE = CHUNK_BYTES // 2

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
      names: column names or patterns (.csv, .parquet), or the array's name (.npz); empty: the
        only one there is, the one with a usual name out of `usual`, or columns 0, 1, 2, ...
      usual: names to prefer, when the file holds several and `names` is empty.
      exclude: names that are something else (the labels).
      hint: what to do where nothing says which to read.
    """

    path: Path
    names: tuple[str, ...] = ()
    usual: Sequence[str] = tuple(PREDICTION_NAMES)
    exclude: tuple[str, ...] = ()
    hint: str = "name it with --column (scores: repeat it, or give a pattern)"

    def choose(self, present: Sequence[str], what: str) -> list[str]:
        """The names to read out of those that are present."""
        listed = ", ".join(map(repr, present[:20])) or "none"
        if self.names:
            found = [self._matching(present, name) for name in self.names]
            for name, matches in zip(self.names, found, strict=True):
                if not matches:
                    raise PredictionFileError(f"no {what} {name!r}; it has {listed}")
            return list(dict.fromkeys(name for matches in found for name in matches))
        # "" and "Unnamed: 0" are the row numbers that pandas writes along.
        left = [name for name in present if name not in (*self.exclude, "", "Unnamed: 0")]
        usual = [name for name in left if name.lower() in self.usual]
        if len(usual) == 1:
            return usual
        if len(left) == 1 or (left and left == [str(index) for index in range(len(left))]):
            return left
        raise PredictionFileError(f"which {what}? It has {listed}; {self.hint}")

    def _matching(self, present: Sequence[str], name: str) -> list[str]:
        if name in present:
            return [name]
        return [one for one in present if one not in self.exclude and fnmatch.fnmatch(one, name)]


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
            return _csv_start(path).names
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
    seen = 0
    while True:
        for index, chunks in enumerate(sources):
            if pending[index] is None:
                pending[index] = next((chunk for chunk in chunks if len(chunk)), None)
        full = [chunk for chunk in pending if chunk is not None]
        if not full:
            return
        if len(full) < len(sources):
            raise PredictionFileError(
                f"predictions and labels (or both modes' predictions) differ in rows: after"
                f" {seen} rows only one of them goes on"
            )
        rows = min(len(chunk) for chunk in full)
        seen += rows
        yield tuple(chunk[:rows] for chunk in full)
        pending = [chunk[rows:] if len(chunk) > rows else None for chunk in full]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn what readers raise on broken files into PredictionFileError, on one line."""
    import csv
    import tokenize
    import zlib

    # numpy raises ValueError, EOFError, OSError, SyntaxError and TokenError (header); pyarrow
    # subclasses of ValueError, OSError and NotImplementedError; zipfile its own, and RuntimeError.
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
    if len(shape) not in (1, 2) or min(shape) < 0:
        raise PredictionFileError(f"has an array of shape {shape}; expected 1 or 2 dimensions")
    if dtype.itemsize == 0 or 0 in shape[1:]:
        raise PredictionFileError(f"has rows without values ({dtype}, shape {shape})")
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
        name, *more = source.choose(list(members), "array")
        if more:
            raise PredictionFileError(f"holds several arrays of that name: {name!r}, {more[0]!r}")
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


@dataclass(frozen=True)
class _CsvStart:
    """How a CSV file begins: its columns, and the first row of values (empty: there is none)."""

    delimiter: str
    names: list[str]
    has_header: bool
    first: list[str]


def _csv_start(path: Path) -> _CsvStart:
    import csv

    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [file.readline(MAX_LINE), file.readline(MAX_LINE)]
    if len(lines[0]) == MAX_LINE:
        raise PredictionFileError(f"has a first line of more than {MAX_LINE} characters")
    delimiter = _delimiter(lines[0])
    rows = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    if not any(rows[0]):
        raise PredictionFileError("is empty, or its first line is")
    counted = [str(index) for index in range(len(rows[0]))]
    named_by_number = len(counted) > 1 and rows[0] == counted  # pandas names columns 0, 1, 2, ...
    if all(map(_is_number, rows[0])) and not named_by_number:
        return _CsvStart(delimiter, counted, False, rows[0])
    return _CsvStart(delimiter, rows[0], True, rows[1])


def _delimiter(line: str) -> str:
    for delimiter in (",", ";", "\t"):
        if delimiter in line:
            return delimiter
    # numpy.savetxt separates by blanks; so do words of a class name.
    return " " if all(map(_is_number, line.strip().split(" "))) else ","


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _csv(source: Source) -> Iterator[np.ndarray]:
    """Blocks of CHUNK_BYTES. What the first row holds, a number or a name, all rows must hold."""
    import pyarrow
    from pyarrow import csv

    start = _csv_start(source.path)
    chosen = source.choose(start.names, "column")
    if not start.first:
        return
    cells = dict(zip(start.names, start.first, strict=False))
    types = {
        name: pyarrow.float64() if _is_number(cells.get(name, "")) else pyarrow.string()
        for name in chosen
    }
    reader = csv.open_csv(
        source.path,
        read_options=csv.ReadOptions(
            column_names=start.names,
            skip_rows=int(start.has_header),
            block_size=CHUNK_BYTES,
            use_threads=False,
        ),
        parse_options=csv.ParseOptions(delimiter=start.delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            include_columns=chosen, column_types=types, null_values=[]
        ),
    )
    with reader:
        for batch in reader:
            yield _values(batch)


def _parquet(source: Source) -> Iterator[np.ndarray]:
    import pyarrow.parquet

    # Without pre-buffering and with a read buffer, no column of a row group is read whole.
    with pyarrow.parquet.ParquetFile(
        source.path, pre_buffer=False, buffer_size=CHUNK_BYTES
    ) as file:
        schema = file.schema_arrow
        chosen = source.choose(list(schema.names), "column")
        lists = any(pyarrow.types.is_nested(schema.field(name).type) for name in chosen)
        rows = min(_rows_per_chunk((0, len(chosen)), 8), 1024 if lists else CHUNK_ROWS)
        for batch in file.iter_batches(batch_size=rows, columns=chosen):
            yield _values(batch.select(chosen))


def _values(batch: Any) -> np.ndarray:
    """One column as (rows,), several as (rows, columns), a column of lists as (rows, length)."""
    import numpy as np
    import pyarrow

    columns = [
        column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    arrays = [column.to_numpy(zero_copy_only=False) for column in columns]
    if len(arrays) > 1:
        return np.stack(arrays, axis=1)
    values = arrays[0]
    if len(values) and isinstance(values[0], np.ndarray):
        return np.stack(list(values))
    return values
