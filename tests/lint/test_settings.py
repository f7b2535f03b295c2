"""Which settings count for which file."""

from pathlib import Path

import pytest

from bnlint.lint.config import Config, ConfigError, Settings, check_selectors, find_config
from bnlint.lint.run import collect


def project(folder: Path, text: str, name: str = "pyproject.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / "m.py").write_text("import tensorflow\n")
    return folder


def test_each_file_has_its_nearest_settings(tmp_path: Path) -> None:
    project(tmp_path, '[tool.bnlint]\nignore = ["BN1"]\n')
    project(tmp_path / "a", '[tool.bnlint]\nignore = ["BN2"]\n')
    project(tmp_path / "b", 'ignore = ["BN3"]\n', "bnlint.toml")
    project(tmp_path / "c", "[tool.other]\n")
    settings = Settings()
    ignored = [settings.of(str(tmp_path / name / "m.py")).ignore for name in (".", "a", "b", "c")]
    assert ignored == [("BN1",), ("BN2",), ("BN3",), ("BN1",)]


def test_bnlint_toml_wins_over_pyproject(tmp_path: Path) -> None:
    project(tmp_path, "[tool.bnlint]\n")
    project(tmp_path, "", "bnlint.toml")
    assert find_config(str(tmp_path)) == tmp_path / "bnlint.toml"


def test_options_count_on_top_of_any_settings(tmp_path: Path) -> None:
    project(tmp_path / "a", '[tool.bnlint]\nignore = ["BN1"]\nkeras = "3"\n')

    def override(config: Config) -> Config:
        return config.but(ignore=("BN7",))

    found = Settings(override).of(str(tmp_path / "a"))
    assert (found.ignore, found.keras) == (("BN7",), "3")
    assert Settings(isolated=True).of(str(tmp_path / "a")).keras == ""


def test_settings_inside_a_folder_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    project(tmp_path, '[tool.bnlint]\nignore = ["BN1"]\n')
    project(tmp_path / "a", "[tool.bnlint]\nignor = []\n")
    settings = Settings()
    settings.check(str(tmp_path))
    assert settings.of(str(tmp_path / "a" / "m.py")).ignore == ("BN1",)
    (error,) = settings.errors
    assert error.path == str(tmp_path / "a" / "pyproject.toml")
    assert "did you mean 'ignore'?" in error.message


def test_settings_of_a_path_that_is_named_have_to_be_right(tmp_path: Path) -> None:
    project(tmp_path / "a", "[tool.bnlint]\nconfidence = 3\n")
    with pytest.raises(ConfigError, match="confidence"):
        Settings().check(str(tmp_path / "a" / "m.py"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('select = "BN1"', "must be a list of at most 1000 strings"),
        ("ignore = [1]", "must be a list of at most 1000 strings"),
        ('confidence = "hi"', 'must be "low", "medium" or "high"'),
        ("baseline = true", "must be a path"),
        ("keras = 3", 'must be "tf1", "2" or "3"'),
        ('per-file-ignores = {"a.py" = "BN1"}', "must be a table of at most 1000 lists"),
        ('per-file-ignores = {"a.py" = ["BN9999"]}', "unknown rule 'BN9999'"),
        ('selct = ["BN1"]', "did you mean 'select'?"),
        ("color = 1", "(settings: select, ignore,"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_has_to_be(
    tmp_path: Path, setting: str, message: str
) -> None:
    folder = project(tmp_path, f"[tool.bnlint]\n{setting}\n")
    with pytest.raises(ConfigError) as raised:
        Settings().check(str(folder))
    where = f"{folder / 'pyproject.toml'}: tool.bnlint.{setting.split()[0]}: "
    assert str(raised.value).startswith(where) and message in str(raised.value)


def test_what_settings_exclude_is_left_out_even_if_it_is_named(tmp_path: Path) -> None:
    project(tmp_path, '[tool.bnlint]\nexclude = ["third_party/", "*_pb2.py"]\n')
    vendored = project(tmp_path / "third_party", "")
    generated = tmp_path / "x_pb2.py"
    generated.write_text("")
    named = [str(vendored / "m.py"), str(generated), str(tmp_path / "m.py")]
    sources, errors = collect(named, Settings())
    assert [source.path for source in sources] == [str(tmp_path / "m.py")]
    assert errors == []


def test_the_usual_excludes_hold_for_named_files_only_on_demand(tmp_path: Path) -> None:
    file = str(project(tmp_path / "build", "") / "m.py")
    settings = Settings(isolated=True)
    settings.of(file)
    assert [source.path for source in collect([file], settings)[0]] == [file]


@pytest.mark.parametrize(
    ("selector", "hint"),
    [("decay-to-slow", "decay-too-slow"), ("missing-update-op", "missing-update-ops")],
)
def test_an_unknown_rule_brings_the_one_that_was_meant(selector: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{hint}'"):
        check_selectors([selector], "--select")


def test_codes_and_names_are_known_in_any_case() -> None:
    assert check_selectors(["bn101", "Missing-Update-Ops", "all"], "--select")
