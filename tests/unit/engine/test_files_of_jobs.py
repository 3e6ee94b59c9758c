"""Which files of a folder of jobs are modules, and under which names."""

from pathlib import Path

import pytest

from headrace.engine.catalog.project_files import files_of

NAMES = {
    "__init__.py": None,
    "orders.py": "orders",
    "_own.py": "_own",
    "two.parts.py": None,
    "notes.txt": None,
    "shop/__init__.py": "shop",
    "shop/load.py": "shop.load",
    "shop/deep/clean.py": "shop.deep.clean",
    "tests/test_orders.py": None,
    "_private/one.py": None,
    "no-name/one.py": None,
    "folder.py/one.py": None,
    "texts/notes.txt": None,
    # A folder without modules takes no name.
    "orders/notes.txt": None,
}


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "jobs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("class Job: ...\n")
    return tmp_path / "jobs"


def test_modules_have_the_names_of_their_files_and_packages_come_before_them(jobs: Path) -> None:
    # A link that leads back to a folder above it has none of its modules a second time.
    (jobs / "shop" / "again").symlink_to(jobs)
    (jobs / "linked").symlink_to(jobs / "shop" / "deep")

    found = files_of(jobs)

    expected = {name: jobs / file for file, name in NAMES.items() if name is not None}
    assert found.modules == {**expected, "linked.clean": jobs / "linked" / "clean.py"}
    assert list(found.modules).index("shop") < list(found.modules).index("shop.load")
    assert found.clashes == []


def test_a_folder_of_the_name_of_a_file_clashes_with_it(jobs: Path) -> None:
    (jobs / "orders" / "other.py").write_text("class Other: ...\n")

    found = files_of(jobs)

    (clash,) = found.clashes
    assert clash.places == ("jobs/orders.py", "jobs/orders/")
    assert clash.names == {"orders", "Job", "Other"}
    assert not any(name.startswith("orders") for name in found.modules)
