import pytest

from qbench.errors import ConfigError
from qbench.sweep.yaml_file import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("12", 12),
        ("-3", -3),
        ("010", 10),  # eight in YAML 1.1
        ("0o10", 8),
        ("0x1F", 31),
        ("true", True),
        ("null", None),
        ("~", None),
        ("no", "no"),  # false in YAML 1.1
        ("1:30", "1:30"),  # ninety in YAML 1.1
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("'1e-4'", "1e-4"),
        ("e5", "e5"),
        ("1e", "1e"),
        ("", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_yaml(text)
    assert found == value
    assert type(found) is type(value)


def test_anchors_and_merge_keys_work_and_may_be_overridden():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n"
    assert parse_yaml(text) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: key 'a' occurs twice"),
        ("x: {a: 1, a: 1}", "key 'a' occurs twice"),
        ("1: a", "a key must be a string"),
        ("[1, 2]: a", "a key must be a string"),
        ("a: [1, 2", "line 1"),
        ("a: b: c", "line 1, column 5"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: &a [*a]", "contains itself"),
        ("a: !!binary aGk=", "holds a bytes"),
        ("a: !!omap [b: 1]", "holds a"),
        ("a: .inf", "must be finite"),
        ("a: 1\n---\nb: 2\n", "document"),
        ("a: \x07", "special characters"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_usable_yaml_is_refused_with_its_place(text, message):
    with pytest.raises(ConfigError, match=r"^f\.yaml: ") as error:
        parse_yaml(text, "f.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_is_read_with_its_text(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1e-4  # µ\n", encoding="utf-8")
    assert read_yaml(path) == ({"a": 1e-4}, "a: 1e-4  # µ\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"\xff\xfe\x00", "not a text file"),
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- 1\n", "not a list"),
        (b"hello", "not a string"),
    ],
)
def test_a_file_that_holds_no_mapping_is_refused(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)
