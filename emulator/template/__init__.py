"""SAM and CloudFormation templates, and the environment file of `sam local`, as `FunctionConfig`.

Read: functions and layers with local code, Globals, parameters, conditions, mappings, and the intrinsic functions that
need no AWS (`template.values`). What cannot be settled is an error with file, line and key, and only for the function
that needs it: `load` reads the file, `find` settles one function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.template.function import check_globals, check_variable, function_config, function_properties
from emulator.template.parameters import parameter_value
from emulator.template.parse import read, read_json
from emulator.template.tree import Intrinsic, Node, Table, Text, as_table, as_text, choices
from emulator.template.values import FUNCTION_TYPES, Scope

if TYPE_CHECKING:
    from emulator.url_config import FunctionUrlConfig

_FILE_SHAPE: Final = 'The file looks like {"FunctionLogicalId": {"NAME": "value"}, "Parameters": {"NAME": "for all"}}.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template that has been read but not settled; `shared` are the properties of `Globals.Function`."""

    path: Path
    scope: Scope
    shared: Mapping[str, Node]

    @property
    def names(self) -> tuple[str, ...]:
        """Logical ids of the functions, in the template's order; those whose Condition does not hold too."""
        return tuple(name for name in self.scope.resources if self.scope.type_of(name) in FUNCTION_TYPES)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Every name that `find` takes, to its logical id: the logical ids, and `FunctionName` where it can be settled.

        A `FunctionName` that cannot be settled is told as an error where its function is asked for by logical id.
        """
        result = {name: name for name in self.names}
        for logical_id in self.names:
            try:
                with self._bounded(logical_id):
                    if self.scope.exists(logical_id):
                        result.setdefault(self.scope.physical_name(logical_id), logical_id)
            except ConfigurationError:
                continue
        return MappingProxyType(result)

    def find(self, name: str, *, environment: Mapping[str, str] | None = None) -> FunctionConfig:
        """Settle the function of this logical id or `FunctionName`; its `name` is the one Lambda would give it.

        Variables of `environment` replace the template's, which are then not resolved, so that `!GetAtt Table.Arn` does
        no harm where the variable is given. Raises `ConfigurationError`, which offers the nearest names.
        """
        logical_id = name if name in self.names else self.aliases.get(name)
        if logical_id is None:
            raise self._unknown(name)
        with self._bounded(logical_id):
            return function_config(self.scope, self.shared, logical_id, self.path.parent, environment or {})

    def url(self, logical_id: str) -> FunctionUrlConfig | None:
        """Settle what is said of the function's URL, which `find` does not need; None where it has none."""
        from emulator.template.function_url import function_url_config  # noqa: PLC0415 - who runs it needs no URL

        with self._bounded(logical_id):
            properties = function_properties(self.scope, self.shared, logical_id)
            return function_url_config(self.scope, properties, self.scope.physical_name(logical_id))

    def all(self) -> tuple[FunctionConfig, ...]:
        """Settle every function whose Condition holds, in the template's order."""
        return tuple(self.find(name) for name in self.names if self.exists(name))

    def exists(self, logical_id: str) -> bool:
        """Whether the Condition of this function, if it has one, holds."""
        with self._bounded(logical_id):
            return self.scope.exists(logical_id)

    @contextmanager
    def _bounded(self, logical_id: str) -> Iterator[None]:
        try:
            yield
        except RecursionError as error:
            raise self.scope.resources[logical_id].place.error("what this needs is nested too deeply") from error

    def _unknown(self, name: str) -> ConfigurationError:
        if name in self.scope.resources:
            kind = self.scope.type_of(name) or "a resource without Type"
            return self.scope.resources[name].place.error(f"not a function but {kind}", hint=choices(name, self.names))
        hint = choices(name, self.aliases)
        if any(key.startswith("Fn::ForEach") for key in self.scope.resources):
            hint += " What Fn::ForEach would make is not there."
        return ConfigurationError(f"{self.path}: no function {name!r}", hint=hint)


def load(path: Path, *, parameters: Mapping[str, str] | None = None) -> Template:
    """Read a YAML or JSON template; `parameters` replace the defaults of its Parameters."""
    top = read(path)
    if not isinstance(top, Table):
        raise top.place.error(
            "this is not a template: a mapping with Resources is needed", hint="Is it the right file? --template FILE"
        )
    if "Resources" not in top.entries:
        raise top.place.error("Resources is missing", hint="Is it the right file? --template FILE")
    given = parameters or {}
    scope = Scope(
        parameters=_section(top, "Parameters"),
        mappings=_section(top, "Mappings"),
        conditions=_section(top, "Conditions"),
        resources=_section(top, "Resources"),
        given=MappingProxyType(dict(given)),
    )
    for name in given:
        if name not in scope.parameters:
            raise top.place.error(f"the template has no parameter {name!r}", hint=choices(name, scope.parameters))
        parameter_value(name, scope.parameters[name], given, scope.parameters[name].place)
    shared = _section(top, "Globals").get("Function")
    return Template(path=path, scope=scope, shared=check_globals(shared) if shared is not None else {})


def load_environment_file(path: Path, function_names: Mapping[str, str], name: str) -> dict[str, str]:
    """Variables for the function `name` from the JSON file of `sam local invoke -n`.

    `function_names` is `Template.aliases`. The block `Parameters` is for every function, the function's own wins.
    Variables that the template does not declare are set too, where `sam local` drops them without a word. Numbers and
    booleans get the form that `sam local` gives them: 1.50 is `1.5`, true is `true`.
    """
    blocks = as_table(read_json(path))
    for key, node in blocks.items():
        if not isinstance(node, Table):
            raise node.place.error("not a mapping of variables", hint=_FILE_SHAPE)
        if key != "Parameters" and key not in function_names:
            raise node.place.error("the template has no such function", hint=choices(key, function_names))
    logical_id = function_names.get(name, name)
    # A block under the logical id wins over one under FunctionName, as in `sam local`.
    keys = [key for key in blocks if key != logical_id and function_names.get(key) == logical_id]
    result: dict[str, str] = {}
    for key in ("Parameters", *keys, logical_id):
        for variable, node in as_table(blocks[key]).items() if key in blocks else ():
            result[variable] = _sam_text(node)
            check_variable(variable, result[variable], node.place)
    return result


def _section(top: Table, key: str) -> Mapping[str, Node]:
    if key not in top.entries:
        return MappingProxyType({})
    node = top.entries[key]
    if isinstance(node, Intrinsic):
        raise node.place.error(f"{node.name} is not supported here")
    return as_table(node)


def _sam_text(node: Node) -> str:
    text = as_text(node)
    is_fraction = isinstance(node, Text) and node.kind == "number" and not text.lstrip("-").isdigit()
    return str(float(text)) if is_fraction else text
