"""The architecture's rules, over all modules: the direction of imports, and who may use what.

Each rule is a function from the code to its violations. One test applies every rule to the
service; another gives each rule a violation, which it must report.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import grimp
import pytest

from service import create_app
from service.common.web import App
from service.settings import ROOT, Settings

Edge = tuple[str, str]

COMMON = "service.common"
MIDDLEWARE = "service.common.middleware"
WEB = {"quart", "quart_schema", "werkzeug"}
# From top to bottom; a module imports only modules below it.
LAYERS = ["__init__", "views", "domain", "backend", "models"]
ALLOWED = {
    "__init__": {"views"},
    "views": {"domain", "payloads"},
    "domain": {"backend", "models", "payloads"},
    "backend": {"models"},
    "models": set(),
    "payloads": set(),
}
SERVER = "service.server"
# From bottom to top; a package imports only packages on lower levels.
LEVELS = [
    {"service.name"},
    {
        "service.limits",
        "service.failures",
        "service.metrics",
        "service.observed",
        "service.budget",
        "service.places",
    },
    {"service.client"},
    {"service.settings"},
    {"service.common.errors"},
    {
        "service.common.contract",
        "service.common.embedded",
        "service.logs",
        "service.metrics_endpoint",
    },
    {"service.common.database"},
    {"service.common.web"},
    {"service.common.middleware"},
    {"service.common.resource"},
    {"service.common.search"},
    {"service.common.bulk"},
    {"service.common.idempotency"},
    # The blueprints.
    set(),
    {"service", "service.maintenance"},
    {"service.asgi", "service.server"},
    {"service.__main__"},
]
BLUEPRINTS = LEVELS.index(set())
# Quart is known to these packages, to views, and to `KNOW_QUART`: the hooks of features, and what
# makes a response from a record.
WEB_PACKAGES = {"service.common.web", MIDDLEWARE}
KNOW_QUART = {
    "service.common.resource.conditional",
    "service.common.resource.pagination",
    "service.common.resource.responses",
    "service.common.bulk.export_hook",
    "service.common.bulk.import_hook",
    "service.common.idempotency.hook",
}
# Statements are written in these packages, and in a blueprint's `backend.py`.
SQL_PACKAGES = {
    "service.common.database",
    "service.common.resource",
    "service.common.search",
    "service.common.bulk",
    "service.common.idempotency",
}
# Others import only what their `__init__.py` offers.
PACKAGES = {
    SERVER,
    "service.settings",
    "service.common.errors",
    "service.common.contract",
    "service.common.embedded",
    "service.common.database",
    "service.common.web",
    MIDDLEWARE,
    "service.common.resource",
    "service.common.search",
    "service.common.bulk",
    "service.common.idempotency",
}
# Modules of packages that others import whole.
MODULES = {"service.common.contract.openapi"}
# Modules that start a program, above everything else.
PROGRAMS = {"service", "service.__main__", "service.asgi"}
STATEMENTS = {
    "select",
    "insert",
    "update",
    "delete",
    "text",
    "func",
    "Select",
    "union",
    "union_all",
}
# Models may use these for defaults and constraints.
FOR_MODELS = {"text", "func"}


@cache
def edges() -> list[Edge]:
    """Return every import of the service, as importer and imported."""
    graph = grimp.build_graph("service", include_external_packages=True, cache_dir=None)
    return sorted(
        (importer, imported)
        for importer in graph.modules
        if importer.split(".")[0] == "service"
        for imported in graph.find_modules_directly_imported_by(importer)
    )


@cache
def sources() -> dict[str, str]:
    """Return the source of every module of the service."""
    found = {}
    for path in sorted((ROOT / "service").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


@cache
def through() -> list[Edge]:
    """Return the imports of names that packages offer, as importer and module of the name."""
    offered = {
        (package, alias.name): node.module
        for package in PACKAGES & sources().keys()
        for node in parsed(sources()[package]).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    return sorted(
        (module, offered[node.module, alias.name])
        for module, source in sources().items()
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if (node.module, alias.name) in offered and not within(module, node.module)
    )


@cache
def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(source)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@cache
def beside_blueprints() -> set[str]:
    """Return the names within `service` that are no blueprints."""
    modules = (path.stem for path in (ROOT / "service").glob("*.py"))
    return {"common", "server", "settings", *modules}


@cache
def blueprint_of(module: str) -> str | None:
    """Return the blueprint that a module is part of."""
    top, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    return name if top == "service" and name and name not in beside_blueprints() else None


def layer_of(module: str) -> str:
    """Return the layer of a blueprint's module."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 else "__init__"


@cache
def package_of(module: str) -> str | None:
    """Return the package of `LEVELS` that a module is part of, or its blueprint's."""
    if name := blueprint_of(module):
        return f"service.{name}"
    # Everything is within `service`, which is also a module of its own.
    known = {package for level in LEVELS for package in level - {"service"}}
    return next(
        (one for one in known if within(module, one)), "service" if module == "service" else None
    )


@cache
def level_of(module: str) -> int | None:
    """Return the level of a module, from the bottom; None if it has none."""
    if blueprint_of(module):
        return BLUEPRINTS
    package = package_of(module)
    return next((i for i, level in enumerate(LEVELS) if package in level), None)


def imports_go_down(found: Iterable[Edge]) -> list[Edge]:
    """A package imports only packages of lower levels, so there is no cycle among them."""
    broken = []
    for importer, imported in found:
        # An import of anything within a package is an import of `service` and `service.common` too.
        if not within(imported, "service") or imported in {"service.common", importer}:
            continue
        if importer == "service.common" or package_of(importer) == package_of(imported):
            continue
        if blueprint_of(importer) and blueprint_of(imported):
            continue  # A rule of its own is about these.
        upper, lower = level_of(importer), level_of(imported)
        if upper is None or lower is None or lower >= upper:
            broken.append((importer, imported))
    return broken


def packages_are_entered_by_their_front(found: Iterable[Edge]) -> list[Edge]:
    """Others import what the `__init__.py` of a package names; `create_app` imports the hooks."""
    return [
        (importer, imported)
        for importer, imported in found
        for package in PACKAGES
        if within(imported, package) and imported != package and not within(importer, package)
        if importer != "service" and imported not in MODULES
    ]


def blueprints_stand_apart(found: Iterable[Edge]) -> list[Edge]:
    """Blueprints import each other from domain to domain, without cycles, and no programs."""
    others: dict[str, set[str]] = {}
    for importer, imported in found:
        if (own := blueprint_of(importer)) and (other := blueprint_of(imported)) not in {own, None}:
            others.setdefault(own, set()).add(other)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        new = {start}
        while new:
            seen |= new
            new = {other for one in new for other in others.get(one, ())} - seen
        return seen

    broken = []
    for importer, imported in found:
        own, other = blueprint_of(importer), blueprint_of(imported)
        if own is None:
            continue
        if imported in {*PROGRAMS, "service.settings"}:
            broken.append((importer, imported))
        elif other not in {own, None}:
            domains = layer_of(importer) == layer_of(imported) == "domain"
            if not domains or own in reached(other):
                broken.append((importer, imported))
    return broken


def layers_go_down(found: Iterable[Edge]) -> list[Edge]:
    """Inside a blueprint: `__init__` -> views -> domain -> backend -> models."""
    return [
        (importer, imported)
        for importer, imported in found
        if (own := blueprint_of(importer))
        and blueprint_of(imported) == own
        and layer_of(imported) not in ALLOWED.get(layer_of(importer), set())
    ]


def layers_have_known_names(found: Iterable[Edge]) -> list[Edge]:
    """The same file names in every blueprint, so that every module has a layer."""
    return [edge for edge in found if blueprint_of(edge[0]) and layer_of(edge[0]) not in ALLOWED]


def only_views_know_the_request(found: Iterable[Edge]) -> list[Edge]:
    """Below a view nothing reaches back to the request."""
    return [
        (importer, imported)
        for importer, imported in found
        if blueprint_of(importer)
        and layer_of(importer) not in {"__init__", "views"}
        and (imported in KNOW_QUART or any(within(imported, package) for package in WEB_PACKAGES))
    ]


def only_the_edge_knows_the_web(found: Iterable[Edge]) -> list[Edge]:
    """Quart and its kin stay in the application, hooks and views."""
    return [
        (importer, imported)
        for importer, imported in found
        if imported.split(".")[0] in WEB
        and importer not in {"service", *KNOW_QUART}
        and not any(within(importer, package) for package in WEB_PACKAGES)
        and not (blueprint_of(importer) and layer_of(importer) in {"__init__", "views"})
    ]


def only_the_server_knows_hypercorn(found: Iterable[Edge]) -> list[Edge]:
    """Another ASGI server can take its place."""
    return [
        (importer, imported)
        for importer, imported in found
        if imported.split(".")[0] in {"hypercorn", "h11", "uvloop"} and not within(importer, SERVER)
    ]


EDGE_RULES: list[tuple[Callable[[Iterable[Edge]], list[Edge]], list[Edge]]] = [
    (
        imports_go_down,
        [
            ("service.common.database.engine", "service.common.middleware.cors"),
            ("service.common.errors", "service.common.contract"),
            ("service.common.contract.parsing", "service.common.database.models"),
            ("service.common.web.prefix", "service.common.resource.pages"),
            ("service.common.database.models", "service.foss.models"),
            ("service.common.middleware.guard", "service.foss.domain"),
            ("service.common.middleware.openapi", "service"),
            ("service.common.bulk.export_hook", "service.common.idempotency.hook"),
            ("service.logs", "service"),
            ("service.settings", "service.common.errors.exceptions"),
            ("service.settings.tls", "service.foss.models"),
            ("service.limits", "service.settings"),
            ("service.logs", "service.server"),
            ("service", "service.server.run"),
            ("service.common.utils", "service.common.errors"),
        ],
    ),
    (
        packages_are_entered_by_their_front,
        [
            ("service.common.database.engine", "service.settings.tls"),
            ("service.__main__", "service.server.run"),
            ("service.foss.backend", "service.common.resource.resource"),
            ("service.common.bulk.lines", "service.common.contract.parsing"),
        ],
    ),
    (
        blueprints_stand_apart,
        [
            ("service.foss.views", "service.health"),
            ("service.health.backend", "service.foss.models"),
            ("service.new.domain", "service.foss.backend"),
            ("service.new.views", "service.foss.domain"),
            ("service.foss.domain", "service"),
            ("service.foss.domain", "service.settings"),
        ],
    ),
    (
        layers_go_down,
        [
            ("service.foss.models", "service.foss.backend"),
            ("service.foss.backend", "service.foss.domain"),
            ("service.foss.backend", "service.foss.payloads"),
            ("service.foss.domain", "service.foss.views"),
            ("service.foss.views", "service.foss.backend"),
            ("service.foss.views", "service.foss.models"),
            ("service.foss.payloads", "service.foss.models"),
            ("service.foss", "service.foss.domain"),
            ("service.foss.views", "service.foss"),
            ("service.new.models", "service.new.views"),
        ],
    ),
    (layers_have_known_names, [("service.foss.utils", "service.foss.models")]),
    (
        only_views_know_the_request,
        [
            ("service.foss.domain", "service.common.middleware.unit_of_work"),
            ("service.foss.backend", "service.common.web.prefix"),
            ("service.foss.domain", "service.common.bulk.export_hook"),
        ],
    ),
    (
        only_the_edge_knows_the_web,
        [
            ("service.foss.domain", "quart"),
            ("service.foss.backend", "werkzeug"),
            ("service.foss.payloads", "quart_schema"),
            ("service.common.errors.exceptions", "werkzeug"),
            ("service.settings", "quart"),
            ("service.asgi", "quart"),
        ],
    ),
    (
        only_the_server_knows_hypercorn,
        [("service.logs", "hypercorn"), ("service", "hypercorn.asyncio")],
    ),
]


def test_the_imports_of_the_whole_service_are_looked_at() -> None:
    importers = {importer for importer, _ in edges()}

    assert {"service", "service.__main__", "service.health.backend"} <= importers
    assert ("service.health.views", "service.health.domain") in edges()
    assert ("service.health.views", "quart") in edges()
    assert importers <= set(sources())
    assert ("service.health.views", "service.common.middleware.unit_of_work") in through()


def test_the_blueprints_of_the_application_are_the_packages_next_to_common() -> None:
    packages = {name for module in sources() if (name := blueprint_of(module))}

    assert packages == set(create_app(Settings()).blueprints)


@pytest.mark.parametrize("rule", [rule for rule, _ in EDGE_RULES])
def test_no_import_breaks_a_rule(rule: Callable[[Iterable[Edge]], list[Edge]]) -> None:
    found = edges() if rule is packages_are_entered_by_their_front else [*edges(), *through()]

    assert rule(found) == []


@pytest.mark.parametrize(
    ("rule", "forbidden"),
    [(rule, edge) for rule, forbidden in EDGE_RULES for edge in forbidden],
)
def test_a_forbidden_import_would_be_reported(
    rule: Callable[[Iterable[Edge]], list[Edge]], forbidden: Edge
) -> None:
    assert rule([*edges(), forbidden]) == [forbidden]


def test_a_domain_may_import_that_of_another_blueprint_without_cycles() -> None:
    there, back = (
        ("service.new.domain", "service.foss.domain"),
        ("service.foss.domain", "service.new.domain"),
    )

    assert blueprints_stand_apart([*edges(), there]) == []
    assert blueprints_stand_apart([*edges(), there, back]) == [there, back]


def test_the_layers_that_are_allowed_are_those_below() -> None:
    for importer, imported in ALLOWED.items():
        for name in imported - {"payloads"}:
            assert LAYERS.index(importer) < LAYERS.index(name)


# Rules over the text of every module.


def statement_builders(module: str, source: str) -> list[str]:
    """SQL is written in few packages and in `backend.py`; models use some parts for defaults."""
    if any(within(module, package) for package in SQL_PACKAGES) or (
        blueprint_of(module) and layer_of(module) == "backend"
    ):
        return []
    forbidden = STATEMENTS
    if module.rsplit(".", maxsplit=1)[-1] == "models":
        forbidden = STATEMENTS - FOR_MODELS
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            found += [alias.name for alias in node.names if alias.name in forbidden | {"*"}]
        # `import sqlalchemy as sa` would let `sa.select` pass by the rule.
        if isinstance(node, ast.Import):
            found += [
                alias.name for alias in node.names if alias.name.split(".")[0] == "sqlalchemy"
            ]
    return found


def environment_readers(module: str, source: str) -> list[str]:
    """Only the settings read the environment, and they by pydantic-settings.

    Except one name: that of the file used instead of `.env`, which pydantic-settings can't read.
    """
    if module == "service.settings.settings" and source.count("os.environ") == 1:
        return []
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}:
            found.append(node.attr)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [
                alias.name
                for alias in node.names
                if alias.name in {"environ", "environb", "getenv", "getenvb", "*"}
            ]
    return found


def settings_readers(module: str, source: str) -> list[str]:
    """Settings are handed down; only what starts a program loads them."""
    if module in {
        *("service", "service.server.run", "service.asgi"),
        "service.maintenance",
        "service.settings.settings",
    }:
        return []
    return [
        node.id
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Name) and node.id == "load_settings"
    ]


def committers(module: str, source: str) -> list[str]:
    """Transactions are committed in one place."""
    calls = [
        node.func.attr
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "begin", "begin_nested"}
    ]
    return calls[1:] if module == "service.common.database.database" else calls


def undocumented(module: str, source: str) -> list[str]:
    """Every module says in one docstring what it is for."""
    return [] if ast.get_docstring(parsed(source)) else [module]


SOURCE_RULES: list[tuple[Callable[[str, str], list[str]], list[Edge]]] = [
    (
        statement_builders,
        [
            ("service.foss.domain", "from sqlalchemy import select"),
            ("service.foss.views", "from sqlalchemy.sql.expression import update as change"),
            ("service.foss.domain", "def f():\n    from sqlalchemy import text"),
            ("service.common.web.prefix", "import sqlalchemy as sa"),
            ("service.foss.models", "from sqlalchemy import delete"),
            ("service.common.contract.parsing", "from sqlalchemy import *"),
            ("service.common.middleware.backend", "from sqlalchemy import select"),
        ],
    ),
    (
        environment_readers,
        [
            ("service.foss.domain", "import os\nkey = os.environ['KEY']"),
            ("service.asgi", "import os\nkey = os.getenv('KEY')"),
            ("service.__main__", "from os import environ"),
            ("service.logs", "from os import getenv as get"),
        ],
    ),
    (settings_readers, [("service.common.database.engine", "settings = load_settings()")]),
    (
        committers,
        [
            ("service.foss.backend", "async def f(s):\n    await s.commit()"),
            ("service.foss.domain", "async def f(s):\n    async with s.begin():\n        pass"),
            ("service.common.database.database", "def f(s):\n    s.commit()\n    s.commit()"),
        ],
    ),
    (undocumented, [("service.foss.domain", "x = 1\n")]),
]


@pytest.mark.parametrize("rule", [rule for rule, _ in SOURCE_RULES])
def test_no_module_breaks_a_rule(rule: Callable[[str, str], list[str]]) -> None:
    found = {module: rule(module, source) for module, source in sources().items()}

    assert {module: broken for module, broken in found.items() if broken} == {}


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [(rule, module, source) for rule, forbidden in SOURCE_RULES for module, source in forbidden],
)
def test_a_forbidden_line_would_be_reported(
    rule: Callable[[str, str], list[str]], module: str, source: str
) -> None:
    assert len(rule(module, source)) == 1


def test_the_one_commit_line_is_there() -> None:
    assert sources()["service.common.database.database"].count(".commit()") == 1


# Rules over the assembled application.


def functions_of(app: App) -> dict[str, Callable[..., Any]]:
    """Return every hook, handler and view of an application."""
    found: dict[str, Callable[..., Any]] = {}
    hooks: dict[str, Mapping[Any, list[Callable[..., Any]]]] = {
        "before_request": app.before_request_funcs,
        "after_request": app.after_request_funcs,
        "teardown_request": app.teardown_request_funcs,
        "before_websocket": app.before_websocket_funcs,
        "after_websocket": app.after_websocket_funcs,
        "teardown_websocket": app.teardown_websocket_funcs,
    }
    for kind, by_scope in hooks.items():
        for scope, functions in by_scope.items():
            for function in functions:
                found[f"{kind} {scope} {function.__name__}"] = function
    servings: dict[str, list[Callable[..., Any]]] = {
        "before_serving": app.before_serving_funcs,
        "after_serving": app.after_serving_funcs,
        "teardown_appcontext": app.teardown_appcontext_funcs,
    }
    for kind, functions in servings.items():
        for function in functions:
            found[f"{kind} {function.__name__}"] = function
    for scope, by_code in app.error_handler_spec.items():
        for code, by_class in by_code.items():
            for error, function in by_class.items():
                found[f"error {scope} {code} {error.__name__}"] = function
    for name, function in app.view_functions.items():
        found[f"view {name}"] = function
    return found


def synchronous(app: App) -> list[str]:
    """Quart sends each synchronous function through a thread."""
    return [
        name
        for name, function in functions_of(app).items()
        if not inspect.iscoroutinefunction(function)
    ]


def assembled() -> App:
    return create_app(Settings(secure_api_key="0123456789abcdef"))


def test_every_hook_handler_and_view_is_a_coroutine_function() -> None:
    app = assembled()

    assert synchronous(app) == []
    assert {"view health.readyz", "before_request None check_route"} <= set(functions_of(app))
    assert any(name.startswith("error ") for name in functions_of(app))
    assert any(name.startswith("after_request ") for name in functions_of(app))
    assert any(name.startswith("teardown_request ") for name in functions_of(app))


def test_a_synchronous_hook_handler_or_view_would_be_reported() -> None:
    app = assembled()

    @app.before_request
    def before() -> None: ...

    @app.teardown_request
    def teardown(error: BaseException | None) -> None: ...

    @app.errorhandler(KeyError)
    def handler(error: KeyError) -> str:
        return str(error)

    @app.get("/sync")
    def view() -> str:
        return ""

    assert synchronous(app) == [
        "before_request None before",
        "teardown_request None teardown",
        "error None None KeyError",
        "view view",
    ]


def test_every_view_has_a_docstring_and_a_name_of_its_own() -> None:
    app = assembled()
    views = {
        name: view
        for name, view in app.view_functions.items()
        if within(view.__module__, "service")
    }
    names = [name.rpartition(".")[2] for name in views]

    assert "health.readyz" in views
    assert [name for name, view in views.items() if not view.__doc__] == []
    assert len(names) == len(set(names))


def test_applications_share_nothing_that_changes() -> None:
    first, second = assembled(), assembled()

    assert first.database is not second.database
    assert first.url_map is not second.url_map
    assert set(first.view_functions) == set(second.view_functions)
