"""The servers that testcontainers starts, where TEST_WITH_DOCKER=1 asks for them: do they work?"""

from pathlib import Path

import pytest

from tests.support.cli import REPOSITORY, Headrace
from tests.support.engine import missing_for, need_engine
from tests.support.servers import POSTGRES_IMAGE, REDIS_IMAGE, available_servers, create_database

pytestmark = pytest.mark.timeout(600)


def test_a_pipeline_runs_on_the_servers_that_docker_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testcontainers.core.config import testcontainers_config

    need_engine(POSTGRES_IMAGE, REDIS_IMAGE)
    if missing_for(testcontainers_config.ryuk_image) is not None:
        # It removes what a killed test leaves behind, and this test stops its containers itself.
        monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)

    with available_servers(tmp_path / "unused", {"TEST_WITH_DOCKER": "1"}) as servers:
        headrace = Headrace(
            REPOSITORY,
            {
                "DATABASE_URL": create_database(servers.database_url),
                "REDIS_URL": servers.redis_url,
                "HEADRACE_HOME": str(tmp_path / "home"),
            },
        )
        upgraded = headrace("db", "upgrade")
        assert upgraded.code == 0, upgraded.err
        ran = headrace("run", "demo", timeout=200)

    assert ran.code == 0, ran.out + ran.err
    assert "completed: 4 steps" in ran.out
    assert not (tmp_path / "unused").exists()
