"""Making `.venv`: what is done again, and what is not."""

import importlib.util
from pathlib import Path
from subprocess import CalledProcessError, CompletedProcess
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "tools" / "bootstrap.py"


class Machine:
    """Stands for venv and pip: notes what they are asked, and fails on demand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.broken = False
        self.uv_broken = False
        self.pip_settings = "global.cert='/etc/ssl/cert.pem'\n"

    def run(self, *command: str | Path) -> None:
        words = " ".join(map(str, command))
        self.asked.append(words)
        if "-r" in command and (self.broken or (self.uv_broken and command[0] == "/bin/uv")):
            raise CalledProcessError(1, list(map(str, command)))
        if "venv" in command:
            (self.root / ".venv" / "bin").mkdir(parents=True)
            (self.root / ".venv" / "bin" / "python").touch()

    def did(self) -> list[str]:
        done, self.asked = self.asked, []
        return done


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(bootstrap, tmp_path, monkeypatch) -> Machine:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / lock).write_text("one==1 \\\n    --hash=sha256:0\n")
    (tmp_path / "pyproject.toml").write_text("")
    for room in ("queue", "store"):
        (tmp_path / "runner" / room).mkdir(parents=True)
        (tmp_path / "runner" / room / "__init__.py").touch()
    made = Machine(tmp_path)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "IMPORTS", tmp_path / ".venv" / "imports")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(bootstrap, "_run", made.run)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    return made


@pytest.fixture
def with_uv(bootstrap: ModuleType, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/bin/{name}")
    for name in bootstrap._UV_INDEX:
        monkeypatch.delenv(name, raising=False)

    def settings(command: list[str], **_: object) -> CompletedProcess[str]:
        assert list(command)[-2:] == ["config", "list"]
        return CompletedProcess(command, 0, machine.pip_settings)

    monkeypatch.setattr(bootstrap.subprocess, "run", settings)
    return machine


def test_a_second_call_does_nothing(bootstrap, machine):
    assert bootstrap.main([]) == 0
    assert len(machine.did()) == 3
    assert bootstrap.main([]) == 0
    assert machine.did() == []


def test_the_development_packages_come_on_top(bootstrap, machine):
    bootstrap.main([])
    machine.did()

    assert bootstrap.main(["--dev"]) == 0
    (only,) = machine.did()
    assert only.endswith("requirements-dev.lock")


def test_a_changed_lock_makes_the_environment_anew(bootstrap, machine, tmp_path):
    bootstrap.main([])
    (tmp_path / "requirements.lock").write_text("one==2 \\\n    --hash=sha256:0\n")
    machine.did()

    bootstrap.main([])
    assert any(" venv " in command for command in machine.did())


def test_an_install_that_failed_is_begun_anew(bootstrap, machine, capsys):
    machine.broken = True
    assert bootstrap.main([]) == 1
    assert "failed: see above" in capsys.readouterr().err

    machine.broken = False
    machine.did()
    assert bootstrap.main([]) == 0
    assert any(" venv " in command for command in machine.did())


def test_a_moved_project_does_not_run_the_old_folders_code(
    bootstrap, machine, tmp_path, monkeypatch
):
    bootstrap.main([])
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path / "moved")
    (tmp_path / "moved").mkdir()
    (tmp_path / "requirements.lock").rename(tmp_path / "moved" / "requirements.lock")

    assert not bootstrap._made("requirements.lock")


def test_another_python_counts_only_when_it_is_asked_for(bootstrap, machine, monkeypatch):
    bootstrap.main([])
    monkeypatch.setattr(bootstrap.platform, "python_version", lambda: "3.99.0")

    assert bootstrap._made("requirements.lock")
    assert not bootstrap._made("requirements.lock", exact=True)


def links(root: Path) -> dict[str, Path]:
    package = root / ".venv" / "imports" / "headrace"
    return {link.name: link.resolve() for link in package.iterdir()}


def test_the_package_is_made_of_links_to_the_folders(bootstrap, machine, tmp_path):
    bootstrap.main([])

    rooms = {name: tmp_path / "runner" / name for name in ("queue", "store")}
    assert links(tmp_path) == {
        **rooms,
        "jobs": tmp_path / "jobs",
        "schema": tmp_path / "schema",
    }


def test_a_room_that_comes_or_goes_is_followed_without_an_install(bootstrap, machine, tmp_path):
    bootstrap.main([])
    machine.did()
    # As git leaves it: bytecode stays.
    (tmp_path / "runner" / "queue" / "__init__.py").unlink()
    (tmp_path / "runner" / "errors.py").touch()

    bootstrap.main([])

    assert links(tmp_path).keys() == {"errors.py", "store", "jobs", "schema"}
    assert machine.did() == []


def test_changed_metadata_are_installed_without_the_packages(bootstrap, machine, tmp_path):
    bootstrap.main([])
    machine.did()
    (tmp_path / "pyproject.toml").write_text("[project.scripts]\n")

    bootstrap.main([])

    (only,) = machine.did()
    assert only.endswith(f"-e {tmp_path}")


def installers(machine: Machine) -> list[str]:
    """Return the program of each install from a lock."""
    return ["uv" if "/bin/uv " in one else "pip" for one in machine.did() if " -r " in one]


def test_uv_installs_where_it_is_there(bootstrap, with_uv):
    bootstrap.main(["--dev"])
    assert installers(with_uv) == ["uv", "uv"]


def test_pip_installs_where_uv_fails_and_says_so(bootstrap, with_uv, capsys):
    with_uv.uv_broken = True
    assert bootstrap.main([]) == 0
    assert installers(with_uv) == ["uv", "pip"]
    assert "uv has failed: see above. pip installs instead." in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["global.index-url='https://our/simple'", ":env:.no-index='1'"])
def test_pip_installs_where_it_alone_has_been_told_of_an_index(
    bootstrap, with_uv, monkeypatch, setting
):
    with_uv.pip_settings += setting
    bootstrap.main([])
    assert installers(with_uv) == ["pip"]

    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://our/simple")
    (with_uv.root / "requirements.lock").write_text("one==2 \\\n    --hash=sha256:0\n")
    bootstrap.main([])
    assert installers(with_uv) == ["uv"]


def test_what_is_installed_is_neither_built_nor_taken_without_its_hash(bootstrap, with_uv):
    with_uv.uv_broken = True
    bootstrap.main([])
    for one in with_uv.did():
        assert " -r " not in one or "--require-hashes --only-binary :all:" in one
