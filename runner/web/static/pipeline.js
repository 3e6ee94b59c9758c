// One pipeline: its steps, its schedule, starting it with parameters or for the past.

import { ago, allowed, ask, day, el, facts, notice, status, table } from "./dom.js";
import { graph } from "./graph.js";
import { pauseButton, problems, runTable, schedule } from "./lists.js";
import { lacks } from "./role.js";
import { HANDLERS } from "./run.js";

const RUNS_A_PIPELINE = "pipeline ";

export function pipelineView(name) {
  const path = `/pipelines/${encodeURIComponent(name)}`;
  return {
    async look() {
      const [pipeline, runs] = await Promise.all([ask(path), ask(`/runs?limit=15&pipeline=${encodeURIComponent(name)}`)]);
      return [
        el("p", { class: "path" }, el("a", { id: "up", href: "#/" }, "Pipelines")),
        el("div", { class: "title" }, el("h1", {}, pipeline.name), pipeline.paused && status("paused"),
          el("div", { class: "actions" }, pauseButton(pipeline))),
        pipeline.description && el("p", {}, pipeline.description),
        pipeline.broken && el("p", { class: "hint" }, "Its file is broken. The last valid version stays active."),
        problems(pipeline.problems),
        facts([["File", el("code", {}, pipeline.file)], ["Schedule", pipeline.schedules.length || pipeline.trigger ? schedule(pipeline) : "none"],
          ["Next", next(pipeline)], ["Waits for", pipeline.trigger?.pipelines.map((one, i) => [i > 0 && ", ", pipelineLink("upstream", one)])],
          ["Concurrent runs", pipeline.concurrency && `${pipeline.concurrency.limit}, then ${pipeline.concurrency.on_conflict}`],
          ["Skipped instants", pipeline.skipped || ""]]),
        startForm(pipeline, path),
        el("h2", {}, "Steps"),
        graph([...pipeline.steps, ...pipeline.handlers].map(box)),
        pipeline.schedules.length > 0 && backfillForm(path),
        el("h2", {}, "Runs"),
        runTable(runs.items),
        pipeline.triggered.length > 0 && el("details", { id: "triggered-box" },
          el("summary", { id: "triggered-summary" }, "Upstream runs and what they triggered"), triggered(pipeline.triggered)),
      ].flat();
    },
  };
}

const pipelineLink = (id, name) => el("a", { id: `${id}-${name}`, href: `#/pipelines/${encodeURIComponent(name)}` }, name);

function next(pipeline) {
  if (pipeline.paused || !pipeline.schedules.length) return null;
  return pipeline.next_instants.slice(0, 3).map((at) => el("div", {}, day(at), " ", ago(at))).concat(pipeline.next_instants.length ? [] : "no more");
}

// A step that runs a pipeline leads there.
function box(step) {
  const below = step.job.startsWith(RUNS_A_PIPELINE) && step.job.slice(RUNS_A_PIPELINE.length);
  const marks = [step.handler && HANDLERS[step.handler], step.foreach && "foreach", step.when != null && "conditional"];
  return {
    id: step.id, label: step.id, after: step.depends_on, handler: step.handler,
    href: below && `#/pipelines/${encodeURIComponent(below)}`,
    note: [step.job, ...marks.filter(Boolean)].join(", "),
  };
}

const triggered = (items) => table("Upstream runs", ["Run of", "Used", "Outcome"], items.map((one) => [
  el("a", { id: `used-${one.upstream_run}`, href: `#/runs/${one.upstream_run}` }, one.upstream), ago(one.used_at),
  one.run_id ? el("a", { id: `came-${one.upstream_run}`, href: `#/runs/${one.run_id}` }, one.outcome)
    : [one.outcome, one.error && el("p", { class: "error-line" }, one.error)],
]), "");

function startForm(pipeline, path) {
  return form("start", "Run now", async (values) => {
    const given = Object.fromEntries([...values].filter(([, value]) => value !== ""));
    const params = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, typed(pipeline, key, value)]));
    const run = await ask(`${path}/runs`, { method: "POST", body: { params } });
    location.hash = `#/runs/${run.id}`;
  }, pipeline.params.map((param) => field(`param-${param.name}`, param.name, {
    name: param.name, required: param.required, title: param.description,
    placeholder: param.default == null ? param.type : String(typeof param.default === "object" ? JSON.stringify(param.default) : param.default),
  })));
}

// Texts are read by the declared type on the other side; only a list needs to be one here.
function typed(pipeline, name, value) {
  if (pipeline.params.find((param) => param.name === name)?.type !== "list") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value.split(",").map((item) => item.trim());
  }
}

function backfillForm(path) {
  return el("details", { id: "backfill-box" }, el("summary", { id: "backfill-summary" }, "Backfill: create the missing runs"),
    form("backfill", "Backfill", async (values) => {
      const answer = await ask(`${path}/backfill`, { method: "POST", body: { from: values.get("from"), to: values.get("to") } });
      notice(`${answer.items.length} runs started`, true);
    }, [field("from", "From", { name: "from", type: "date", required: true }), field("to", "To (inclusive)", { name: "to", type: "date", required: true })]));
}

function form(id, label, run, fields) {
  return el("form", { id, class: "fields", onsubmit: async (event) => {
    event.preventDefault();
    if (lacks("operator")) return notice(lacks("operator"));
    try {
      await run(new FormData(event.target));
    } catch (error) {
      notice(error.message);
    }
    dispatchEvent(new Event("look"));
  } }, fields, el("button", { id: `${id}-go`, class: "primary", type: "submit", ...allowed("operator") }, label));
}

function field(id, label, attributes) {
  return el("label", { for: id }, el("span", {}, label, attributes.required && " *"), el("input", { id, autocomplete: "off", ...attributes }));
}
