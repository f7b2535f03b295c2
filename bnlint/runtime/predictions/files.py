"""Read predictions and labels from arrays, tables and JSON, a chunk at a time.

`.npy` and `.npz` hold arrays; `.csv`, `.tsv`, `.txt` and `.parquet` columns; `.json` one list of
rows (or lists by column name), `.jsonl` and `.ndjson` a row on each line. A row is a class, a list
of scores, or an object of columns.

Files come from strangers: nothing is unpickled, nothing is loaded whole (arrays in Fortran
order inside a `.npz`, and `.json`, excepted, up to a limit), and what can't be read is a
PredictionFileError.

A table of text starts with a header line, unless every cell of its first line is a number. A `.txt`
file of one class name on each line has none either.
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
MAX_JSON_BYTES = 256 * 2**20
MAX_LINE = CHUNK_BYTES // 2

_TABLES = (".csv", ".tsv", ".txt")
_JSON_LINES = (".jsonl", ".ndjson")

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
LABEL_NAMES = [
    *("labels", "label", "y_true", "y", "target", "targets", "true", "truth", "ground_truth"),
    *("true_class", "true_label", "actual"),
]


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
        scores = _numbered(left)
        if scores:
            return scores
        raise PredictionFileError(f"which {what}? It has {listed}; {self.hint}")

    def _matching(self, present: Sequence[str], name: str) -> list[str]:
        if name in present:
            return [name]
        return [one for one in present if one not in self.exclude and fnmatch.fnmatch(one, name)]


def _numbered(names: Sequence[str]) -> list[str]:
    """The columns `class_0`, `class_1`, ... in their order, if the names hold one such series."""
    series: dict[str, list[str]] = {}
    for name in names:
        stem = name.rstrip("0123456789")
        if stem and stem != name:
            series.setdefault(stem, []).append(name)
    whole = [
        ordered
        for stem, members in series.items()
        if (ordered := [f"{stem}{index}" for index in range(len(members))])
        and len(members) > 1
        and set(ordered) == set(members)
    ]
    return whole[0] if len(whole) == 1 else []


def read_chunks(source: Source) -> Iterator[np.ndarray]:
    """Chunks of rows: shape (rows,) for one column or 1-D array, else (rows, columns).

    Arrays of three and four dimensions are segmented images: a row is an image.

    Raises:
      PredictionFileError: while iterating, for any file that can't be read.
    """
    path = source.path
    readers = {
        ".npy": _npy,
        ".npz": _npz,
        ".parquet": _parquet,
        **dict.fromkeys(_TABLES, _csv),
        ".json": _json,
        **dict.fromkeys(_JSON_LINES, _json_lines),
    }
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
    """Names of a file's columns or arrays; empty for a `.npy` or rows without names."""
    suffix = path.suffix.lower()
    with _clear_errors():
        if not path.is_file():
            return []
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        if suffix in _TABLES:
            return _csv_start(path).names
        if suffix in (".json", *_JSON_LINES):
            return _json_names(path)
        if suffix == ".parquet":
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
        *(
            KeyError,
            RuntimeError,
            RecursionError,
            zipfile.BadZipFile,
            zlib.error,
            csv.Error,
            tokenize.TokenError,
        ),
    )
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise PredictionFileError(f"can't be read: {reason}") from error


def _rows_per_chunk(shape: tuple[int, ...], itemsize: int) -> int:
    import math

    columns = math.prod(shape[1:])
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, columns * itemsize)))


def _check_array(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    import math

    if dtype.hasobject:
        raise PredictionFileError("holds pickled Python objects, which bnlint never loads")
    if len(shape) not in (1, 2, 3, 4) or min(shape) < 0:
        raise PredictionFileError(f"has an array of shape {shape}; expected 1 to 4 dimensions")
    if dtype.itemsize == 0 or 0 in shape[1:]:
        raise PredictionFileError(f"has rows without values ({dtype}, shape {shape})")
    if math.prod(shape[1:]) * dtype.itemsize > MAX_FORTRAN_BYTES:
        raise PredictionFileError(f"has rows of over {MAX_FORTRAN_BYTES >> 20} MiB, shape {shape}")
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
    import math

    import numpy as np

    with zipfile.ZipFile(source.path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        name, *more = source.choose(list(members), "array")
        if more:
            raise PredictionFileError(f"holds several arrays of that name: {name!r}, {more[0]!r}")
        with archive.open(members[name]) as file:
            shape, fortran, dtype = _npy_header(file)
            _check_array(dtype, shape)
            if fortran and len(shape) > 1:
                yield _fortran(file, shape, dtype)
                return
            step = _rows_per_chunk(shape, dtype.itemsize)
            row_shape = shape[1:]
            row_bytes = dtype.itemsize * math.prod(row_shape)
            for start in range(0, shape[0], step):
                rows = min(step, shape[0] - start)
                data = file.read(rows * row_bytes)
                if len(data) != rows * row_bytes:
                    raise PredictionFileError(f"array {name!r} is cut off")
                yield np.frombuffer(data, dtype=dtype).reshape(rows, *row_shape)


def _fortran(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    import math

    import numpy as np

    size = math.prod(shape) * dtype.itemsize
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
    numbers = all(map(_is_number, rows[0])) and not named_by_number
    if numbers or _lacks_header(path, rows[0]):
        return _CsvStart(delimiter, counted, False, rows[0])
    return _CsvStart(delimiter, rows[0], True, rows[1])


def _lacks_header(path: Path, cells: list[str]) -> bool:
    """A `.txt` file of one column is a list, unless its first line is a usual name of a column."""
    usual = (*PREDICTION_NAMES, *LABEL_NAMES)
    return path.suffix.lower() == ".txt" and len(cells) == 1 and cells[0].lower() not in usual


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


def _json_names(path: Path) -> list[str]:
    """Of the columns, where rows are objects, or the whole is an object of columns."""
    if path.suffix.lower() in _JSON_LINES:
        first: Any = next(_json_rows(path), None)
    else:
        whole = _load_json(path)
        first = whole[0] if isinstance(whole, list) and whole else whole
    return list(first) if isinstance(first, dict) else []


def _load_json(path: Path) -> Any:
    import json

    if path.stat().st_size > MAX_JSON_BYTES:
        raise PredictionFileError(
            f"is over the limit of {MAX_JSON_BYTES >> 20} MiB; JSON lines (.jsonl) have none"
        )
    return json.loads(path.read_bytes())


def _json(source: Source) -> Iterator[np.ndarray]:
    whole = _load_json(source.path)
    if isinstance(whole, dict):
        name, *more = source.choose(list(whole), "key")
        if more:  # scores by class
            columns = [_json_array(whole[one]) for one in (name, *more)]
            yield _stacked(columns)
            return
        whole = whole[name]
    if not isinstance(whole, list):
        raise PredictionFileError("is no list of predictions")
    yield from _json_chunks(source, iter(whole))


def _json_lines(source: Source) -> Iterator[np.ndarray]:
    yield from _json_chunks(source, _json_rows(source.path))


def _json_rows(path: Path) -> Iterator[Any]:
    import json

    with path.open("rb") as file:
        while line := file.readline(MAX_LINE):
            if len(line) == MAX_LINE:
                raise PredictionFileError(f"has a line of more than {MAX_LINE} bytes")
            if line.strip():
                yield json.loads(line)


def _json_chunks(source: Source, rows: Iterator[Any]) -> Iterator[np.ndarray]:
    """Rows that are classes, lists of scores (also nested, for images), or objects of columns."""
    import itertools

    first = next(rows, None)
    if first is None:
        return
    chosen = source.choose(list(first), "key") if isinstance(first, dict) else []
    rows = itertools.chain([first], rows)
    step = _rows_per_chunk((0, len(chosen) or _json_size(first)), 8)
    while chunk := list(itertools.islice(rows, step)):
        if not chosen:
            yield _json_array(chunk)
            continue
        if not all(isinstance(row, dict) and row.keys() >= set(chosen) for row in chunk):
            raise PredictionFileError(f"has a row without {', '.join(map(repr, chosen[:5]))}")
        yield _stacked([_json_array([row[name] for row in chunk]) for name in chosen])


def _json_size(row: Any) -> int:
    return len(row) * _json_size(row[0]) if isinstance(row, list) and row else 1


def _json_array(values: Any) -> np.ndarray:
    """Numbers or names; None and mixtures are refused."""
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind not in "iubfU" or array.ndim == 0:
        raise PredictionFileError("has rows that are neither classes nor lists of scores")
    flat = values
    while isinstance(flat, list) and flat and isinstance(flat[0], list):
        flat = flat[0]
    if array.dtype.kind == "U" and not all(isinstance(one, str) for one in flat):
        raise PredictionFileError("has rows that are names and rows that are numbers")
    if array.ndim > 4 or 0 in array.shape[1:]:
        raise PredictionFileError(f"has rows of shape {array.shape[1:]}, over 3 dimensions")
    return array


def _stacked(columns: list[np.ndarray]) -> np.ndarray:
    import numpy as np

    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
