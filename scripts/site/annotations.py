"""What the constructors' annotations and docstrings say of their arguments, read from the source files."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

KINDS = {
    "PositiveInt": "whole number ≥ 1",
    "NonNegativeInt": "whole number ≥ 0",
    "PositiveFloat": "number > 0",
    "NonNegativeFloat": "number ≥ 0",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "bool": "`true` `false`",
    "None": "`null`",
    "Any": "anything",
}
"""The words for an annotation."""


@dataclass(frozen=True)
class Place:
    """A class or function, and the module in which it stands."""

    module: ast.Module
    node: ast.ClassDef | ast.FunctionDef


@cache
def module_of(name: str) -> ast.Module | None:
    base = ROOT / name.replace(".", "/")
    path = base.with_suffix(".py") if base.with_suffix(".py").exists() else base / "__init__.py"
    return ast.parse(path.read_text(encoding="utf-8")) if path.exists() else None


def resolve(target: str) -> Place | None:
    """Find the class or function that a `_target_` of this repository names."""
    module_name, _, name = target.partition(":")[0].rpartition(".")
    ours = module_name.startswith(("vae_exp", "hydra_plugins"))
    module = module_of(module_name) if ours else None
    return _found(module, name) if module else None


def _found(module: ast.Module, name: str) -> Place | None:
    """Find a class or function that a module defines or imports."""
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Place(module, node)
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return resolve(f"{node.module}.{name}")
    return None


def summary(place: Place) -> str:
    text = ast.get_docstring(place.node) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def argument(place: Place, name: str) -> tuple[str, str]:
    """Return what an argument may be, in words, and what the docstring says of it."""
    annotation = _annotation(place.node, name)
    documented = _documented(ast.get_docstring(place.node) or "", name)
    if annotation is not None or isinstance(place.node, ast.FunctionDef):
        return in_words(annotation, place.module) if annotation is not None else "", documented
    for base in place.node.bases:  # the constructor may be that of an abstract class
        above = _found(place.module, base.id) if isinstance(base, ast.Name) else None
        if above and (kind := argument(above, name))[0]:
            return kind[0], documented or kind[1]
    return "", documented


def arguments(place: Place) -> list[str]:
    """Return the names of what a function or a constructor takes, with those of the abstract classes above it."""
    if isinstance(place.node, ast.FunctionDef):
        return [each.arg for each in [*place.node.args.args, *place.node.args.kwonlyargs] if each.arg != "self"]
    for member in place.node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return arguments(Place(place.module, member))
    fields = [
        member.target.id
        for member in place.node.body
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
    ]
    bases = [_found(place.module, base.id) for base in place.node.bases if isinstance(base, ast.Name)]
    return fields + [name for base in bases if base for name in arguments(base)]


def _annotation(node: ast.ClassDef | ast.FunctionDef, name: str) -> ast.expr | None:
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.args, *node.args.kwonlyargs]
        return next((each.annotation for each in arguments if each.arg == name), None)
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return _annotation(member, name)
    fields = (member for member in node.body if isinstance(member, ast.AnnAssign))
    return next((member.annotation for member in fields if getattr(member.target, "id", "") == name), None)


def _documented(docstring: str, name: str) -> str:
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    found = section and re.search(rf"^    {name}: (.*?)(?=^    \S|\Z)", section[1], re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def in_words(annotation: ast.expr, module: ast.Module) -> str:
    """Describe an annotation for a reader who does not know Python."""
    match annotation:
        case ast.BinOp(left=left, right=right):
            return " or ".join(dict.fromkeys([in_words(left, module), in_words(right, module)]))
        case ast.Constant(value=None):
            return "`null`"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            options = values.elts if isinstance(values, ast.Tuple) else [values]
            return " ".join(dict.fromkeys(f"`{ast.literal_eval(option)}`" for option in options))
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[kind, *limits])):
            return " ".join([in_words(kind, module), *filter(None, map(_limits, limits))])
        case ast.Subscript(value=ast.Name(id="list" | "Sequence" | "tuple"), slice=inner):
            each = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
            return f"list of: {in_words(each, module)}"
        case ast.Subscript(value=ast.Name(id="dict" | "Mapping")):
            return "keys and values"
        case ast.Name(id=name) if name in KINDS:
            return KINDS[name]
        case ast.Name(id=name):
            return _of_alias(name, module) or "a part"
    return ""


def _of_alias(name: str, module: ast.Module) -> str:
    """Describe a name that a module defines or imports."""
    for node in module.body:
        if isinstance(node, ast.Assign) and assigns(node, name):
            return in_words(node.value, module)
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            other = module_of(node.module or "")
            return _of_alias(name, other) if other else ""
    return ""


def _limits(limit: ast.expr) -> str:
    if not isinstance(limit, ast.Call):
        return ""
    words = [
        f"{BOUNDS[each.arg]} {ast.unparse(each.value).replace('2 ** 31', '2³¹')}"
        for each in limit.keywords
        if each.arg in BOUNDS
    ]
    return " and ".join(words)


def assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
