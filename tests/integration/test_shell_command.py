"""ShellCommand runs programs that do not outlive their job."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.catalog.job_registry import Registry
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import Permissions
from headrace.jobs.shell_command import ShellCommand
from headrace.store.embedded import Servers
from tests.support.attempts import JobRunner
from tests.support.cluster import Cluster, cluster_on
from tests.support.processes import wait_until

SECRET = "canary-7hQ2wPz"


@pytest.fixture
def run(tmp_path: Path) -> JobRunner:
    project = tmp_path / "project"
    (project / "pipelines" / "deep").mkdir(parents=True)
    return JobRunner(
        {},
        search_path=(project / "pipelines",),
        project=project,
        permissions=Permissions(shell_commands=True),
    )


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    servers = Servers(database, redis_url)
    with cluster_on(servers, tmp_path, config={"shell_commands": True}) as made:
        yield made


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_list_is_a_program_and_its_arguments(run: JobRunner) -> None:
    result = run(ShellCommand, command=["printf", "%s|", "a b", "$HOME", "; false", 3])

    assert result == {"exit_code": 0, "output": "a b|$HOME|; false|3|"}


def test_a_text_is_a_script(run: JobRunner) -> None:
    result = run(ShellCommand, command="for i in 1 2; do echo $i; done; echo err >&2")

    assert result == {"exit_code": 0, "output": "1\n2\nerr"}


def test_it_is_off_unless_the_configuration_allows_it() -> None:
    with pytest.raises(InvalidPayload, match=r"shell_commands: true in config\.yaml"):
        JobRunner({})(ShellCommand, command=["true"])


def test_a_script_with_a_template_is_refused_when_it_is_validated() -> None:
    findings = Registry().check("ShellCommand", {"command": "rm {{ params.file }}"})

    assert [(keys, code) for keys, code, _, _ in findings] == [(("command",), "refused-value")]
    assert Registry().check("ShellCommand", {"command": ["rm", "{{ params.file }}"]}) == []


def test_a_failure_tells_the_exit_code_and_the_last_lines(run: JobRunner) -> None:
    with pytest.raises(JobFailure, match=r"(?s)exit code 3\n11\n.*\n20$") as caught:
        run(ShellCommand, command="seq 20; exit 3")
    assert "\n10\n" not in str(caught.value)

    with pytest.raises(JobFailure, match="SIGSEGV"):
        run(ShellCommand, command="kill -SEGV $$")
    with pytest.raises(JobFailure, match="not found"):
        run(ShellCommand, command=["no-such-program"])


FAILING = {
    "echo a\nfalse\necho b": "line 2: false: exit code 1",
    "true | (exit 3) | cat\necho b": "cat: exit code 3 (of the commands in the pipe: 0 3 0)",
    "f() {\n  ls /no/such/folder\n}\nf\necho b": "line 2: ls /no/such/folder: exit code 2",
    'x=$(false)\necho "b$x"': "line 1: x=$(false): exit code 1",
    'echo "$NO_SUCH_NAME"\necho b': "line 1: NO_SUCH_NAME: unbound variable",
}


@pytest.mark.parametrize("script", FAILING)
def test_a_script_ends_at_the_command_that_fails_and_names_it(run: JobRunner, script: str) -> None:
    with pytest.raises(JobFailure) as failed:
        run(ShellCommand, command=script)
    lines = str(failed.value).splitlines()
    assert lines[-1].endswith(FAILING[script])
    assert "b" not in lines


def test_a_failure_that_the_script_allows_is_none(run: JobRunner) -> None:
    script = "false || true\nif false; then :; fi\nset +e\nfalse\nset -e\necho done"
    assert run(ShellCommand, command=script)["output"] == "done"


def test_it_runs_in_a_folder_of_the_project_only(run: JobRunner) -> None:
    assert run(ShellCommand, command=["pwd"])["output"] == str(run.project)
    assert run(ShellCommand, command=["pwd"], cwd="deep")["output"].endswith("pipelines/deep")
    with pytest.raises(JobFailure, match="leaves the folders"):
        run(ShellCommand, command=["pwd"], cwd="../..")
    with pytest.raises(JobFailure, match="no folder"):
        run(ShellCommand, command=["pwd"], cwd="missing")


def test_the_program_does_not_get_headrace_s_own_variables(
    run: JobRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://x:{SECRET}@h/d")
    monkeypatch.setenv("HEADRACE_API_TOKEN", SECRET)
    monkeypatch.setenv("MINE", "yes")

    output = run(ShellCommand, command=["env"])["output"]

    assert SECRET not in output
    assert "MINE=yes" in output


def test_the_result_keeps_the_last_lines_only(run: JobRunner) -> None:
    output = run(ShellCommand, command="seq 100; head -c 3000000 /dev/zero | tr '\\0' x")["output"]

    assert output.splitlines()[0] == "52"
    assert output.splitlines()[-1] == "x" * 499 + "…"


def test_standard_input_is_empty(run: JobRunner) -> None:
    assert run(ShellCommand, command=["cat"])["output"] == ""


def test_what_a_program_leaves_running_ends_with_it(run: JobRunner, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    run(ShellCommand, command=f"sleep 600 & echo $! > {pid_file}")

    pid = int(pid_file.read_text())
    wait_until(lambda: not alive(pid), what="the end of the sleeper")


def test_what_a_program_leaves_running_in_a_session_of_its_own_ends_with_it(
    run: JobRunner, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"

    # It holds the output open, too.
    run(ShellCommand, command=f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 600' & sleep 0.2")

    assert not alive(int(pid_file.read_text()))


def test_it_ends_nothing_that_its_process_had_started_before(
    run: JobRunner, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        run(ShellCommand, command=["true"])

        assert other.poll() is None
        other.kill()


def sleeper(cluster: Cluster, **options: Any) -> tuple[str, Path]:
    pid_file = cluster.folder / "pid"
    # Two processes of its own, the inner one deaf to polite requests.
    told = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}"
    script = f"(trap '' TERM; {told}; sleep 600) | cat"
    job = cluster.headrace.dispatcher.dispatch("ShellCommand", {"command": script}, **options)
    return job, pid_file


def pids_of(cluster: Cluster, pid_file: Path) -> list[int]:
    cluster.wait_for_file(pid_file)
    group = int(pid_file.read_text())
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == group:
                found.append(int(entry.name))
        except OSError:
            continue
    assert len(found) >= 2
    return found


@pytest.mark.faults
def test_its_processes_end_at_the_deadline(cluster: Cluster) -> None:
    job, pid_file = sleeper(cluster, timeout=1, retry=0)
    cluster.worker()
    pids = pids_of(cluster, pid_file)

    cluster.wait_for_status(job, "failed")

    wait_until(lambda: not any(map(alive, pids)), what="the end of the processes")
    cluster.check()


@pytest.mark.faults
def test_what_it_has_detached_ends_at_the_deadline(cluster: Cluster) -> None:
    pid_file = cluster.folder / "pid"
    # The first one descends from a program that lives, the second one's own parent is gone.
    sleep = f"'echo $$ >> {pid_file}; exec sleep 600'"
    script = f"setsid sh -c {sleep} & (setsid sh -c {sleep} &); wait"
    job = cluster.headrace.dispatcher.dispatch(
        "ShellCommand", {"command": script}, timeout=1, retry=0
    )
    cluster.worker()

    cluster.wait_for_status(job, "failed")

    pids = [int(line) for line in pid_file.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)), what="the end of the processes")
    cluster.check()


@pytest.mark.faults
def test_its_processes_end_when_the_job_is_cancelled(cluster: Cluster) -> None:
    job, pid_file = sleeper(cluster)
    cluster.daemon()
    cluster.worker()
    pids = pids_of(cluster, pid_file)

    cluster.headrace.interventions.cancel_job(job)

    wait_until(lambda: not any(map(alive, pids)), what="the end of the processes")
    cluster.wait_for_status(job, "cancelled")
    cluster.check()


@pytest.mark.faults
def test_its_processes_end_with_a_worker_that_is_killed(cluster: Cluster) -> None:
    _, pid_file = sleeper(cluster)
    worker = cluster.worker()
    pids = pids_of(cluster, pid_file)

    os.kill(worker.pid, signal.SIGKILL)

    wait_until(lambda: not any(map(alive, pids)), what="the end of the processes")


def test_its_secrets_are_hidden_in_log_and_result(cluster: Cluster) -> None:
    pipelines = cluster.folder / "pipelines"
    (pipelines / "shell.yaml").write_text(
        """
name: shell
params: {file: {default: "x; touch proof"}}
steps:
  - id: only
    job: ShellCommand
    with: {command: 'echo "token $TOKEN, file $FILE"'}
    env: {TOKEN: "${SHOP_TOKEN}", FILE: "{{ params.file }}"}
"""
    )
    run = cluster.headrace.start_run("shell", {})
    worker = cluster.worker(env={"SHOP_TOKEN": SECRET})
    cluster.wait_all_final()

    job = cluster.sql("SELECT * FROM headrace.job WHERE run_id = %s", str(run["id"]))[0]
    lines = cluster.sql("SELECT message FROM headrace.job_log WHERE job_id = %s", str(job["id"]))
    assert job["result"] == {"exit_code": 0, "output": "token ***, file x; touch proof"}
    assert [line["message"] for line in lines] == ["token ***, file x; touch proof"]
    assert SECRET not in worker.log.read_text()
    assert not (cluster.folder / "proof").exists()


def test_a_script_ends_at_its_first_failure_in_a_pipe_too(run: JobRunner) -> None:
    for script in ("false; echo on", "false | cat; echo on", "echo $NOT_SET; echo on"):
        with pytest.raises(JobFailure, match="exit code 1"):
            run(ShellCommand, command=script)
    assert run(ShellCommand, command="false || true; echo on")["output"] == "on"


def test_a_million_lines_pass_and_a_nul_fails_nothing(
    run: JobRunner,
) -> None:
    assert run(ShellCommand, command=["seq", "1000000"])["output"].endswith("\n1000000")
    assert run(ShellCommand, command=["printf", "a\\0b\\n"])["output"] == "a\ufffdb"
    assert run(ShellCommand, command=["printf", "10%%\\r20%%\\rdone\\n"])["output"][-4:] == "done"


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (40, "signal 40")])
def test_a_program_that_a_signal_ended_is_told_by_it(
    run: JobRunner, number: int, name: str
) -> None:
    with pytest.raises(JobFailure) as failure:
        run(ShellCommand, command=["/bin/sh", "-c", f"kill -{number} $$"])
    assert str(failure.value) == f"the command was ended by {name}"
