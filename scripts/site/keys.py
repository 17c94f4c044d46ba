"""A hook of MkDocs: pages of all groups, keys and commands, from the yamls of conf/ and the constructors' annotations.

Nothing is imported from the package: the yamls and the source files are read. So the pages need no torch.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mkdocs.structure.files import File, Files

sys.path.append(str(Path(__file__).parent))  # MkDocs loads a hook by its path
from annotations import Place, argument, assigns, module_of, resolve, summary

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"

LATE = "---\nsearch:\n  boost: 0.3\n---\n\n"
"""The head of a page that a search shows after those that explain."""

GROUPS = {
    "dataset": "The images, their splits and their batches.",
    "architecture": "What is trained: an autoencoder, a variational autoencoder, a model of labels.",
    "architecture/corruption": "What is done to the images before a denoising autoencoder sees them. Write "
    "`+architecture/corruption=` for an architecture that has none yet.",
    "head": "A classifier on the code.",
    "likelihood": "p(x|z): what the features of the decoder mean. [Which one](../likelihoods.md)",
    "network": "The encoder's and the decoder's layers. [Which one](../family.md#networks)",
    "objective": "How a variational model is trained.",
    "prior": "p(z): which latents are usual. [Which one](../beyond.md)",
    "posterior": "q(z|x): what the features of the encoder mean. [Which one](../beyond.md)",
    "optimizer": "How a gradient becomes an update.",
    "scheduler": "How the learning rate changes. [Schedules](../schedules.md)",
    "trainer": "The device, the precision and the engine. [How fast](../performance.md)",
    "logger": "Where metrics and figures go, beside the files of the run.",
    "callbacks": "Evaluations, figures, checkpoints and the bar. [Your own](../callbacks.md)",
    "callbacks/stop": "When a run ends before its budget. [Early stopping](../callbacks.md)",
    "experiment": "A combination of parts and values that has a name. Write `+experiment=`, with a plus.",
    "hydra/launcher": "Where the jobs of a sweep run. [Which launcher](../scaling.md)",
    "hydra/sweeper": "Which jobs a sweep has. [Search](../search.md)",
}
"""The groups that have a page, and what the page says first."""

API = {
    "vae_exp": [
        "vae_exp.api.train.train",
        "vae_exp.api.sweep.sweep",
        "vae_exp.api.load.load_run",
        "vae_exp.results.run.Run",
        "vae_exp.results.swept.Sweep",
        "vae_exp.errors",
    ],
    "dataset": [
        "vae_exp.dataset.base",
        "vae_exp.dataset.dataset.Dataset",
        "vae_exp.dataset.tensors.Tensors",
        "vae_exp.dataset.arrays",
        "vae_exp.dataset.folder",
    ],
    "architecture": ["vae_exp.architecture", "vae_exp.corruption"],
    "likelihood": ["vae_exp.likelihood"],
    "network": ["vae_exp.network"],
    "objective": ["vae_exp.objective"],
    "prior_and_posterior": ["vae_exp.prior", "vae_exp.posterior"],
    "training": ["vae_exp.optimizer", "vae_exp.scheduler", "vae_exp.training.settings", "vae_exp.training.evaluation"],
    "evaluation": [
        "vae_exp.evaluation.bounds",
        "vae_exp.evaluation.marginal_likelihood",
        "vae_exp.evaluation.information",
        "vae_exp.evaluation.representation",
    ],
}
"""The pages of the Python API, and what each shows. A folder stands for all its modules, abstract classes first."""


LINE = re.compile(r"^( *)([\w()-]+):(?: +([^#\s].*?))?(?:\s+# (.*))?$")


@dataclass
class Key:
    """One key of a yaml.

    Attributes:
        path: The key below the yaml, such as `source.size`.
        default: The value as it is written; None for a key that holds others.
        meaning: The comment behind it.
    """

    path: str
    default: str | None
    meaning: str = ""


@dataclass
class Yaml:
    """What one yaml of conf/ says.

    Attributes:
        header: The comment at its beginning.
        keys: Its keys, in the written order.
        targets: The class or function of each node; the yaml's own is at "".
        base: The choices of the same group that it begins with.
    """

    header: str = ""
    keys: list[Key] = field(default_factory=list)
    targets: dict[str, str] = field(default_factory=dict)
    base: list[str] = field(default_factory=list)


def file_name(group: str) -> str:
    """The page of a group."""
    return f"keys/{group.replace('/', '_')}.md"


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for every group, one for the keys without a group, and one for the commands."""
    for group in GROUPS:
        files.append(File.generated(config, file_name(group), content=group_page(group)))
    for name, modules in API.items():
        files.append(File.generated(config, f"api/{name}.md", content=api_page(name, modules)))
    files.append(File.generated(config, "keys/root.md", content=root_page()))
    files.append(File.generated(config, "keys/commands.md", content=commands_page()))
    files.append(File.generated(config, "own_project.md", content=example_page(ROOT / "examples" / "own_project")))
    return files


def api_page(name: str, modules: list[str]) -> str:
    """Return a page of docstrings, which mkdocstrings fills."""
    found = [module for listed in modules for module in modules_of(listed)]
    return f"{LATE}# {name.replace('_', ' ')}\n\n" + "".join(f"::: {module}\n\n" for module in found)


def modules_of(name: str) -> list[str]:
    """Return the modules of a folder of the package; what is no folder stays as it is."""
    paths = (ROOT / name.replace(".", "/")).glob("*.py")
    stems = sorted((path.stem for path in paths if path.stem != "__init__"), key=lambda stem: (stem != "base", stem))
    return [f"{name}.{stem}" for stem in stems] or [name]


def group_page(group: str) -> str:
    """Return the page of one group."""
    choices = sorted(path for path in (CONF / group).glob("*.yaml") if path.stem != "object")
    body = [_experiment(path) if group == "experiment" else _choice(group, path) for path in choices]
    return f"{LATE}# `{group}=`\n\n{GROUPS[group]}\n\n" + "\n\n".join(body) + "\n"


def _experiment(path: Path) -> str:
    text = path.read_text(encoding="utf-8").removeprefix("# @package _global_\n")
    flag = "-m " if "\n  sweeper:" in text else ""
    header = _header(text.splitlines())
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip("\n")
    command = f"python -m vae_exp {flag}+experiment={path.stem}"
    return f"## `{path.stem}`\n\n{header}\n\n    {command}\n\n```yaml\n{body}\n```"


def _choice(group: str, path: Path) -> str:
    read = read_yaml(path)
    for base in map(read_yaml, [path.parent / f"{base}.yaml" for base in read.base]):
        read.targets = base.targets | read.targets
        meanings = {key.path: key.meaning for key in base.keys}
        for key in read.keys:
            key.meaning = key.meaning or meanings.get(key.path, "")
    prefix = prefix_of(group)
    words = [f"## `{group}={path.stem}`"]
    place = resolve(read.targets.get("", "")) if read.targets.get("", "").startswith(("vae_exp", "hydra_")) else None
    about = summary(place) if place and not read.base else ""
    words += [text for text in (about, read.header) if text]
    if read.base:
        words.append("It begins with " + " and ".join(f"`{group}={base}`" for base in read.base) + ".")
    if rows := [_row(prefix, key, read) for key in read.keys if key.default is not None]:
        words.append(_table(rows))
    elif not read.base:
        words.append("It has no keys.")
    return "\n\n".join(words)


def prefix_of(group: str) -> str:
    """Return what the keys of a group begin with on the command line."""
    return "callbacks" if group == "callbacks/stop" else group.replace("/", ".")


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows])


def _escaped(cell: str) -> str:
    """Escape what Markdown would read as a column or a tag, except in code."""
    parts = re.split(r"(`[^`]*`)", cell.replace("|", "\\|"))
    return "".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def _row(prefix: str, key: Key, read: Yaml) -> tuple[str, str, str, str]:
    parent, _, name = key.path.rpartition(".")
    place = resolve(read.targets.get(parent, ""))
    default = "needed" if key.default == "???" else f"`{key.default}`"
    kind, documented = argument(place, name) if place else ("", "")
    return f"`{prefix}.{key.path}`" if prefix else f"`{key.path}`", default, kind, key.meaning or documented


def root_page() -> str:
    """Return the page of the keys that have no group."""
    read = read_yaml(CONF / "config.yaml")
    read.targets = {"": "vae_exp.config.assembly.Root", "paths": "vae_exp.config.assembly.Paths"}
    rows = [_row("", key, read) for key in read.keys if key.default is not None and not key.path.startswith("hydra")]
    return f"# Keys without a group\n\n{_table(rows)}\n"


def commands() -> list[str]:
    """Return the names of the commands, without `train`, whose keys are those of the groups."""
    tree = module_of("vae_exp.cli.main")
    names = next(ast.literal_eval(node.value) for node in tree.body if assigns(node, "COMMANDS"))
    return [name for name in names if name != "train"]


def commands_page() -> str:
    """Return the page of the commands, from their help texts and functions."""
    text = ["# Arguments of the commands"]
    for command in commands():
        tree = ast.parse((ROOT / "vae_exp" / "cli" / f"{command}.py").read_text(encoding="utf-8"))
        usage = next(ast.literal_eval(node.value) for node in tree.body if assigns(node, "USAGE"))
        text += [f"## `{command}`", "\n".join(f"    {line}".rstrip() for line in usage.strip("\n").splitlines())]
        function = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == command), None)
        if function is None:
            continue
        place = Place(tree, function)
        text.append(summary(place))
        rows = [
            (f"`{name}`", f"`{default}`" if default else "needed", *argument(place, name))
            for name, default in _defaults(function)
        ]
        text.append(_table(rows))
    return "\n\n".join(text) + "\n"


def _defaults(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    arguments = function.args.args
    missing = len(arguments) - len(function.args.defaults)
    for i, each in enumerate(arguments):
        default = ast.unparse(function.args.defaults[i - missing]).strip("'") if i >= missing else ""
        yield each.arg, {"None": "null"}.get(default, default)


def example_page(folder: Path) -> str:
    """Return a page with all files of the example project."""
    readme = (folder / "README.md").read_text(encoding="utf-8").replace("](../../docs/", "](")
    text = [LATE + readme.strip("\n")]
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".yaml", ".toml") and path.read_text(encoding="utf-8").strip():
            language = {".py": "python", ".yaml": "yaml", ".toml": "toml"}[path.suffix]
            body = path.read_text(encoding="utf-8").strip("\n")
            text.append(f"## `{path.relative_to(folder)}`\n\n```{language}\n{body}\n```")
    return "\n\n".join(text) + "\n"


def read_yaml(path: Path) -> Yaml:
    """Read the keys of a yaml with their comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    read = Yaml(header=_header(lines))
    for entry in (yaml.safe_load("\n".join(lines)) or {}).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            read.base.append(entry.partition("@")[0])
    above: list[tuple[int, str]] = []
    in_defaults = False
    for line in lines:
        found = LINE.match(line)
        if found is None:
            if read.keys and above and re.match(r"^ +# ", line):  # a comment that goes on
                read.keys[-1].meaning += " " + line.strip(" #")
            continue
        depth, name, value, comment = len(found[1]), found[2], found[3], found[4]
        in_defaults = name == "defaults" if depth == 0 else in_defaults
        if in_defaults:
            continue
        above = [(d, n) for d, n in above if d < depth]
        parent = ".".join(n for _, n in above)
        if name == "_target_":
            read.targets[parent] = value
        elif not name.startswith("_") and name != "()":
            read.keys.append(Key(f"{parent}.{name}" if parent else name, value, comment or ""))
        above.append((depth, name))
    return read


def _header(lines: list[str]) -> str:
    comments = []
    for line in lines:
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    return " ".join(comments)
