// One run: its steps as a graph, live.

import { action, ago, ask, day, el, facts, json, live, notice, status, table, took } from "./dom.js";
import { graph } from "./graph.js";
import { folding } from "./items.js";

const ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);
const STOPPED = new Set(["failed", "cancelled"]);
const MOST_CHANGES = 1000;
export const HANDLERS = { failure: "on failure", success: "on success", finally: "finally" };

export function runView(id, paint) {
  const path = `/runs/${encodeURIComponent(id)}`;
  let run = null, stream = null, drawing = 0, clock = 0, renewing = false, missed = false;
  const items = folding(() => { if (run) paint(nodes()); });

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
      else if (!run.next) renew();
      redraw();
    });
    // Refused, it does not come again by itself; then the page looks now and again instead.
    stream.addEventListener("error", () => { if (stream?.readyState === EventSource.CLOSED) leave(); });
    stream.addEventListener("end", () => { leave(); dispatchEvent(new Event("look")); });
  }

  // What has changed since the last answer; jobs of pages that were not asked for stay unknown.
  async function changes() {
    const answer = await ask(`${path}?limit=${MOST_CHANGES}&changed_since=${encodeURIComponent(run.as_of)}`);
    if (answer.next) { run = await ask(path); return; }
    const { jobs, next } = run, known = new Map(jobs.map((job) => [job.id, job]));
    for (const job of answer.jobs) {
      if (known.has(job.id)) Object.assign(known.get(job.id), job);
      else if (!next) jobs.push(job);
    }
    jobs.sort((a, b) => (a.id < b.id ? -1 : 1));
    run = { ...answer, jobs, next };
  }

  async function more() {
    const page = await ask(`${path}/jobs?cursor=${run.next}`);
    run.jobs.push(...page.items);
    run.next = page.next;
    redraw();
  }

  // A foreach over results makes its jobs while the run is under way.
  async function renew() {
    missed = true;
    if (renewing) return;
    renewing = true;
    try {
      while (missed) {
        missed = false;
        await changes();
      }
      if (stream) redraw();
    } catch (error) {
      notice(error.message);
    } finally {
      renewing = false;
    }
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
    const boxes = run.jobs.map(box);
    return [
      el("p", { class: "path" }, el("a", { id: "up", href: `#/pipelines/${encodeURIComponent(run.pipeline)}` }, run.pipeline), " / run"),
      el("div", { class: "title" }, el("h1", {}, `Run of ${run.pipeline}`), status(run.status),
        el("div", { class: "actions" },
          STOPPED.has(run.status) && action("retry", "Retry failed steps", post("retry"), { kind: "primary", needs: "operator" }),
          !ENDED.has(run.status) && action("cancel", "Cancel", post("cancel"), { kind: "danger", needs: "operator" }))),
      run.error && json(run.error),
      facts([["Logical date", day(run.logical_date)], ["Trigger", run.trigger],
        ...(run.parent ? [["Started by", el("a", { id: "parent", href: `#/runs/${run.parent.run_id}` }, `${run.parent.step} of ${run.parent.pipeline}`)]] : []),
        ...run.upstream.map((one) => ["After", el("a", { id: `after-${one.id}`, href: `#/runs/${one.id}` }, one.pipeline)]),
        ["Started", ago(run.started_at)],
        ["Took", took(run.started_at, run.finished_at)], ...lateness(run), ...params(), ["Steps", progress(run.counts)], ["Id", el("code", {}, run.id)]]),
      el("div", { class: "actions" }, items.buttons(boxes)),
      graph(items.fold(boxes)),
      table("Steps", ["Step", "Job", "Status", "Queue", "Attempt", "Took", "When", "Outcome"], run.jobs.map((job) => [
        el("a", { id: `step-${job.id}`, href: `#/jobs/${job.id}` }, job.step),
        job.child_run ? el("a", { id: `child-${job.id}`, href: `#/runs/${job.child_run}` }, job.job_class) : job.job_class,
        status(job.status), job.queue, job.attempt || "", took(...span(job)), when(run, job), outcome(job),
      ]), "The run has no steps."),
      run.next && el("p", { class: "hint" }, `The first ${run.jobs.length} of ${total(run.counts)} jobs. `, action("more", "Show more", more)),
      ...notifications(run),
    ];
  }

  return {
    leave,
    async look() {
      if (stream) return null;
      if (run) await changes();
      else run = await ask(path);
      follow();
      return nodes();
    },
  };
}

const lateness = (run) => Object.entries(run.late ?? {}).map(([step, late]) =>
  ["Late", [`${step || "the run"}: ${late.rule} passed `, ago(late.since)]]);

// Who was told of it; nothing where nobody was to be.
function notifications(run) {
  if (!run.notifications?.length) return [];
  return [el("h2", {}, "Notifications"), table("Notifications", ["Kind", "Receiver", "Status", "Tries", "When", "Error"],
    run.notifications.map((one) => [one.step ? `${one.kind} (${one.step})` : one.kind, one.receiver, one.status.replace("_", " "),
      one.tries, ago(one.ended_at ?? one.created_at), one.error && el("span", { class: "outcome error-line" }, one.error)]), "")];
}

// From when to when a job was at work. One that runs a pipeline was so while its run was.
const span = (job) => job.child_run
  ? [job.child_started_at, job.child_finished_at ?? job.finished_at]
  : [job.started_at, job.finished_at];

function box(job) {
  const below = job.child_run && job.status === "waiting";
  const at = below ? "waits for its child run" : job.status;
  const time = job.status === "queued" ? "" : job.status === "retrying"
    ? `again in ${took(new Date().toISOString(), job.next_retry_time)}` : took(...span(job));
  return {
    id: job.id, label: job.step, status: job.status, after: job.depends_on, handler: job.handler, href: `#/jobs/${job.id}`,
    note: (job.handler ? `${HANDLERS[job.handler]}: ` : "") + at + (time && `, ${time}`),
  };
}

const total = (counts) => Object.values(counts).reduce((sum, one) => sum + one, 0);

function progress(counts) {
  const ended = [...ENDED].reduce((sum, status) => sum + (counts[status] ?? 0), 0);
  return [`${ended} of ${total(counts)} ended`, ["failed", "retrying", "started"].filter((name) => counts[name]).map((name) =>
    [", ", el("span", { class: name }, `${counts[name]} ${name}`)])];
}

// A bar on the run's time: which steps ran side by side, and which one took long.
function when(run, job) {
  const [from, to] = span(job);
  if (!from || !run.started_at) return "";
  const start = Date.parse(run.started_at), now = Date.now();
  const whole = Math.max(1, (run.finished_at ? Date.parse(run.finished_at) : now) - start);
  const place = (iso) => Math.min(1000, Math.max(0, Math.round((iso ? Date.parse(iso) - start : whole) / whole * 1000)));
  const x = Math.min(place(from), 992), width = Math.max(8, place(to) - x);
  const words = `${took(run.started_at, from)} after the run's start, for ${took(from, to)}`;
  return el("svg", { class: `span ${job.status}`, viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": words },
    el("title", {}, words), el("rect", { class: "track", width: 1000, height: 10 }), el("rect", { class: "bar", x, width, height: 10 }));
}

function outcome(job) {
  if (job.progress) return live(job.progress);
  if (job.child_run && !job.error) return el("a", { id: `its-run-${job.id}`, href: `#/runs/${job.child_run}` }, "child run");
  const text = job.error ?? (job.result == null ? "" : typeof job.result === "string" ? job.result : JSON.stringify(job.result));
  return text && el("span", { class: `outcome ${job.error ? "error-line" : "hint"}` }, text.length > 120 ? `${text.slice(0, 119)}…` : text);
}
