// The overview, and the listings of runs and jobs.

import { action, ago, ask, el, notice, status, table, took, day } from "./dom.js";

export function overview() {
  const pages = [null];
  return {
    async look() {
      const query = new URLSearchParams({ limit: "200" });
      if (pages.at(-1)) query.set("cursor", pages.at(-1));
      const [pipelines, runs] = await Promise.all([ask(`/pipelines?${query}`), ask("/runs?limit=12")]);
      return [
        el("h1", {}, "Pipelines"),
        problems(pipelines.problems),
        table("Pipelines", ["Pipeline", "Schedule", "Next due", "Last run", ""], pipelines.items.map(pipelineRow),
          "No pipelines yet. Put a YAML file into the pipelines folder."),
        el("div", { class: "actions" },
          (pages.length > 1 || pipelines.next) && el("span", { class: "hint" }, `${pipelines.count} pipelines`),
          pages.length > 1 && turn("pipelines-before", "Previous", () => pages.pop()),
          pipelines.next && turn("pipelines-after", "Next", () => pages.push(pipelines.next))),
        el("h2", {}, "Latest runs"),
        runTable(runs.items),
      ];
    },
  };
}

const again = () => dispatchEvent(new Event("look"));

export const turn = (id, label, change) => el("button", { id, type: "button", onclick: () => { change(); notice(""); again(); } }, label);

function pipelineRow(pipeline) {
  const last = pipeline.last_run;
  return [
    [el("a", { class: "name", id: `go-${pipeline.name}`, href: `#/pipelines/${encodeURIComponent(pipeline.name)}` }, pipeline.name),
      pipeline.description && el("p", { class: "hint one-line", title: pipeline.description }, pipeline.description),
      pipeline.broken && el("p", { class: "hint" }, "Its file is broken. The last valid version stays active.")],
    schedule(pipeline),
    pipeline.paused ? status("paused") : ago(pipeline.next_instant) || (pipeline.schedules.length ? "no more" : ""),
    last ? [el("a", { id: `last-${pipeline.name}`, href: `#/runs/${last.id}` }, status(last.status)), " ", ago(last.finished_at ?? last.started_at)] : "never",
    el("div", { class: "actions" }, runButton(pipeline), pauseButton(pipeline)),
  ];
}

export function schedule(pipeline) {
  const times = pipeline.schedules.map((one) => el("div", { class: "schedule" },
    one.cron ? el("code", {}, one.cron) : `every ${took(new Date(0).toISOString(), new Date(one.interval_s * 1000).toISOString())}`,
    one.timezone !== "UTC" && el("span", { class: "hint" }, ` ${one.timezone}`),
    one.calendar && el("span", { class: "hint", title: one.calendar.dates.slice(0, 40).join(", ") || null }, `, ${days(one.calendar)}`)));
  return pipeline.trigger ? [...times, el("div", { class: "trigger" }, pipeline.trigger.text)] : times;
}

function days({ days: counted, dates, country, subdivision }) {
  const kind = { working: "working days", holidays: "holidays", not_holidays: "all days except holidays" }[counted];
  const place = [country, subdivision].filter(Boolean).join("-");
  const joined = counted === "working" ? "except" : place ? "and" : "of";
  return kind + (place && ` of ${place}`) + (dates.length ? ` ${joined} ${dates.length} date${dates.length > 1 ? "s" : ""}` : "");
}

export function runButton(pipeline) {
  return action(`run-${pipeline.name}`, "Run", async () => {
    if (pipeline.params.some((param) => param.required)) {
      location.hash = `#/pipelines/${encodeURIComponent(pipeline.name)}`;
      return;
    }
    const run = await ask(`/pipelines/${encodeURIComponent(pipeline.name)}/runs`, { method: "POST", body: { params: {} } });
    location.hash = `#/runs/${run.id}`;
  }, { kind: "primary", title: `Start a run of ${pipeline.name}`, needs: "operator" });
}

export function pauseButton(pipeline) {
  if (!pipeline.schedules.length && !pipeline.trigger) return null;
  const what = pipeline.paused ? "resume" : "pause";
  return action(`pause-${pipeline.name}`, pipeline.paused ? "Resume" : "Pause",
    () => ask(`/pipelines/${encodeURIComponent(pipeline.name)}/${what}`, { method: "POST" }),
    { title: `${what} the schedule and trigger of ${pipeline.name}`, needs: "operator" });
}

export function problems(list) {
  if (!list.length) return null;
  return el("section", { class: "problems", "aria-label": "Problems of pipeline files" },
    el("h2", {}, list.length === 1 ? "One problem in pipeline files" : `${list.length} problems in pipeline files`),
    el("ul", {}, list.slice(0, 50).map((problem) => el("li", {},
      el("code", {}, problem.line ? `${problem.file}:${problem.line}:${problem.column}` : problem.file),
      ` ${problem.message} `, el("span", { class: "hint" }, `[${problem.code}]`),
      problem.hint && el("p", { class: "hint" }, problem.hint)))));
}

export function runTable(items) {
  return table("Runs", ["Run", "Status", "Trigger", "Logical date", "Started", "Took"], items.map((run) => [
    el("a", { id: `run-row-${run.id}`, href: `#/runs/${run.id}` }, run.pipeline),
    status(run.status), run.trigger, day(run.logical_date), ago(run.started_at), took(run.started_at, run.finished_at),
  ]), "No runs yet.");
}

export const runs = () => listing("Runs", "/runs", ["queued", "running", "completed", "failed", "cancelled", "skipped"], runTable);

export const jobs = () => listing("Jobs", "/jobs",
  ["waiting", "queued", "started", "retrying", "completed", "failed", "cancelled", "skipped"],
  (items) => table("Jobs", ["Job", "Status", "Of", "Queue", "Attempt", "Made", "Took"], items.map((job) => [
    el("a", { id: `job-row-${job.id}`, href: `#/jobs/${job.id}` }, job.job_class), status(job.status),
    job.run_id ? el("a", { id: `of-${job.id}`, href: `#/runs/${job.run_id}` }, `${job.pipeline} · ${job.step}`) : "",
    job.queue, job.attempt || "", ago(job.created_at), took(job.started_at, job.finished_at),
  ]), "No jobs with this status."));

function listing(title, path, statuses, draw) {
  const pages = [null];
  let wanted = "";
  const chip = (name) => el("button", {
    id: `chip-${name}`, type: "button", class: "chip", "aria-pressed": String(wanted === name),
    onclick: () => { wanted = name; pages.length = 1; again(); },
  }, name || "all");
  return {
    async look() {
      const query = new URLSearchParams({ limit: "50" });
      if (wanted) query.set("status", wanted);
      if (pages.at(-1)) query.set("cursor", pages.at(-1));
      const answer = await ask(`${path}?${query}`);
      return [
        el("h1", {}, title),
        el("div", { class: "chips", role: "group", "aria-label": "By status" }, ["", ...statuses].map(chip)),
        draw(answer.items),
        el("div", { class: "actions" },
          pages.length > 1 && turn("newer", "Newer", () => pages.pop()),
          answer.next && turn("older", "Older", () => pages.push(answer.next))),
      ];
    },
  };
}
