"""How large and how entangled the package is, by its source alone.

::

    python tests/support/survey.py [FOLDER OF A CHECKOUT]
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from importlinter.api import read_configuration

__all__ = ["Length", "chains", "classes", "functions", "layers", "modules_at_the_top"]


class Length(NamedTuple):
    """The lines of a function or class, its docstring included."""

    lines: int
    place: str
    """`module.name`"""


def modules_at_the_top(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "aecodec").glob("*.py") if not p.name.startswith("__"))


def layers(root: Path) -> list[str]:
    contracts = read_configuration(str(root / "pyproject.toml"))["contracts_options"]
    (found,) = (c["layers"] for c in contracts if c["type"] == "layers")
    return list(found)


def functions(root: Path) -> list[Length]:
    """All functions but the commands of the command line, the longest first."""
    return _lengths(root, ast.FunctionDef)


def classes(root: Path) -> list[Length]:
    """All classes, the longest first."""
    return _lengths(root, ast.ClassDef)


def _lengths(root: Path, kind: type[ast.FunctionDef] | type[ast.ClassDef]) -> list[Length]:
    found = [
        Length((node.end_lineno or node.lineno) - node.lineno + 1, f"{module}.{node.name}")
        for module, tree in _trees(root)
        for node in ast.walk(tree)
        if isinstance(node, kind) and not _is_command(node)
    ]
    return sorted(found, reverse=True)


def _is_command(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(d).split("(")[0].endswith("command") for d in node.decorator_list)


@functools.cache
def _trees(root: Path) -> list[tuple[str, ast.Module]]:
    found = []
    for path in sorted((root / "aecodec").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


# --- Parameters that are passed on ----------------------------------------------------------------


def chains(root: Path) -> dict[str, list[str]]:
    """For each name of a parameter the longest chain of modules that hand it on unchanged.

    A module hands `x` on where one of its calls has the argument `x`, which is a parameter of the
    function around it, or `object.x`, and a function or class of the callee's name, in this module
    or in one that it imports, has a parameter `x`. Callees are found by name alone, so a chain is
    an upper bound.
    """
    trees = dict(_trees(root))
    takers = {module: _takers(tree) for module, tree in trees.items()}
    imports = {module: _imports(tree, trees) for module, tree in trees.items()}
    exports = {m: _imports(t, trees, deep=False) for m, t in trees.items() if m != "aecodec"}
    edges: dict[str, dict[str, set[str]]] = {}
    for module, tree in trees.items():
        reached = {module, *imports[module]}
        for package in imports[module]:  # it may export what it imports
            if any(other.startswith(f"{package}.") for other in trees):
                reached |= exports.get(package, set())
        for name, callee in _handed_on(tree):
            for other in reached:
                if name in takers[other].get(callee, ()):
                    edges.setdefault(name, {}).setdefault(module, set()).add(other)
    return {name: _longest(graph) for name, graph in edges.items()}


def _takers(tree: ast.Module) -> dict[str, set[str]]:
    """The parameters of each function, and of each class its fields or those of `__init__`."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, set()).update(a.arg for a in _arguments(node))
        elif isinstance(node, ast.ClassDef):
            fields = found.setdefault(node.name, set())
            for inner in node.body:
                if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                    fields.add(inner.target.id)
                elif isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    fields.update(a.arg for a in _arguments(inner))
    return found


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _imports(tree: ast.Module, known: Collection[str], *, deep: bool = True) -> set[str]:
    """The modules of the package that one imports; not `deep`: when it is itself imported."""
    found = set()
    for node in ast.walk(tree) if deep else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= set(known) else {node.module, *names}
    return found & set(known)


def _handed_on(
    node: ast.AST, parameters: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """(name of a parameter or attribute, name of the callee that gets it)."""
    if isinstance(node, ast.FunctionDef):
        parameters |= {argument.arg for argument in _arguments(node)}
    for child in ast.iter_child_nodes(node):
        yield from _handed_on(child, parameters)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
        callee = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for value in (*node.args, *(k.value for k in node.keywords)):
            if isinstance(value, ast.BoolOp):  # `threads or 0`
                value = value.values[0]
            if isinstance(value, ast.Name) and value.id in parameters:
                yield value.id, callee
            elif isinstance(value, ast.Attribute):
                yield value.attr, callee


def _longest(graph: dict[str, set[str]]) -> list[str]:
    best: list[str] = []

    def follow(path: list[str]) -> None:
        nonlocal best
        if len(path) > len(best):
            best = list(path)
        for other in graph.get(path[-1], ()):
            if other not in path:
                follow([*path, other])

    for start in graph:
        follow([start])
    return best


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    longest = [chain for chain in chains(root).items() if len(chain[1]) > 4]
    function, klass = functions(root)[0], classes(root)[0]
    lines = [
        f"modules at the top: {len(modules_at_the_top(root))}",
        f"layers in the contract: {len(layers(root))}",
        f"longest function: {function.lines} lines, {function.place}",
        f"longest class: {klass.lines} lines, {klass.place}",
        f"parameters handed on by more than four modules: {len(longest)}",
        *(f"  {name}: {' -> '.join(chain)}" for name, chain in longest),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
