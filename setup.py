"""Maps the folders of the repository to the package `headrace`; all else is in pyproject.toml."""

from setuptools import find_packages, setup

# The schemas are data; without them no file can be checked.
FOLDERS = {"headrace": "runner", "headrace.jobs": "jobs", "headrace.schema": "schema"}

setup(
    package_dir=FOLDERS,
    packages=[
        name
        for package, folder in FOLDERS.items()
        for name in (package, *(f"{package}.{found}" for found in find_packages(folder)))
    ],
)
