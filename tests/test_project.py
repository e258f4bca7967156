"""The project itself: lint, types, hooks, wheel, README."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.tools


def run(*words, cwd=ROOT, **environment):
    done = subprocess.run(
        words,
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_lint():
    run(sys.executable, "-m", "ruff", "check", ".")
    run(sys.executable, "-m", "ruff", "format", "--check", ".")


def test_types():
    if (
        shutil.which("pyright") is None
        and not Path(sys.executable).with_name("pyright").exists()
    ):
        pytest.skip("pyright is not installed (extra test)")
    # Their types are needed where they are used; without them those files differ.
    pytest.importorskip("torch")
    pytest.importorskip("sphinx")
    run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable)


def test_hooks_are_configured():
    if shutil.which("pre-commit") is None:
        pytest.skip("pre-commit is not installed (extra dev)")
    run("pre-commit", "validate-config")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the sdist, and from it the wheel, as pip does for those without one."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("built")
    source = out / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    run(sys.executable, "-m", "build", "--outdir", str(out), cwd=source)
    return out


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.mark.slow
def test_sdist_has_what_the_project_needs(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"}
    needed |= {"tests/conftest.py", "paper_figures/__main__.py", "docs/theory.md"}
    assert needed <= names
    assert not any(name.startswith(("runs/", ".")) for name in names if name)


def test_wheel_has_everything(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packaged = {name for name in names if name.startswith("prefiqs_jax/")}
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "prefiqs_jax").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_installs_and_runs(wheel, tmp_path):
    environment = tmp_path / "venv"
    # The dependencies are those of this environment: what is tested is the wheel.
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    target = run(str(python), "-c", purelib).strip()
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
        "--target", target, str(wheel))  # fmt: skip
    ours = run(sys.executable, "-c", purelib).strip()
    where = run(
        str(python),
        "-c",
        "import prefiqs_jax; print(prefiqs_jax.__file__)",
        cwd=tmp_path,
    )
    assert str(environment) in where
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"settings": {"backbone": "sface"}}')
    text = run(
        str(python),
        "-c",
        f"import sys; sys.path.append({ours!r});"
        "from prefiqs_jax.cli import main; main(['backbones']);"
        "main(['cite', 'run'])",
        cwd=tmp_path,
    )
    assert "sface" in text
    assert "@inproceedings{kolf2026prefiqs," in text


def test_bounds_and_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all(">=" in requirement for requirement in project["dependencies"])
    assert not any("torch" in r for r in project["dependencies"])
    extras = project["optional-dependencies"]
    assert {"torch", "test", "dev"} <= set(extras)
    assert not any(r.startswith("torch") for r in extras["test"] + extras["dev"])


def test_readme_shows_what_exists():
    from prefiqs_jax.cli.main import parser

    text = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"<!-- main command -->\n```bash\n(.*?)```", text, re.S)
    for words in re.findall(r"prefiqs (.*?)(?: &&|\n\Z|\Z)", command, re.S):
        parser().parse_args(words.replace("\\\n", " ").split())
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", text):
        assert (ROOT / link).exists(), link


def test_nothing_of_this_machine_is_named():
    words = re.compile(r"/(?:root|home|work|tmp)/\w")
    tracked = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *(ROOT / "prefiqs_jax").rglob("*.py"),
        *(ROOT / "experiments").rglob("*"),
        *(ROOT / "analysis").rglob("*.py"),
    ]
    for path in tracked:
        if path.is_file() and path.suffix in (".md", ".py", ".json"):
            assert not words.search(path.read_text()), path
