"""The documentation as a site: what is made of yamls and notebooks, and that the whole is built without a warning."""

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from documents import PAGES, spans
from yamls import GROUPS

from vae_exp.config.paths import CONFIG_DIR

ROOT = Path(__file__).parents[2]
ATTRIBUTES = {"trainer.callback_metrics", "trainer.global_step", "trainer.logger"}
"""What looks like a key and is an attribute of Lightning's Trainer."""


def hook(name):
    spec = spec_from_file_location(f"site_{name}", ROOT / "scripts" / "site" / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keys():
    return hook("keys")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, or the messages of the builder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_the_site_is_built_and_loads_nothing_from_the_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?([^\" >]*)", page.read_text())
        assert [target for target in loaded if re.match(r"(?:https?:)?//", target)] == [], page
        assert re.findall(r"<p>(?:python|vae_exp|pip) .*", page.read_text()) == [], f"{page}: a command became prose"
    for style in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//[^)]*|@import[^;]*//[^;]*", style.read_text()) == [], style


def test_the_site_has_the_notebook_with_its_pictures_and_the_docstrings(site):
    page = (site / "notebooks" / "first_steps.html").read_text()
    assert re.search(r"src=\"?first_steps_0\.png", page)
    assert (site / "notebooks" / "first_steps_0.png").read_bytes().startswith(b"\x89PNG")
    assert "Map features" in (site / "api" / "likelihood.html").read_text()
    assert "LayerNormEncoder" in (site / "own_project.html").read_text()


def test_every_group_has_a_page_with_every_choice(keys):
    assert set(keys.GROUPS) == GROUPS - {"hydra/hydra_logging", "hydra/job_logging"}
    for group in keys.GROUPS:
        page = keys.group_page(group)
        for path in (CONFIG_DIR / group).glob("*.yaml"):
            named = f"## `{path.stem}`" if group == "experiment" else f"## `{group}={path.stem}`"
            assert (named in page) == (path.stem != "object")


@pytest.mark.parametrize(
    ("group", "row"),
    [
        ("likelihood", "| `likelihood.mean` | `sigmoid` | `sigmoid` `identity` | sigmoid of the features; identity:"),
        ("likelihood", "| `likelihood.scale` | `1.0` | number > 0 | the fixed scale"),  # of an abstract class
        ("dataset", "| `dataset.source.size` | `64` | whole number ≥ 1 | height and width of the reduced images |"),
        ("dataset", "| `dataset.source.path` | needed | text |"),
        ("architecture/corruption", "| `architecture.corruption.rate` | `0.25` | number ≥ 0 and &lt; 1 |"),
        ("architecture", "| `architecture.alpha` | `10` | number ≥ 0 | weight of the mean of −log q(y\\|x)"),
        ("trainer", "| `trainer.devices` | `2` | whole number ≥ 1 or `-1` `auto` or list of: whole number ≥ 0 |"),
        ("callbacks/stop", "| `callbacks.stop.patience` | `3` | whole number ≥ 1 |"),
        ("hydra/launcher", "| `hydra.launcher.jobs` | `null` | whole number ≥ 1 or `null` |"),
        ("experiment", "    python -m vae_exp -m +experiment=figure3\n"),
    ],
)
def test_a_key_has_its_default_its_annotation_and_its_comment(keys, group, row):
    assert row in keys.group_page(group)


def test_a_comment_that_goes_on_is_read_whole(keys):
    (beta,) = [key for key in keys.read_yaml(CONFIG_DIR / "architecture" / "vae.yaml").keys if key.path == "beta"]
    assert beta.meaning.startswith("weight of the KL term in the loss;")
    assert beta.meaning.endswith("both may have final: the weight at the top")


def test_keys_without_a_group_and_arguments_of_commands_are_listed(keys):
    assert "| `seed` | `0` | whole number ≥ 0 and &lt; 2³¹ |" in keys.root_page()
    assert "| `hmc_begin_at` | `prior` | `prior` `encoder` | Where its chains begin" in keys.commands_page()
    assert "## `list`\n\n    python -m vae_exp list [<folder or glob> …] [key=value …]\n" in keys.commands_page()


def names(keys):
    """Every key that a yaml has, or that the constructor of what it builds takes."""
    annotations = hook("annotations")
    for group in keys.GROUPS:
        for path in (CONFIG_DIR / group).glob("*.yaml") if group != "experiment" else ():
            read, prefix = keys.read_yaml(path), keys.prefix_of(group)
            yield from (f"{prefix}.{key.path}" for key in read.keys)
            for parent, target in read.targets.items():
                place = annotations.resolve(target)
                node = ".".join(filter(None, [prefix, parent]))
                yield from (f"{node}.{name}" for name in (annotations.arguments(place) if place else ()))
                yield f"{node}._target_"


def test_every_key_that_a_page_names_exists(keys):
    known = {*names(keys)}
    roots = {keys.prefix_of(group) for group in keys.GROUPS if not group.startswith(("experiment", "hydra"))}
    form = re.compile(rf"[+~]*((?:{'|'.join(map(re.escape, roots))})(?:\.(?!py\b)\w+)+)(?:=.*)?")
    found = {(span, page.name) for page in PAGES for span in spans(page)}
    named = {(match[1], page) for span, page in found for word in span.split() if (match := form.fullmatch(word))}
    assert len(named) > 60
    assert {(key, page) for key, page in named if key not in known | ATTRIBUTES} == set()


def test_every_choice_of_a_part_that_a_page_names_exists(keys):
    groups = [group for group in keys.GROUPS if not group.startswith("hydra")]
    form = re.compile(rf"\+?({'|'.join(groups)})=([\w|]+)")
    words = {(word, page.name) for page in PAGES for span in spans(page) for word in span.split()}
    named = {
        (match[1], choice, page)
        for word, page in words
        if (match := form.fullmatch(word))
        for choice in match[2].split("|")
    }
    assert len(named) > 40
    assert {each for each in named if not (CONFIG_DIR / each[0] / f"{each[1]}.yaml").exists()} == set()


def test_a_link_to_a_file_outside_the_pages_becomes_its_name():
    links = hook("links")
    text = "[the schema](../vae_exp/config/schema.py), [`conf`](../conf), [parts](own_parts.md), [x](https://a.b/c)"
    assert links.rewritten(text, "page.md") == (
        "the schema (`vae_exp/config/schema.py`), `conf`, [parts](own_parts.md), [x](https://a.b/c)"
    )
    example = "[a folder](../examples/own_project/)"
    assert links.rewritten(example, "page.md") == "[a folder](own_project.md)"
    assert (
        links.rewritten("[a folder](../../examples/own_project)", "notebooks/a.ipynb")
        == "[a folder](../own_project.md)"
    )


def test_a_notebook_is_shown_with_what_it_prints_and_draws():
    picture = {"output_type": "execute_result", "data": {"image/png": "iVBORw0K", "text/plain": "<Figure>"}}
    printed = {"output_type": "stream", "text": ["\x1b[36mone\x1b[0m\n", "two\n"]}
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": "f()", "outputs": [printed, picture]},
    ]
    text, pictures = hook("notebooks").as_markdown(json.loads(json.dumps({"cells": cells})), "first")
    assert text == (
        '# Title\n\n```python\nf()\n```\n\n??? note "What this prints"\n\n    ```text\n    one\n    two\n    ```\n\n'
        "![What the cell above draws](first_0.png)\n"
    )
    assert pictures == {"first_0.png": b"\x89PNG\r\n"}
