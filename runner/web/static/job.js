// One job: what it was given, what came of it, every attempt and line.

import { action, ago, ask, el, facts, json, live, notice, status, table, took } from "./dom.js";

const ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);

export function jobView(id) {
  const path = `/jobs/${encodeURIComponent(id)}`;
  const post = (what) => async () => { await ask(`${path}/${what}`, { method: "POST" }); notice(`${what}: done`, true); };
  return {
    async look() {
      const [job, attempts, logs] = await Promise.all([ask(path), ask(`${path}/attempts`), ask(`${path}/logs`)]);
      return [
        job.run_id && el("p", { class: "path" },
          el("a", { id: "up", href: `#/pipelines/${encodeURIComponent(job.pipeline)}` }, job.pipeline), " / ",
          el("a", { id: "up-run", href: `#/runs/${job.run_id}` }, "run"), ` / ${job.step}`),
        el("div", { class: "title" }, el("h1", {}, job.step ? `${job.step}: ${job.job_class}` : job.job_class), status(job.status),
          el("div", { class: "actions" },
            ["failed", "cancelled"].includes(job.status) && action("retry", "Retry", post("retry"), { kind: "primary", needs: "operator" }),
            !ENDED.has(job.status) && action("cancel", "Cancel", post("cancel"), { kind: "danger", needs: "operator" }))),
        facts([["Child run", job.child_run && el("a", { id: "child", href: `#/runs/${job.child_run}` }, job.job_class)], ["Queue", job.queue], ["Created", ago(job.created_at)], ["Started", ago(job.started_at)],
          ["Took", took(job.started_at, job.finished_at)], ["Progress", job.progress && live(job.progress)], ["Attempt", job.attempt || ""], ["Retries", job.retry_count || ""],
          ["Next attempt", ago(job.next_retry_time)], ["Worker", job.worker], ["Timeout", `${job.timeout_s} s`], ["Id", el("code", {}, job.id)]]),
        job.error && [el("h2", {}, "Error"), el("pre", { class: "error", tabindex: "0" }, job.error)],
        job.traceback && el("details", { id: "traceback" }, el("summary", { id: "traceback-summary" }, "Traceback"), json(job.traceback)),
        job.result != null && [el("h2", {}, "Result"), json(job.result)],
        el("h2", {}, "Given"), json(job.payload),
        job.upstream.length > 0 && [el("h2", {}, "Waits for"), el("ul", {}, job.upstream.map((one) =>
          el("li", {}, el("a", { id: `on-${one.upstream_id}`, href: `#/jobs/${one.upstream_id}` }, one.step ?? one.job_class ?? one.upstream_id),
            " ", one.status && status(one.status))))],
        el("h2", {}, "Attempts"),
        table("Attempts", ["Attempt", "Outcome", "Started", "Took", "Worker", "Error"], attempts.items.map((one) => [
          one.attempt, status(one.outcome), ago(one.started_at), took(one.started_at, one.finished_at), one.worker,
          one.error && el("span", { class: "outcome error-line" }, one.error),
        ]), "No attempt yet."),
        el("h2", {}, "Log"),
        logs.items.length ? el("pre", { class: "log", tabindex: "0" }, logs.items.map((line) =>
          el("span", { class: line.level.toLowerCase() }, `${line.at.slice(11, 23)} #${line.attempt} ${line.level.padEnd(7)} ${line.message}\n`)))
          : el("p", { class: "empty" }, "No log lines."),
      ].flat();
    },
  };
}
