"""The rooms of the package import only from rooms below them, and the package is quick to import."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import srcnn_lib

PACKAGE = Path(srcnn_lib.__file__).parent

# From top to bottom: a room may import from the rooms in the lines below its own, and from its own line.
ORDER = [
    ("commands",),
    ("notebook",),
    ("visualization",),
    ("training",),
    ("evaluation",),
    ("pretrained",),
    ("run",),
    ("inference",),
    ("weights", "foreign_weights", "onnx_file"),
    ("metrics",),
    ("data",),
    ("runtime",),
    ("activations", "kernel_projection"),
    ("model",),
    ("config",),
    ("errors",),
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}

PUBLIC = {
    "SRCNN", "TrainingConfig", "Run", "fit", "load", "save", "upscale", "evaluate", "degrade", "psnr", "ssim",
    "read_image", "write_image", "load_photographs", "InputError",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PACKAGES = [name for name, path in FILES.items() if path.name == "__init__.py"]


def room_of(module: str) -> str | None:
    """The room of a module; None for the package itself and its __main__."""
    room = module.split(".")[1] if "." in module else None
    return None if room == "__main__" else room


def shown(module: str) -> str:
    return str(FILES[module].relative_to(PACKAGE)) if module in FILES else module


def imports_of(module: str, tree: ast.AST) -> set[str]:
    """The modules of the package that some code imports, whether by `import` or `from … import`."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "srcnn_lib"}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = package.split(".")
                above = parents[: len(parents) - node.level + 1]
                source = ".".join([*above, *filter(None, [node.module])])
            if source.split(".")[0] == "srcnn_lib":
                # `from package import name` may import a module of that name.
                names = [f"{source}.{alias.name}" for alias in node.names]
                found |= {name if name in FILES else source for name in names}
    return found - {module}


def wrong_imports(module: str, imported: set[str]) -> list[str]:
    room = room_of(module)
    if room is None:
        return []
    wrong = []
    for target in sorted(imported):
        above = room_of(target)
        if above is None:
            wrong.append(f"{shown(module)} imports {target}: import from the room itself")
        elif LEVEL[above] < LEVEL[room]:
            wrong.append(f"{shown(module)} imports {above}, which lies above it")
    return wrong


def tree_of(module: str) -> ast.AST:
    return ast.parse(FILES[module].read_text("utf-8"))


def test_every_room_has_its_place_in_the_order():
    rooms = {room_of(module) for module in FILES} - {None}
    assert rooms == set(LEVEL), "a new room gets a line in ORDER, and in docs/architecture.md"


def test_rooms_import_only_from_rooms_below_them():
    wrong = [line for module in FILES for line in wrong_imports(module, imports_of(module, tree_of(module)))]
    for package in PACKAGES:
        if (stub := FILES[package].with_suffix(".pyi")).exists():  # the names that the package loads lazily
            wrong += wrong_imports(package, imports_of(package, ast.parse(stub.read_text("utf-8"))))
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "code",
    [
        "from ..commands import main",
        "from ..commands.main import app",
        "from srcnn_lib.commands import main",
        "import srcnn_lib.commands.main",
        "def function():\n    from ..commands import main",
        "if TYPE_CHECKING:\n    from ..commands import main",
    ],
)
def test_an_import_from_above_is_found_wherever_it_stands(code):
    module = "srcnn_lib.visualization.figures"
    found = wrong_imports(module, imports_of(module, ast.parse(code)))
    assert found == [f"{Path('visualization/figures.py')} imports commands, which lies above it"]


def top_level_imports(module: str) -> set[str]:
    """What importing a module imports at once: imports inside functions and for the type checker are left out."""

    def executed(body: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.append(node)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
                found += executed([*node.body, *node.orelse])
            elif isinstance(node, ast.Try | ast.With):
                found += executed(node.body)
        return found

    tree = tree_of(module)
    assert isinstance(tree, ast.Module)
    return imports_of(module, ast.Module(executed(tree.body), []))


def test_modules_do_not_import_each_other_in_a_circle():
    edges = {module: {name for name in top_level_imports(module) if name in FILES} for module in FILES}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        circle = path[path.index(module) :] if module in path else ()
        assert not circle, "imported in a circle: " + " → ".join(map(shown, [*circle, module]))
        if module not in finished:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            finished.add(module)

    for module in FILES:
        visit(module, ())


@pytest.mark.parametrize("name", PACKAGES)
def test_every_export_of_a_package_exists_and_none_hides_a_module(name):
    package = importlib.import_module(name)
    exports = getattr(package, "__all__", [])
    for export in exports:
        assert hasattr(package, export), f"{name}.__init__ exports {export}, which is not there"
    assert not {f"{name}.{export}" for export in exports} & set(FILES)


def test_the_package_exports_its_fifteen_names():
    assert set(srcnn_lib.__all__) == PUBLIC
    assert set(dir(srcnn_lib)) >= PUBLIC


def modules_and_seconds(code: str) -> tuple[list[str], float]:
    """Runs code in a new interpreter: the top-level modules that it imports, and its CPU time in seconds."""
    report = "import sys, time; print('\\n', time.process_time(), *{name.split('.')[0] for name in sys.modules})"
    found = subprocess.run(
        [sys.executable, "-c", f"import atexit; atexit.register(lambda: exec({report!r}))\n{code}"],
        capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60,
    )  # fmt: skip
    seconds, *modules = found.stdout.splitlines()[-1].split()
    return modules, float(seconds)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_no_torch(package):
    modules, _ = modules_and_seconds(f"import {package}")
    assert "torch" not in modules
    assert "numpy" not in modules


def test_help_imports_no_torch_and_answers_within_half_a_second():
    code = "import sys; sys.argv = ['srcnn', '--help']\nfrom srcnn_lib.commands.main import main; main()"
    runs = [modules_and_seconds(code) for _ in range(3)]
    assert all("torch" not in modules and "typer" in modules for modules, _ in runs)
    assert min(seconds for _, seconds in runs) < 0.5


def test_help_of_upscale_shows_every_option():
    import inspect

    from srcnn_lib.inference.options import InferenceOptions

    parameters = inspect.signature(srcnn_lib.upscale).parameters
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())
    assert set(InferenceOptions.__dataclass_fields__) < set(parameters)
    assert all(f"{name}:" in srcnn_lib.upscale.__doc__ for name in InferenceOptions.__dataclass_fields__)
