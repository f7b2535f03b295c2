"""Reading predictions: every format, chunk by chunk, and files that are broken or hostile."""

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("pyarrow")
pytest.importorskip("hypothesis")

import pyarrow
import pyarrow.parquet as parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnlint.runtime.predictions import files as prediction_files
from bnlint.runtime.predictions.check import CheckOptions, check_predictions
from bnlint.runtime.predictions.files import PredictionFileError, Source, aligned, read_chunks

LABELS = np.arange(300) % 10
SCORES = np.eye(10, dtype=np.float32)[LABELS] * 3


def write(path: Path, **columns: Any) -> Path:
    """A file of the columns, in the format that the path's ending names."""
    if path.suffix == ".npy":
        (array,) = columns.values()
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, **columns)
    else:
        flat: dict[str, Any] = {}
        for name, values in columns.items():
            if np.ndim(values) == 2:
                flat |= {str(index): column for index, column in enumerate(np.transpose(values))}
            else:
                flat[name] = values
        table = pyarrow.table(flat)
        if path.suffix == ".parquet":
            parquet.write_table(table, path, row_group_size=100)
        else:
            from pyarrow import csv

            csv.write_csv(table, path)
    return path


def read(path: Path, *names: str, **options: Any) -> np.ndarray:
    return np.concatenate(list(read_chunks(Source(path, names, **options))))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("chunk_rows", [7, 65_536])
def test_scores_are_read_alike_from_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, chunk_rows: int
) -> None:
    monkeypatch.setattr(prediction_files, "CHUNK_ROWS", chunk_rows)
    path = write(tmp_path / f"scores{suffix}", scores=SCORES)
    assert np.array_equal(read(path), SCORES)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_the_usual_name_is_taken_out_of_several(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"p{suffix}", label=LABELS, prediction=LABELS[::-1], other=LABELS)
    assert np.array_equal(read(path), LABELS[::-1])
    assert np.array_equal(read(path, "other"), LABELS)
    with pytest.raises(PredictionFileError, match=r"no .* 'none'; it has 'label', 'prediction'"):
        read(path, "none")
    with pytest.raises(PredictionFileError, match=r"which .*\? It has"):
        read(path, usual=("nothing",))


def test_fortran_order(tmp_path: Path) -> None:
    for path in (tmp_path / "f.npy", tmp_path / "f.npz"):
        write(path, scores=np.asfortranarray(SCORES))
        assert np.array_equal(read(path), SCORES)


def test_compressed_npz(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "c.npz", logits=SCORES)
    assert np.array_equal(read(tmp_path / "c.npz"), SCORES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0\n1\n2\n", [0, 1, 2]),
        ("prediction\n0\n1\n", [0, 1]),
        ("cls\ncat\nNA\n", ["cat", "NA"]),
        ("0.1,0.9\n0.8,0.2\n", [[0.1, 0.9], [0.8, 0.2]]),
        ("0.1;0.9\n0.8;0.2\n", [[0.1, 0.9], [0.8, 0.2]]),
        ("0.1 0.9\n0.8 0.2\n", [[0.1, 0.9], [0.8, 0.2]]),
        ("1e-1\t9e-1\n", [[0.1, 0.9]]),
        (",0,1\n0,0.5,0.5\n1,0.2,0.8\n", [[0.5, 0.5], [0.2, 0.8]]),
        ("\ufeffprediction\r\n3\r\n", [3]),
        ('"a, b",prediction\n"x, y",1\n', [1]),
        ("0.5,nan\ninf,-inf\n", [[0.5, np.nan], [np.inf, -np.inf]]),
        ("name\ngolden retriever\n", ["golden retriever"]),
        ("0\n0.5\n", [0, 0.5]),
    ],
)
def test_csv(tmp_path: Path, text: str, expected: list) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(text.encode())
    found = read(path)
    assert np.array_equal(found, np.array(expected), equal_nan=found.dtype.kind == "f")


def test_columns_by_pattern(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,class_0,class_1,label\n7,0.1,0.9,1\n")
    assert np.array_equal(read(path, "class_*"), [[0.1, 0.9]])


def test_numpy_savetxt(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "p.csv", SCORES)
    assert np.array_equal(read(tmp_path / "p.csv"), SCORES)


def test_parquet_lists_categories_and_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    parquet.write_table(pyarrow.table({"probs": SCORES.tolist()}), path)
    assert np.array_equal(read(path), SCORES)
    names = pyarrow.array(["a", "b", "a"]).dictionary_encode()
    parquet.write_table(pyarrow.table({"pred": names}), path)
    assert read(path).tolist() == ["a", "b", "a"]
    parquet.write_table(pyarrow.table({"pred": pyarrow.array([1, None])}), path)
    (error,) = check_predictions([path], CheckOptions()).errors
    assert "a class id is NaN" in error.message


def npy_header(descr: str, shape: str, body: bytes = b"") -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


class Bomb:
    """Unpickling it makes a file: proof that something was unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


BROKEN = {
    "empty.npy": b"",
    "empty.npz": b"",
    "empty.csv": b"",
    "empty.parquet": b"",
    "blank.csv": b"\n\n",
    "header_only.csv": b"prediction\n",
    "text.npy": b"not an array",
    "text.npz": b"not an archive",
    "text.parquet": b"PAR1 not a table PAR1",
    "truncated.npy": npy_header("<i8", "(100,)", b"\0" * 80),
    "no_header.npy": b"\x93NUMPY\x01\x00",
    "bad_header.npy": b"\x93NUMPY\x01\x00\x05\x00{'a':",
    "version_9.npy": b"\x93NUMPY\x09\x00" + b"\0" * 100,
    "huge.npy": npy_header("<f8", "(1000000000000, 1000)"),
    "overflow.npy": npy_header("<f8", f"({2**62}, {2**62})"),
    "negative.npy": npy_header("<f8", "(-5,)"),
    "no_bytes.npy": npy_header("<U0", "(1000000000000000,)"),
    "no_columns.npy": npy_header("<f8", "(1000000000000000, 0)"),
    "no_rows.npy": npy_header("<f8", "(0,)"),
    "scalar.npy": npy_header("<f8", "()", b"\0" * 8),
    "boxes.npy": npy_header("<f8", "(1, 1, 1)", np.float64(0.5).tobytes()),
    "five.npy": npy_header("<f8", "(1, 1, 1, 1, 1)", b"\0" * 8),
    "huge_rows.npy": npy_header("<f8", f"(1, {2**20}, 1000)"),
    "record.npy": npy_header("<V8", "(1,)", b"\0" * 8),
    "dates.npy": npy_header("<M8[s]", "(1,)", b"\0" * 8),
    "fractions.npy": npy_header("<f8", "(1,)", np.float64(0.5).tobytes()),
    "ragged.csv": b"a,prediction\n1,2\n1,2,3\n",
    "short.csv": b"0.5,0.5\n0.5\n",
    "word.csv": b"prediction\n1\n2\ncat\n",
    "missing.csv": b"prediction\n1\n\n2,\n",
    "empty_cell.csv": b"0.5,0.5\n0.5,\n",
    "words_in_scores.csv": b"0,1\n0.5,x\n",
    "null_bytes.csv": b"prediction\n1\n1\0\n",
    "not_utf8.csv": b"prediction\n\xff\xfe\xff\n",
    "quote.csv": b'prediction\n"1\n2\n',
    "binary.csv": bytes(range(256)) * 10,
    "model.pkl": pickle.dumps([1, 2]),
    "empty.json": b"",
    "cut.json": b"[1, 2",
    "number.json": b"3",
    "null.json": b"[1, null]",
    "mixed.json": b'[1, "a"]',
    "ragged.json": b"[[1, 2], [1]]",
    "deep.json": b"[" * 100_000,
    "columns.json": b'{"a": [1], "b": [2]}',
    "objects.json": b'[{"pred": 1}, {"other": 1}]',
    "cut.jsonl": b'{"pred": 1}\n{"pred":',
    "not_utf8.jsonl": b'"\xff"\n',
    "ragged.tsv": b"a\tprediction\n1\t2\n1\t2\t3\n",
    "empty.txt": b"",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("error")
def test_a_broken_file_is_one_error_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    broken, good = tmp_path / name, write(tmp_path / "good.npy", predictions=LABELS)
    broken.write_bytes(BROKEN[name])
    report = check_predictions([broken, good], CheckOptions())
    (error,) = report.errors
    assert error.path == str(broken)
    assert error.message and "\n" not in error.message and len(error.message) < 400
    assert report.exit_code == 2 and [one.path for one in report.results] == [str(good)]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    witness = tmp_path / "unpickled"
    array = np.array([Bomb(str(witness))], dtype=object)
    np.save(tmp_path / "p.npy", array, allow_pickle=True)
    np.savez(tmp_path / "p.npz", predictions=array, allow_pickle=True)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(array))
    paths = [tmp_path / name for name in ("p.npy", "p.npz", "plain.npy")]
    report = check_predictions(paths, CheckOptions(columns=("predictions",)))
    assert len(report.errors) == 3 and not report.results
    assert not witness.exists()
    assert "pickled Python objects" in report.errors[0].message


def test_a_zip_bomb_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("predictions.npy", npy_header("<f8", "(1000000000000, 1000)", b"\0" * 999))
    (error,) = check_predictions([path], CheckOptions()).errors
    assert "over the limit" in error.message


def test_a_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("predictions.npy", npy_header("<i8", "(100,)", b"\0" * 80))
    (error,) = check_predictions([path], CheckOptions()).errors
    assert "cut off" in error.message


def test_a_corrupt_archive(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "p.npz", predictions=np.arange(5000) % 7)
    data = bytearray((tmp_path / "p.npz").read_bytes())
    data[200:260] = b"\xff" * 60
    (tmp_path / "p.npz").write_bytes(data)
    assert check_predictions([tmp_path / "p.npz"], CheckOptions()).exit_code == 2


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes_never_raise(tmp_path: Path, data: st.DataObject) -> None:
    """Any few bytes of a good file changed, or its end cut off: a report or an error."""
    suffix = data.draw(st.sampled_from([".npy", ".npz", ".csv", ".parquet"]))
    good = io.BytesIO(write(tmp_path / f"good{suffix}", predictions=LABELS[:40]).read_bytes())
    content = bytearray(good.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    path = tmp_path / f"changed{suffix}"
    path.write_bytes(content[: end if data.draw(st.booleans()) else None])
    report = check_predictions([path], CheckOptions())
    assert len(report.errors) + len(report.results) == 1


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(prediction_files, "CHUNK_BYTES", 2**17)
    monkeypatch.setattr(prediction_files, "CHUNK_ROWS", 2000)
    path = write(tmp_path / f"p{suffix}", predictions=np.arange(400_000) % 10)
    check_predictions([path], CheckOptions())  # imports
    tracemalloc.start()
    (result,) = check_predictions([path], CheckOptions()).results
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.predictions.rows == 400_000
    assert peak < 1_500_000  # the array has 3,200,000 bytes


def test_aligned_cuts_chunks_to_the_same_rows() -> None:
    pieces = list(
        aligned(
            iter([np.arange(3), np.arange(0), np.arange(3, 10)]),
            iter([np.arange(5), np.arange(5, 10)]),
        )
    )
    assert all(np.array_equal(first, second) for first, second in pieces)
    assert np.array_equal(np.concatenate([first for first, _ in pieces]), np.arange(10))


def test_labels_of_another_length_are_an_error_that_says_where(tmp_path: Path) -> None:
    path = write(tmp_path / "p.npy", predictions=LABELS)
    labels = write(tmp_path / "l.npy", labels=LABELS[:-1])
    (error,) = check_predictions([path], CheckOptions(labels=str(labels))).errors
    assert "after 299 rows" in error.message and error.path == str(path)


def test_errors_of_the_label_file_name_it(tmp_path: Path) -> None:
    path = write(tmp_path / "p.npy", predictions=LABELS)
    labels = tmp_path / "labels.npy"
    labels.write_bytes(b"garbage")
    (error,) = check_predictions([path], CheckOptions(labels=str(labels))).errors
    assert error.path == str(path) and str(labels) in error.message
    (error,) = check_predictions([path, path], CheckOptions(expected=str(labels))).errors
    assert error.path == str(labels) and "not a .npy file" in error.message


def test_labels_that_are_neither_a_column_nor_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "p.npz", predictions=LABELS, truth=LABELS)
    (error,) = check_predictions([path], CheckOptions(labels="nope")).errors
    assert "it has 'predictions', 'truth'" in error.message


def test_labels_and_the_mode_gap_across_formats(tmp_path: Path) -> None:
    evaluation = write(tmp_path / "eval.csv", prediction=np.zeros(300, int))
    train = write(tmp_path / "train.parquet", prediction=LABELS)
    labels = write(tmp_path / "labels.npz", y_true=LABELS)
    report = check_predictions([evaluation], CheckOptions(labels=str(labels), train=train))
    assert not report.errors
    assert {finding.code for finding in report.findings} == {"BN601", "BN602"}
    (result,) = report.results
    assert result.gap is not None and result.gap.train_accuracy == 1.0


def test_labels_in_a_column_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", scores=SCORES, label=LABELS)
    (result,) = check_predictions([path], CheckOptions(labels="label")).results
    assert result.predictions.accuracy == 1.0


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.tsv", "file\tpred\na.jpg\t3\nb.jpg\t4\n", [3, 4]),
        ("p.txt", "3\n4\n", [3, 4]),
        ("p.txt", "pred\n3\n4\n", [3, 4]),
        ("p.txt", "golden retriever\ncat\n", ["golden retriever", "cat"]),
        ("p.txt", "0.5 0.5\n0.1 0.9\n", [[0.5, 0.5], [0.1, 0.9]]),
        ("p.json", "[3, 4]", [3, 4]),
        ("p.json", '["a", "b"]', ["a", "b"]),
        ("p.json", "[[0.5, 0.5], [0.1, 0.9]]", [[0.5, 0.5], [0.1, 0.9]]),
        ("p.json", '{"predictions": [3, 4], "labels": [3, 3]}', [3, 4]),
        ("p.json", '[{"id": 7, "pred": 3}, {"id": 8, "pred": 4}]', [3, 4]),
        ("p.jsonl", "3\n\n4\n", [3, 4]),
        ("p.jsonl", '{"id": 7, "logits": [1, 2]}\n{"id": 8, "logits": [3, 4]}', [[1, 2], [3, 4]]),
        ("p.ndjson", '{"id": 7, "class_1": 2, "class_0": 1}', [[1, 2]]),
        ("p.csv", "id,class_1,class_0,label\n7,2,1,0\n", [[1, 2]]),
    ],
)
def test_tables_and_json(tmp_path: Path, name: str, text: str, expected: list) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert np.array_equal(read(path), np.array(expected))


def test_json_is_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "CHUNK_ROWS", 7)
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(str, SCORES.tolist())))
    assert np.array_equal(read(path), SCORES)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 3, 2)])
def test_images(tmp_path: Path, suffix: str, shape: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "CHUNK_BYTES", 400)
    images = np.arange(np.prod(shape)).reshape(shape)
    path = write(tmp_path / f"p{suffix}", predictions=images)
    assert np.array_equal(read(path), images)
    assert len(list(read_chunks(Source(path)))) > 1


def test_labels_in_json(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f'{{"pred": 3, "truth": {label}}}\n' for label in LABELS))
    report = check_predictions([path], CheckOptions(labels="truth"))
    assert [finding.code for finding in report.findings] == ["BN601"]
    assert report.results[0].predictions.accuracy == 0.1
