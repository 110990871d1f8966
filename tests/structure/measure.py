"""How the code of `src/embfact` hangs together, measured from its imports and definitions; nothing of it is run.

python tests/structure/measure.py                     # the table of docs/architecture.md
python tests/structure/measure.py --lines-of COMMIT   # and the lines against those of a commit
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "embfact"


@dataclass(frozen=True)
class Function:
    """A function or method: where it stands, and what it calls by name."""

    module: str
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def key(self) -> str:
        """Its dotted name."""
        return f"{self.module}.{self.name}"


@dataclass
class Code:
    """The modules of a package and what they import of each other.

    Attributes:
        source: The folder that holds the package.
        imports: Module -> modules of the package that it imports anywhere: at the top, in functions, for types alone.
    """

    source: Path = ROOT / "src"
    trees: dict[str, ast.Module] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    imports: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for path in sorted((self.source / NAME).rglob("*.py")):
            parts = path.relative_to(self.source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.trees[name] = ast.parse(path.read_text(encoding="utf-8"))
            if parts[-1] == "__init__":
                self.packages.add(name)
        for name, tree in self.trees.items():
            for module, what in _imported(tree):
                for found in (f"{module}.{what}", module):
                    if found in self.trees and found != name:
                        self.imports[name].add(found)
                        break

    @property
    def modules(self) -> list[str]:
        """All modules that are no packages."""
        return [name for name in self.trees if name not in self.packages]

    def circles(self) -> list[list[str]]:
        """Modules that import each other, directly or by way of others."""
        return _circles({name: self.imports[name] for name in self.modules})

    def mutual_packages(self) -> list[tuple[str, str]]:
        """Top-level packages (or flat modules) that import each other both ways."""
        edges = {
            (_wing(a), _wing(b))
            for a in self.modules
            for b in self.imports[a]
            if b in self.modules and _wing(a) != _wing(b)
        }
        return sorted((a, b) for a, b in edges if a < b and (b, a) in edges)

    def single_importers(self) -> dict[str, str]:
        """Modules that exactly one other module imports, and which."""
        users: dict[str, set[str]] = defaultdict(set)
        for name, imported in self.imports.items():
            for one in imported:
                users[one].add(name)
        return {name: next(iter(users[name])) for name in self.modules if len(users[name]) == 1}

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Functions and methods by their dotted names."""
        found = {}
        for module, tree in self.trees.items():
            for node in tree.body:
                for inner, prefix in [
                    (node, ""),
                    *((n, f"{node.name}.") for n in getattr(node, "body", []) if isinstance(node, ast.ClassDef)),
                ]:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        function = Function(module, prefix + inner.name, inner)
                        found[function.key] = function
        return found

    def single_statements(self) -> list[str]:
        """Private functions of one statement (besides the docstring) that one place alone refers to."""
        found = []
        for module, tree in self.trees.items():
            used = Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
            used += Counter(n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute))
            for function in (f for f in self.functions.values() if f.module == module):
                node, last = function.node, function.name.rpartition(".")[2]
                statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
                plain = last.startswith("_") and not last.startswith("__") and not node.decorator_list
                if plain and len(statements) == 1 and not hasattr(statements[0], "body") and used[last] == 1:
                    found.append(function.key)
        return sorted(found)

    def walk(self, start: str, method: str = "fit", on: str = "trainer") -> list[str]:
        """The shortest way of calls from a function to a call of ``trainer.fit``."""
        before: dict[str, str | None] = {start: None}
        queue = deque([start])
        while queue:
            key = queue.popleft()
            function = self.functions[key]
            if any(
                isinstance(n, ast.Attribute) and n.attr == method and isinstance(n.value, ast.Name) and n.value.id == on
                for n in ast.walk(function.node)
            ):
                way: list[str] = [f"{on}.{method}"]
                step: str | None = key
                while step is not None:
                    way.append(step)
                    step = before[step]
                return way[::-1]
            for called in self._called(function):
                if called not in before:
                    before[called] = key
                    queue.append(called)
        return []

    def _called(self, function: Function) -> list[str]:
        """Functions of this package that a function names, by what its module or itself has imported."""
        tree = self.trees[function.module]
        places = {
            (a.asname or a.name): f"{n.module}.{a.name}"
            for n in [*ast.walk(tree)]
            if isinstance(n, ast.ImportFrom) and n.module
            for a in n.names
        }
        found = []
        for node in ast.walk(function.node):
            if isinstance(node, ast.Name):
                key = places.get(node.id, f"{function.module}.{node.id}")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in places:
                key = f"{places[node.value.id]}.{node.attr}"
            else:
                continue
            if key in self.functions:
                found.append(key)
        return found


def _imported(tree: ast.Module) -> list[tuple[str, str]]:
    """(module, name) of every import of this package, wherever in a module it stands."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
            found += [(str(node.module), alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == NAME]
    return found


def _wing(module: str) -> str:
    return module.split(".")[1]


def _circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one node (Tarjan, 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in edges:
                continue
            if other not in number:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10_000)
    for node in edges:
        if node not in number:
            visit(node)
    return found


def lines_of(commit: str | None = None, apart: frozenset[str] = frozenset()) -> int:
    """Lines of the package's Python files, now or at a commit; `apart` are names of files now that do not count."""
    if commit is None:
        files = (ROOT / "src" / NAME).rglob("*.py")
        counted = (path for path in files if str(path.relative_to(ROOT / "src" / NAME)) not in apart)
        return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in counted)

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout

    names = [
        name for name in git("ls-tree", "-r", "--name-only", commit, f"src/{NAME}").split() if name.endswith(".py")
    ]
    return sum(len(git("show", f"{commit}:{name}").splitlines()) for name in names)


# What the package has had since it is an installed command: its entry, and what were scripts beside the package.
COMMAND = frozenset(
    {f"cli/{path.name}" for path in (ROOT / "src" / NAME / "cli").glob("*.py")}
    - {"cli/train.py", "cli/command_line.py"}
) | {"config/own_folder.py", "config/places.py"}


def main() -> None:
    """Print every figure with its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines-of", metavar="COMMIT", help="compare the lines with those of a commit")
    parser.add_argument("--names", action="store_true", help="also name what was counted")
    options = parser.parse_args()
    code = Code()
    way = code.walk(f"{NAME}.cli.train.main")
    files = {step.rpartition(".")[0] for step in way[:-1]}
    flat = [name for name in code.modules if name.count(".") == 1]
    single, short = code.single_importers(), code.single_statements()
    rows = [
        ("calls from train.py to trainer.fit", len(way), "at most 7"),
        ("files on that way, train.py included", len(files) + 1, "at most 4"),
        ("files flat in src/embfact", len(flat) + 1, "at most 8"),
        ("import circles", len(code.circles()), "0"),
        ("packages that import each other both ways", len(code.mutual_packages()), "0"),
        (f"modules of {len(code.modules)} with exactly one importer", len(single), "under 35"),
        ("private functions called once and of one statement", len(short), "under 15"),
        ("lines of src/embfact", lines_of(), ""),
    ]
    if options.lines_of:
        before = lines_of(options.lines_of)
        rows.append((f"lines against {options.lines_of}", round(lines_of() / before, 3), ""))
        rows.append(("lines against it, the new command apart", round(lines_of(apart=COMMAND) / before, 3), "0.96"))
    width = max(len(row[0]) for row in rows)
    for what, value, aim in rows:
        print(f"{what:<{width}}  {value:>6}  {aim}")
    print("\n" + " -> ".join(step.removeprefix(f"{NAME}.") for step in way))
    if options.names:
        print("\n".join(["", *(f"{name} <- {user}" for name, user in sorted(single.items())), "", *short]))


if __name__ == "__main__":
    main()
