// Which view the address names, and when it looks again.

import { ask, el, notice, show } from "./dom.js";
import { auditView } from "./audit.js";
import * as lists from "./lists.js";
import { jobView } from "./job.js";
import { runView } from "./run.js";
import { pipelineView } from "./pipeline.js";
import { introduce, me } from "./role.js";

const LOOK_MS = 4000;
const main = document.getElementById("main");
let leave = () => {};
let current = null;

const VIEWS = [
  [/^#?\/?$/, lists.overview],
  [/^#\/runs$/, lists.runs],
  [/^#\/jobs$/, lists.jobs],
  [/^#\/audit$/, auditView],
  [/^#\/pipelines\/([^/]+)$/, pipelineView],
  [/^#\/runs\/([^/]+)$/, runView],
  [/^#\/jobs\/([^/]+)$/, jobView],
];

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

// A view is {look(): nodes, leave()}; `look` asks the API and returns what to show.
function open() {
  if (location.hash === "#main") return;
  leave();
  notice("");
  const [pattern, make] = VIEWS.find(([pattern]) => pattern.test(location.hash)) ?? VIEWS[0];
  const argument = decoded(location.hash.match(pattern)?.[1] ?? "");
  const moved = current !== null;
  const view = make(argument, paint);
  current = view;
  leave = view.leave ?? (() => {});
  document.querySelectorAll("nav a").forEach((link) => {
    const here = link.getAttribute("href") === (/^#\/(runs|jobs|audit)/.exec(location.hash)?.[0] ?? "#/");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  main.replaceChildren();
  document.title = "Headrace";
  look();
  // The keyboard goes on in the new view, not at the top of the page.
  if (moved) main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function paint(nodes) {
  show(main, nodes);
  const title = main.querySelector("h1")?.textContent;
  document.title = title ? `${title} – Headrace` : "Headrace";
}

async function look() {
  const view = current;
  try {
    const nodes = await view.look();
    if (view === current && nodes) paint(nodes);
  } catch (error) {
    if (view !== current) return;
    if (main.childElementCount) notice(error.message);
    else paint([el("h1", {}, "Nothing to show"), el("p", { class: "empty", role: "alert" }, error.message)]);
  }
}

async function caller() {
  try {
    introduce(await ask("/whoami"));
  } catch {
    // Asked again with the health; until then buttons are as for an admin, and the service refuses.
  }
}

async function health() {
  if (!me.role) caller();
  const place = document.getElementById("health");
  try {
    const state = await ask("/health/ready");
    const missing = Object.keys(state.missing ?? {});
    const warnings = missing.map((name) => `${name} is missing`);
    if (!missing.length && state.status !== "ready") warnings.push("the service is not ready");
    if (!missing.length && !state.leader) warnings.push("no active scheduler");
  if (!missing.length && state.leader === "late") warnings.push("the active scheduler is late");
    if (!missing.length && !state.workers) warnings.push("no worker is running");
    place.className = warnings.length ? "warn" : "good";
    place.textContent = warnings.join(", ") || `ready, ${state.workers} ${state.workers === 1 ? "worker" : "workers"}`;
  } catch {
    place.className = "warn";
    place.textContent = "the service does not answer";
  }
}

// A person who reads, types or has the page in the background is left in peace.
const busy = () => document.hidden || document.activeElement?.matches?.("input") || !getSelection().isCollapsed;

addEventListener("hashchange", open);
addEventListener("look", look);
setInterval(() => { if (!busy()) look(); }, LOOK_MS);
setInterval(() => { if (!document.hidden) health(); }, LOOK_MS * 2);
await caller();
health();
open();
