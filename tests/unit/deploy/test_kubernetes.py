"""The manifests in deploy/kubernetes, against the API's schemas; no cluster is asked."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg2
import pytest
import yaml
from jsonschema import Draft202012Validator

from headrace.declarations.config import load_settings
from headrace.model.version import __version__

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "kubernetes"
# The oldest release that still gets fixes somewhere, and the newest that the package knows.
VERSIONS = ("1.30.0", kubernetes_validate.latest_version())
KEDA = json.loads((Path(__file__).parent / "keda.schema.json").read_text())
PROGRAMS = ("daemon", "worker", "web")
SECRETS = ("DATABASE_URL", "REDIS_URL", "HEADRACE_API_TOKEN")


def written() -> Iterator[dict[str, Any]]:
    """Yield what stands in the files that the kustomization lists."""
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(
        path.name
        for path in FOLDER.glob("*.yaml")
        if path.name not in ("kustomization.yaml", "config.yaml")
    )
    for name in listed:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def validate(resource: dict[str, Any]) -> None:
    if resource["apiVersion"].startswith("keda.sh/"):
        Draft202012Validator(KEDA).validate(resource)
        return
    for version in VERSIONS:
        kubernetes_validate.validate(resource, version, strict=True)


def named(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in written() if (one["kind"], one["metadata"]["name"]) == (kind, name))


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in written():
        if resource["kind"] in ("Deployment", "Job"):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "resource", list(written()), ids=lambda one: f"{one['kind']} {one['metadata']['name']}"
)
def test_each_manifest_is_what_the_api_takes(resource: dict[str, Any]) -> None:
    validate(resource)


def test_a_typing_error_would_be_found() -> None:
    wrong = named("Deployment", "headrace-web")
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)
    scaled = named("ScaledObject", "headrace-worker")
    scaled["spec"]["maxReplicas"] = 3
    assert list(Draft202012Validator(KEDA).iter_errors(scaled))


def test_kustomize_puts_them_together() -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl here")
    built = subprocess.run(
        [program, "kustomize", str(FOLDER)], capture_output=True, text=True, check=True
    ).stdout
    resources = list(yaml.safe_load_all(built))
    for resource in resources:
        validate(resource)
    assert {one["metadata"].get("namespace", "headrace") for one in resources} == {"headrace"}
    images = {
        container["image"]
        for one in resources
        if one["kind"] in ("Deployment", "Job")
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"registry.example.com/headrace:{__version__}"}


def test_the_migration_bears_the_version_of_the_image() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]
    named("Job", f"headrace-migrate-{__version__}")


def test_no_pod_has_privileges_and_every_secret_is_a_reference() -> None:
    assert len(list(pods())) > 2
    for name, pod in pods():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        for variable in container["env"]:
            assert (variable["name"] in SECRETS) == ("valueFrom" in variable)
    assert not [one for one in written() if one["kind"] == "Secret"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_has_probes_a_budget_and_time_to_drain(program: str) -> None:
    pod = named("Deployment", f"headrace-{program}")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][0] == program
    assert {"startupProbe", "livenessProbe"} <= container.keys()
    assert ("readinessProbe" in container) == (program == "web")
    settings = load_settings({})
    assert pod["terminationGracePeriodSeconds"] > settings.grace_s + settings.kill_after_s
    budget = named("PodDisruptionBudget", f"headrace-{program}")["spec"]
    assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": f"headrace-{program}"}


def test_the_settings_in_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text((FOLDER / "config.yaml").read_text())
    settings = load_settings({"HEADRACE_CONFIG": str(tmp_path / "config.yaml")})
    assert settings.log_format == "json"


def test_the_query_that_scales_the_workers_counts_what_waits_or_runs(database: str) -> None:
    (trigger,) = named("ScaledObject", "headrace-worker")["spec"]["triggers"]
    line = psycopg2.connect(database)
    with line, line.cursor() as cursor:
        cursor.execute(
            "INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry)"
            " SELECT gen_random_uuid(), 'X', '{}', status, 'low', 1, '{}'"
            "   FROM unnest(ARRAY['queued', 'started', 'completed', 'waiting']) status"
        )
        cursor.execute(trigger["metadata"]["query"])
        assert cursor.fetchone() == (2,)
    line.close()
