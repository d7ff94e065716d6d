"""Tests of `emulator.template.parse` and `tree`: every value keeps its text, line and key path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.template.parse import read, read_json
from emulator.template.tree import Intrinsic, Items, Node, Table, Text, as_items, as_table, as_text
from tests.templates import write

DEEPEST = 100


@pytest.fixture(params=["libyaml", "python"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write into, once with each of PyYAML's two parsers, of which only one may be there."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    return tmp_path


def plain(node: Node) -> object:
    """The tree as Python values; scalars as (kind, text)."""
    if isinstance(node, Text):
        return node.kind, node.text
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    if isinstance(node, Table):
        return {key: plain(value) for key, value in node.entries.items()}
    return {f"call {node.name}": plain(node.argument)}


def read_text(folder: Path, text: str, name: str = "t.yaml") -> Node:
    """Write and read."""
    return read(write(folder, text, name))


def message(folder: Path, text: str, name: str = "t.yaml") -> str:
    """What the error says, from the file's name on."""
    with pytest.raises(ConfigurationError) as caught:
        read_text(folder, text, name)
    return caught.value.message.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("written", "kind", "text"),
    [
        ("plain words", "string", "plain words"),
        ("'true'", "string", "true"),
        ("2012-10-17", "string", "2012-10-17"),
        ("2012-10-17T10:00:00Z", "string", "2012-10-17T10:00:00Z"),
        ("22:22", "number", "22:22"),
        ("0123", "number", "0123"),
        ("0x1F", "number", "0x1F"),
        ("1_000", "number", "1_000"),
        ("1.50", "number", "1.50"),
        ("1e3", "string", "1e3"),
        ("123456789012345678901234567890", "number", "123456789012345678901234567890"),
        ("true", "boolean", "true"),
        ("True", "boolean", "true"),
        ("yes", "boolean", "true"),
        ("Off", "boolean", "false"),
        ("!!str 5", "string", "5"),
        ("!!bool maybe", "boolean", "maybe"),
        ("!!python/object:os.system x", "string", "x"),
        ("|-\n  two\n  lines", "string", "two\nlines"),
        ("~", "null", "~"),
        ("", "null", ""),
    ],
)
def test_a_scalar_keeps_the_text_of_the_file(folder: Path, written: str, kind: str, text: str) -> None:
    """Only booleans change, to the form in which CloudFormation passes them on."""
    assert plain(read_text(folder, f"a: {written}\n")) == {"a": (kind, text)}


def test_values_know_line_and_path(folder: Path) -> None:
    """An entry stands on its key's line, an item on its own; inside a call the path stays that of the call."""
    tree = as_table(read_text(folder, "# a comment\na:\n  b:\n\n    - 1\n    - c: 2\nd:\n  Fn::Join:\n    - x\n"))
    a = as_table(tree["a"])
    second = as_items(a["b"])[1]
    call = tree["d"]
    assert isinstance(call, Intrinsic)
    places = [
        node.place for node in (tree["a"], a["b"], second, as_table(second)["c"], call, as_items(call.argument)[0])
    ]
    assert [(place.line, place.path) for place in places] == [
        (2, "a"),
        (3, "a.b"),
        (6, "a.b[1]"),
        (6, "a.b[1].c"),
        (7, "d"),
        (9, "d[0]"),
    ]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref x", "{Ref: x}"),
        ("!Sub 'a${b}'", "{'Fn::Sub': 'a${b}'}"),
        ("!Condition x", None),
        ("!GetAtt [a, b]", "{'Fn::GetAtt': [a, b]}"),
        ("!If [c, !Ref a, {Ref: b}]", "{'Fn::If': [c, {Ref: a}, !Ref b]}"),
        ("!Base64 {'Fn::Sub': x}", "{'Fn::Base64': !Sub x}"),
    ],
)
def test_short_and_long_intrinsics_are_the_same(folder: Path, short: str, long: str | None) -> None:
    """`Condition` has no long form of its own: it is also an ordinary key."""
    tree = as_table(read_text(folder, f"a: {short}\nb: {long or short}\n"))
    assert isinstance(tree["a"], Intrinsic)
    assert plain(tree["a"]) == plain(tree["b"])


@pytest.mark.parametrize("written", ["{Ref: x, Type: y}", "{Condition: x}", "{ref: x}"])
def test_only_a_mapping_of_one_known_key_is_a_call(folder: Path, written: str) -> None:
    """Other mappings may have a key of that name."""
    assert isinstance(as_table(read_text(folder, f"a: {written}\n"))["a"], Table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "t.yaml:3: the key 'a' stands here and on line 1"),
        ("x:\n  a: 1\n  b: {a: 1, a: 2}\n", "t.yaml:3: x.b: the key 'a' stands here and on line 3"),
        ("a: &x [*x]\n", "t.yaml:1: a[0]: the alias refers to the value that it is part of"),
        ("a: &x {<<: *x}\n", "t.yaml:1: a: the alias refers to the value that it is part of"),
        ("a: {<<: &x {<<: *x}}\n", "t.yaml:1: a: the alias refers to the value that it is part of"),
        ("a: {<<: text}\n", "t.yaml:1: a: only mappings can be merged with <<"),
        ("a:\n  ? [x]\n  : 1\n", "t.yaml:2: a: a key must be plain text"),
        ("a:\n  !Ref x: 1\n", "t.yaml:2: a: a key must be plain text"),
        ("", "t.yaml:1: the file is empty"),
        (" \n\n", "t.yaml:1: the file is empty"),
        ("# nothing\n", "t.yaml:1: the file is empty"),
        ("a: 1\nb: \x01\n", "t.yaml:2: not YAML: "),
    ],
)
def test_faults_name_the_line(folder: Path, text: str, expected: str) -> None:
    """File, line and key path come first."""
    assert message(folder, text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a:\n\tb: 1\n", 2, 1),
        ("a: [1,\nb: 2", None, None),
        ("a: 'x\nb: 1", None, None),
        ("a: 1\n---\nb: 2\n", 2, 1),
        ("a: *nowhere\n", 1, 4),
        ("a: b: c\n", 1, 5),
        ("%YAML 3.0\n---\na: 1\n", 1, 1),
        ("a: !x!y z\n", 1, 4),
    ],
)
def test_syntax_errors_name_line_and_column(folder: Path, text: str, line: int | None, column: int | None) -> None:
    """PyYAML's two parsers tell the end of a file apart, so that is left open."""
    found, at_line, at_column, what = message(folder, text).split(":", 3)
    assert (found, what.startswith(" not YAML: ")) == ("t.yaml", True)
    assert int(at_line) == line or line is None
    assert int(at_column) == column or column is None


@pytest.mark.parametrize(("text", "told"), [("a:\n  b: 'x\nc: 1\n", True), ("a: [1 b: 'x' y]\n", False)])
def test_a_syntax_error_names_the_line_where_it_may_have_begun(folder: Path, text: str, *, told: bool) -> None:
    """An open quote is noticed at the end of the file only; on one line there is nothing to add."""
    assert ("begins on line" in message(folder, text)) is told
    assert ("begins on line 2)" in message(folder, text)) is told


@pytest.mark.parametrize(("text", "tabs"), [("a:\n\tb: 1\n", True), ("a: @b\n", True), ("a: b: c\n", False)])
def test_a_tab_gets_a_hint_about_tabs(folder: Path, text: str, *, tabs: bool) -> None:
    """Both parsers only say that a token cannot start there."""
    with pytest.raises(ConfigurationError) as caught:
        read_text(folder, text)
    assert ("tabs" in (caught.value.hint or "")) is tabs


def test_aliases_and_merge_keys(folder: Path) -> None:
    """Own keys win over merged ones and earlier sources over later ones; a merged key is no duplicate."""
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 0\nw: {<<: *y, d: *x}\n"
    tree = plain(read_text(folder, text))
    assert isinstance(tree, dict)
    one = {"a": ("number", "1"), "b": ("number", "1")}
    assert tree["z"] == {"a": ("number", "0"), "b": ("number", "1"), "c": ("number", "2")}
    assert tree["w"] == {"b": ("number", "2"), "c": ("number", "2"), "d": one}


def test_aliases_of_aliases_cost_nothing(folder: Path) -> None:
    """Forty doublings make a tree of a billion leaves, which is never written out."""
    lines = [f"a{number + 1}: &a{number + 1} {{x: *a{number}, y: *a{number}}}" for number in range(40)]
    merges = [f"m{number + 1}: &m{number + 1} {{<<: [*m{number}, *m{number}]}}" for number in range(40)]
    tree = as_table(read_text(folder, "\n".join(["a0: &a0 1", *lines, "m0: &m0 {k: v}", *merges])))
    assert plain(tree["m40"]) == {"k": ("string", "v")}
    assert isinstance(tree["a40"], Table)


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST, DEEPEST + 1, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("name", ["t.yaml", "t.json"])
def test_depth_is_bounded(folder: Path, name: str, opening: str, closing: str, depth: int) -> None:
    """Some 100,000 levels would crash libyaml, and the process with it."""
    text = opening * depth + "1" + closing * depth
    if depth <= DEEPEST:
        assert not isinstance(read_text(folder, text, name), Text)
    else:
        assert message(folder, text, name) == f"{name}:1: nested deeper than {DEEPEST} levels"


@pytest.mark.parametrize("name", ["t.json", "t.yaml"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n\t"a":\t1.50,\n\t"b": [true, false, null]\n}', {"a": ("number", "1.50"), "b": None}),
        ('{"a": "\\ud83d\\ude00\\/"}', {"a": ("string", "\U0001f600/")}),
        ('{"a"\n:\n"<<"}', {"a": ("string", "<<")}),
        ('{"a": "\\ud7ff\\ue000"}', {"a": ("string", "\ud7ff\ue000")}),
        ('{"<<": 1, "=": "~"}', {"<<": ("number", "1"), "=": ("string", "~")}),
        ('{"%s": "2012-10-17"}' % ("k" * 2000), {"k" * 2000: ("string", "2012-10-17")}),
        ('{"Ref": "x"}', {"call Ref": ("string", "x")}),
        ("{}", {}),
    ],
)
def test_json_is_read_as_json_whatever_the_suffix(
    folder: Path, name: str, text: str, expected: dict[str, object]
) -> None:
    """PyYAML alone fails on tabs, surrogate pairs, long keys and `<<` of JSON."""
    if "b" in expected:
        expected = expected | {"b": [("boolean", "true"), ("boolean", "false"), ("null", "null")]}
    assert plain(read_text(folder, text, name)) == expected


def test_yaml_may_begin_with_a_brace(folder: Path) -> None:
    """What is not JSON is still YAML, unless the file says it is JSON."""
    assert plain(read_text(folder, "{a: [1,], }")) == {"a": [("number", "1")]}
    assert message(folder, '{"a": [1,]}', "t.json").startswith("t.json:1:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,\n "a": 2}', "t.json:2: the key 'a' stands here and on line 1"),
        ('{\n"a": NaN}', "t.json:2: not JSON: NaN"),
        ('{"a": -Infinity}', "t.json:1: not JSON: -Infinity"),
        ('{\n"a": "\\ud800"}', "t.json:2: a: the text holds half of a surrogate pair"),
        ('{\n"a": "x\\udfff"}', "t.json:2: a: the text holds half of a surrogate pair"),
        ('{"a"\n; 1}', "t.json:2:1: not JSON: Expecting ':' delimiter"),
        ('{\n"a": 1', "t.json:2:7: not JSON: Expecting ',' delimiter"),
        ("\n", "t.json:1: the file is empty"),
    ],
)
def test_faults_in_json_name_the_line(tmp_path: Path, text: str, expected: str) -> None:
    """As in YAML; duplicates too, which `json` lets pass."""
    assert message(tmp_path, text, "t.json").startswith(expected)


def test_read_json_knows_no_intrinsics(tmp_path: Path) -> None:
    """In a file of variables, Ref is a name like any other."""
    assert plain(read_json(write(tmp_path, '{"F": {"Ref": "x"}}', "env"))) == {"F": {"Ref": ("string", "x")}}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends_of_windows(folder: Path, end: str) -> None:
    """Editors on Windows write both."""
    tree = as_table(read_text(folder, f"\ufeffa: 1{end}b: 2{end}"))
    assert [(key, node.place.line) for key, node in tree.items()] == [("a", 1), ("b", 2)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Each way has its own words."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    for path, expected in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "a\0b", "cannot be read: "),
        (latin, "latin.yaml:2: not UTF-8 text"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            read(path)
        assert expected in caught.value.message


@pytest.mark.parametrize(
    ("convert", "expected"),
    [
        (as_text, {"text": None, "items": "not a list", "table": "not a mapping", "null": "there is no value"}),
        (as_items, {"text": "not one value", "items": None, "table": "not a mapping", "null": "there is no value"}),
        (as_table, {"text": "not one value", "items": "not a list", "table": None, "null": "there is no value"}),
    ],
)
def test_a_value_of_another_shape_is_named(tmp_path: Path, convert: type, expected: dict[str, str | None]) -> None:
    """A null is told apart, because the key is there and looks right."""
    tree = as_table(read_text(tmp_path, "text: x\nitems: [x]\ntable: {x: y}\n'null':\n"))
    for key, complaint in expected.items():
        if complaint is None:
            convert(tree[key])
        else:
            with pytest.raises(ConfigurationError, match=f"t.yaml:[1-4]: {key}: .*{complaint}"):
                convert(tree[key])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def as_read(value: object) -> object:
    """What `plain` should give for a JSON value."""
    if isinstance(value, dict):
        return {key: as_read(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_read(inner) for inner in value]
    if isinstance(value, str):
        return "string", value
    kind = "null" if value is None else "boolean" if isinstance(value, bool) else "number"
    return kind, json.dumps(value)


@given(value=_JSON, indent=st.sampled_from([None, 1, "\t"]), tight=st.booleans(), ascii_only=st.booleans())
def test_any_json_is_read_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, value: object, indent: int | str | None, *, tight: bool, ascii_only: bool
) -> None:
    """Whatever its indentation and escapes."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    separators = (",", ":") if tight else (" , ", " : ")
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=ascii_only)
    path.write_text(text, "utf-8", newline="")
    assert plain(read_json(path)) == as_read(value)


@given(count=st.integers(1, 30), data=st.data())
def test_lines_of_json_are_right(tmp_path_factory: pytest.TempPathFactory, count: int, data: st.DataObject) -> None:
    """However many empty lines stand between the keys."""
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    pairs = ",".join("\n" * gap + f'"k{number}": {number}' for number, gap in enumerate(gaps))
    path = tmp_path_factory.getbasetemp() / "lines.json"
    path.write_text("{" + pairs + "}")
    expected = [1 + sum(gaps[: number + 1]) for number in range(count)]
    assert [node.place.line for node in as_table(read_json(path)).values()] == expected


@given(text=st.text() | st.text("ab:-[]{}&*!<>|'\"#%@? \n\t,"), name=st.sampled_from(["any.yaml", "any.json"]))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str, name: str) -> None:
    """There is no third way out."""
    path = tmp_path_factory.getbasetemp() / name
    path.write_text(text, "utf-8", errors="replace", newline="")
    try:
        named = read(path).place.file
    except ConfigurationError as error:
        named = error.message.split(":")[0]
    assert named == str(path)
