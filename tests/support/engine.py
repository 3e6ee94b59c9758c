"""Finds out whether a Docker engine answers here and has the images that a test runs."""

import functools
import shutil
import subprocess
from typing import Any

import pytest


def need_engine(*images: str) -> None:
    """Skip the test, with its reason, where no engine answers or an image cannot be had."""
    if (why := missing_for(*images)) is not None:
        pytest.skip(why)


def missing_for(*images: str) -> str | None:
    """Return what is missing for running `images`, None if nothing; pulls those not here yet."""
    engine = _engine()
    if engine is None:
        return "no Docker engine answers"
    return next((why for image in images if (why := _missing(engine, image))), None)


def compose_command() -> list[str]:
    """Return the words that call Compose, the plugin before the program; skip without either."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    if (found := shutil.which("docker-compose")) is None:
        pytest.skip("an engine answers, but there is no Docker Compose")
    return [found]


@functools.cache
def _engine() -> Any:
    import docker
    from docker.errors import DockerException

    try:
        engine = docker.from_env(timeout=30)
        engine.ping()
    except (DockerException, OSError):
        return None
    return engine


@functools.cache
def _missing(engine: Any, image: str) -> str | None:
    from docker.errors import DockerException, ImageNotFound

    try:
        engine.images.get(image)
    except ImageNotFound:
        try:
            engine.images.pull(*image.rsplit(":", 1))
        except (DockerException, OSError) as error:
            return f"the image {image} is neither here nor in reach: {error}"
    return None
