"""The picture of the packages in docs/architecture.md, drawn from the imports of the service.

An arrow is an import. One that follows from others is left out: `a → c` if there are `a → b` and
`b → c`.
"""

from collections.abc import Iterator, Mapping

import grimp

from ops.console import CommandError, just
from service.settings import ROOT, Settings

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "```mermaid\n", "```\n"
Graph = Mapping[str, set[str]]


def write(_settings: Settings, _arguments: list[str]) -> int:
    """Write the picture into the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Raise CommandError if the page has another picture."""
    if PAGE.read_text(encoding="utf-8") != page():
        raise CommandError(f"The picture in {PAGE.name} is stale: run `{just('fix')}`.")
    return 0


def page() -> str:
    """Return the page with the current picture. Raises CommandError if it has no place for it."""
    before, found, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not (found and ends):
        raise CommandError(f"{PAGE.name} needs the lines ```mermaid and ```.")
    return before + BEGIN + picture() + END + after


def picture() -> str:
    """Return the diagram, in Mermaid's language."""
    imports, blueprints = packages()
    lines = ["flowchart TD", "    subgraph blueprints"]
    lines += [f"        {_node(package)}" for package in sorted(blueprints)]
    lines += ["    end"]
    lines += [f"    {_node(package)}" for package in sorted(imports.keys() - blueprints)]
    lines += [f"    {_id(upper)} --> {_id(lower)}" for upper, lower in sorted(reduced(imports))]
    return "".join(f"{line}\n" for line in lines)


def packages() -> tuple[Graph, set[str]]:
    """Return the imports between the packages of the service, and which are blueprints.

    A package is a module or folder of `service` or `service.common`.
    """
    graph = grimp.build_graph("service", cache_dir=None)
    imports: dict[str, set[str]] = {}
    for module in graph.modules - {"service.common"}:
        upper = package_of(module)
        lower = map(package_of, graph.find_modules_directly_imported_by(module))
        imports.setdefault(upper, set()).update(set(lower) - {upper, "service.common"})
    return imports, {one for one in imports if f"{one}.views" in graph.modules}


def package_of(module: str) -> str:
    """Return the package of a module."""
    parts = module.split(".")
    return ".".join(parts[: 3 if parts[1:2] == ["common"] else 2])


def reduced(imports: Graph) -> Iterator[tuple[str, str]]:
    """Yield the imports that do not follow from others: there are no cycles."""
    for upper, lowers in imports.items():
        for lower in lowers:
            if not any(lower in reachable(imports, other) for other in lowers - {lower}):
                yield upper, lower


def reachable(imports: Graph, package: str) -> set[str]:
    """Return what a package imports, and what that imports."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        new = imports[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _id(package: str) -> str:
    # Dots have a meaning in Mermaid's language.
    return package.replace(".", "_")


def _node(package: str) -> str:
    name = package.removeprefix("service.").replace(".", "/")
    return f'{_id(package)}["{name}"]'
