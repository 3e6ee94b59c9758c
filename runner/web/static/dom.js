// Building the page and asking the API. Every text becomes a text node: nothing is ever HTML.

import { lacks } from "./role.js";

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "rect", "text", "title"]);
const LISTENERS = new Set(["onclick", "onsubmit", "onkeydown"]);
const listening = new WeakSet();

function listen(node, type, run) {
  node.addEventListener(type, run);
  listening.add(node);
}

export function el(tag, attributes = {}, ...children) {
  const inSvg = SVG_TAGS.has(tag) || attributes.xlink;
  const node = inSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (LISTENERS.has(name)) listen(node, name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (name !== "xlink" && value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}

// Shows a view. What is there already stays the same node: a text that someone has selected, a
// link under the mouse, what was typed, opened and scrolled are left alone.
export function show(place, ...nodes) {
  const focused = document.activeElement?.id;
  adapt(place, nodes.flat().filter(Boolean));
  if (focused && focused !== document.activeElement?.id) document.getElementById(focused)?.focus({ preventScroll: true });
}

function adapt(parent, wanted) {
  const named = new Map([...parent.children].map((child) => [child.id, child]));
  let place = parent.firstChild;
  for (const node of wanted) {
    const same = node.id && named.get(node.id);
    if (same && same !== place) parent.insertBefore(same, place);
    const old = same || place;
    place = old ? old.nextSibling : null;
    if (!old) parent.append(node);
    else if (!old.isEqualNode(node)) change(old, node);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// What listens is exchanged whole: its listener may hold what has become old.
function change(old, node) {
  if (old.nodeType === Node.TEXT_NODE && node.nodeType === Node.TEXT_NODE) {
    old.data = node.data;
  } else if (old.nodeName !== node.nodeName || old.id !== node.id || listening.has(old) || listening.has(node)) {
    if (old.nodeName === "FORM") keepTyped(old, node);
    old.replaceWith(node);
  } else {
    for (const { name } of [...old.attributes]) if (!node.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    adapt(old, [...node.childNodes]);
  }
}

function keepTyped(old, node) {
  const typed = new Map([...old.querySelectorAll("input")].map((one) => [one.id, one.value]));
  node.querySelectorAll("input").forEach((one) => { one.value = typed.get(one.id) ?? one.value; });
}

export async function ask(path, { method = "GET", body } = {}) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The service does not answer.");
  }
  if (response.status === 401) location.reload();
  const answer = await response.json().catch(() => ({}));
  if (!response.ok && !path.startsWith("/health")) {
    throw new Error(answer.detail ?? `The service answered ${response.status}.`);
  }
  return answer;
}

export function notice(text, good = false) {
  const place = document.getElementById("notice");
  place.textContent = text;
  place.className = good ? "good" : "";
  place.hidden = !text;
  clearTimeout(notice.timer);
  if (text) notice.timer = setTimeout(() => notice(""), good ? 4000 : 12000);
}

// A button that does something, says what went wrong, and then looks again. Where the caller lacks
// the role that it `needs`, it says so instead.
export function action(id, label, run, { kind = "", title, needs } = {}) {
  const reason = needs && lacks(needs);
  const button = el("button", { id, type: "button", class: kind, ...allowed(needs, title) }, label);
  listen(button, "click", async () => {
    if (reason) return notice(reason);
    button.disabled = true;
    try {
      await run();
    } catch (error) {
      notice(error.message);
    } finally {
      button.disabled = false;
      dispatchEvent(new Event("look"));
    }
  });
  return button;
}

// The attributes of a button that needs a role: it stays within the keyboard's reach to give its reason.
export const allowed = (needs, title) => {
  const reason = needs && lacks(needs);
  return reason ? { title: reason, "aria-disabled": "true" } : { title };
};

export const status = (name) => el("span", { class: `status ${name}` }, name);

export function table(label, heads, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => head ? el("th", { scope: "col" }, head) : el("td", {})))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, i) => el("td", { "data-head": heads[i] }, cell ?? "")))))));
}

export function facts(pairs) {
  return el("dl", {}, pairs.filter(([, value]) => value != null && value !== "")
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export function ago(iso) {
  if (!iso) return "";
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? STEPS[3];
  const near = Math.abs(seconds) < 1.5 ? "now" : relative.format(Math.trunc(seconds / size), unit);
  return el("time", { datetime: iso, title: new Date(iso).toLocaleString() }, near);
}

export function took(from, to) {
  if (!from) return "";
  const seconds = Math.max(0, (to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)}\u00a0ms`;
  if (seconds < 10) return `${seconds.toFixed(1)}\u00a0s`;
  if (seconds < 90) return `${Math.round(seconds)}\u00a0s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}\u00a0min`;
  return `${(seconds / 3600).toFixed(1)}\u00a0h`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

function amount(count, unit) {
  if (unit !== "bytes") return `${count.toLocaleString("en")}\u00a0${unit}`;
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  return `${(count / 1000 ** power).toFixed(power && 1)}\u00a0${UNITS[power]}`;
}

// How far a job has got, in words: "42 %, 420,000 rows, 310,000 rows/s".
export function pace(progress) {
  const counted = progress.rows ?? progress.done;
  const unit = progress.rows == null ? progress.unit : "rows";
  const of = progress.total != null && unit === progress.unit ? ` of ${amount(progress.total, unit)}` : "";
  return [progress.share != null && `${Math.floor(progress.share * 100)}\u00a0%`, counted != null && amount(counted, unit) + of,
    progress.per_second && `${amount(progress.per_second, unit)}/s`].filter(Boolean).join(", ");
}

export function live(progress) {
  const words = pace(progress);
  return el("span", { class: "live" }, progress.share != null && el("progress", { max: 1, value: progress.share, "aria-label": words }), words);
}

// To the minute, or to the second where an interval needs it.
export function day(iso) {
  const text = new Date(iso).toISOString();
  return el("time", { datetime: iso }, text.slice(0, text.slice(17, 19) === "00" ? 16 : 19).replace("T", " ") + "Z");
}

export const json = (value) =>
  el("pre", { tabindex: "0" }, typeof value === "string" ? value : JSON.stringify(value, null, 2));
