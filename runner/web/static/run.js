// One run: its steps as a graph, live.

import { action, ago, ask, day, el, facts, json, notice, status, table, took } from "./dom.js";
import { graph } from "./graph.js";

const ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);
const STOPPED = new Set(["failed", "cancelled"]);
const MOST_ROWS = 500;

export function runView(id, paint) {
  const path = `/runs/${encodeURIComponent(id)}`;
  let run = null, stream = null, drawing = 0, clock = 0, renewing = false;

  // The stream tells what changes; results and the rest are fetched once it has ended.
  function follow() {
    if (stream || ENDED.has(run.status)) return;
    stream = new EventSource(`${path}/events`);
    clock = setInterval(redraw, 1000);
    stream.addEventListener("run", (event) => { Object.assign(run, JSON.parse(event.data), { jobs: run.jobs }); redraw(); });
    stream.addEventListener("job", (event) => {
      const change = JSON.parse(event.data);
      const job = run.jobs.find((one) => one.id === change.id);
      if (job) Object.assign(job, change);
      else renew();
      redraw();
    });
    stream.addEventListener("end", () => { leave(); dispatchEvent(new Event("look")); });
  }

  // A foreach over results makes its jobs while the run is under way.
  async function renew() {
    if (renewing) return;
    renewing = true;
    try { run = await ask(path); } finally { renewing = false; }
    if (stream) redraw();
  }

  function redraw() {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(() => paint(nodes()));
  }

  function leave() {
    stream?.close();
    stream = null;
    cancelAnimationFrame(drawing);
    clearInterval(clock);
  }

  const post = (what) => async () => { await ask(`${path}/${what}`, { method: "POST" }); notice(`${what}: done`, true); };

  const params = () => Object.entries(run.params).map(([name, value]) =>
    [name, el("code", {}, typeof value === "string" ? value : JSON.stringify(value))]);

  function nodes() {
    const done = run.jobs.filter((job) => ENDED.has(job.status)).length;
    return [
      el("p", { class: "path" }, el("a", { id: "up", href: `#/pipelines/${encodeURIComponent(run.pipeline)}` }, run.pipeline), " / run"),
      el("div", { class: "title" }, el("h1", {}, `Run of ${run.pipeline}`), status(run.status),
        el("div", { class: "actions" },
          STOPPED.has(run.status) && action("retry", "Retry what failed", post("retry"), { kind: "primary" }),
          !ENDED.has(run.status) && action("cancel", "Cancel", post("cancel"), { kind: "danger" }))),
      run.error && json(run.error),
      facts([["Stands for", day(run.logical_date)], ["Trigger", run.trigger],
        ...(run.parent ? [["Started by", el("a", { id: "parent", href: `#/runs/${run.parent.run_id}` }, `${run.parent.step} of ${run.parent.pipeline}`)]] : []),
        ...run.upstream.map((one) => ["After", el("a", { id: `after-${one.id}`, href: `#/runs/${one.id}` }, one.pipeline)]),
        ["Started", ago(run.started_at)],
        ["Took", took(run.started_at, run.finished_at)], ...params(), ["Steps", `${done} of ${run.jobs.length} ended`], ["Id", el("code", {}, run.id)]]),
      graph(run.jobs.map((job) => ({
        id: job.id, label: job.step, status: job.status, after: job.depends_on, href: `#/jobs/${job.id}`,
        note: job.started_at && job.status !== "queued" ? `${job.status}, ${took(job.started_at, job.finished_at)}` : job.status,
      }))),
      table("Steps", ["Step", "Job", "Status", "Queue", "Attempt", "Took", "Outcome"], run.jobs.slice(0, MOST_ROWS).map((job) => [
        el("a", { id: `step-${job.id}`, href: `#/jobs/${job.id}` }, job.step),
        job.child_run ? el("a", { id: `child-${job.id}`, href: `#/runs/${job.child_run}` }, job.job_class) : job.job_class,
        status(job.status), job.queue, job.attempt || "", took(job.started_at, job.finished_at), outcome(job),
      ]), "The run has no step."),
    ];
  }

  return {
    leave,
    async look() {
      if (stream) return null;
      run = await ask(path);
      follow();
      return nodes();
    },
  };
}

function outcome(job) {
  const text = job.error ?? (job.result == null ? "" : typeof job.result === "string" ? job.result : JSON.stringify(job.result));
  return text && el("span", { class: job.error ? "error-line" : "hint" }, text.length > 120 ? `${text.slice(0, 119)}…` : text);
}
