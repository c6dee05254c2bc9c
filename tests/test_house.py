"""The rules of the house that no other tool holds: sizes, lock, documents that cannot rot."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

from streams.reasons import Reason

ROOT = Path(__file__).resolve().parent.parent
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 70
COLUMNS = 100

#: The interpreter's dispatch loops: one branch an operation, so they are as long as the language.
LONG_FUNCTIONS = frozenset({"rules/interpret.py:_run"})
#: What may stand beyond the page, as ruff has it.
PRAGMA = re.compile(r"\s*# (noqa: |type: ignore\[).*$")
#: Hosts that a lock file, a script or a document would name if it preferred one package index.
INDEX_HOSTS = re.compile(
    r"\b(pypi\.org|pythonhosted\.org|mirrors?\.[a-z]+\.(com|cn|org)|--(extra-)?index-url)"
)


@cache
def files() -> tuple[Path, ...]:
    """Every text of the repository that git would keep, known to it already or not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        found = [ROOT / name for name in names.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # an export without git
        found = [path for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def sources() -> tuple[Path, ...]:
    return tuple(path for path in files() if path.suffix == ".py")


@cache
def documents() -> tuple[Path, ...]:
    return tuple(path for path in files() if path.suffix == ".md")


def commands(document: Path) -> list[str]:
    """The blocks of commands of a document (```sh, bash or console), without prompts and output.

    For tests that run what a README tells people to type.
    """
    blocks = []
    text = document.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "console":
            lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
            blocks.append("\n".join(lines))
        elif language in ("sh", "bash"):
            blocks.append(block.strip())
    return blocks


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_files_fit_a_room() -> None:
    long = {
        shown(path): count
        for path in sources()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LINES_OF_A_FILE
    }
    assert not long, f"split by what changes together: {long}"


def test_functions_fit_a_screen() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{shown(path)}:{node.name}"
                if count > LINES_OF_A_FUNCTION and name not in LONG_FUNCTIONS:
                    long[name] = count
    assert not long, f"move the leaves out: {long}"


def test_lines_fit_the_page() -> None:
    wide = [
        f"{shown(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(PRAGMA.sub("", line)) > COLUMNS
    ]
    assert not wide, wide


def test_no_package_index_is_named() -> None:
    names = [
        f"{shown(path)}: {found.group()}"
        for path in files()
        if path.suffix in {".lock", ".toml", ".cfg", ".yaml", ".yml", ".md", ".sh", ".py", ""}
        and path != Path(__file__).resolve()
        and (found := INDEX_HOSTS.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not names, names


def test_the_lock_has_exact_versions_and_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) > 10
    loose = [
        line
        for line in lines
        if not re.match(r"[a-z0-9-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]
    assert not loose, loose


def test_the_lock_holds_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    names = {re.split(r"[<>=!~\[ ;]", one)[0].lower().replace(".", "-") for one in wanted}
    assert names <= set(locked), names - set(locked)


def test_exceptions_of_the_linter_are_argued() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = re.findall(r'^    "[A-Z]+\d*",.*$', text, re.MULTILINE)
    bare = [line for line in lines if "# " not in line]
    assert not bare, bare


def test_every_exception_in_the_code_names_its_rule() -> None:
    bare = [
        f"{shown(path)}:{number}"
        for path in sources()
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*(noqa(?!: [A-Z])|type: ignore(?!\[))", line)
    ]
    assert not bare, bare


def test_every_reason_of_intake_is_documented() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents())
    missing = [reason.value for reason in Reason if f"`{reason.value}`" not in text]
    assert not missing, missing


@pytest.mark.parametrize("document", documents(), ids=shown)
def test_every_command_of_a_document_parses(document: Path) -> None:
    for block in commands(document):
        checked = subprocess.run(
            ["bash", "-n"], input=block, text=True, capture_output=True, check=False
        )
        assert checked.returncode == 0, f"{block}\n{checked.stderr}"


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{shown(path)}: {target}"
        for path in documents()
        for target in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not broken, broken
