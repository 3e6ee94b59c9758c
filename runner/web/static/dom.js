// Building the page and asking the API. Every text becomes a text node: nothing is ever HTML.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "rect", "text", "title"]);

export function el(tag, attributes = {}, ...children) {
  const inSvg = SVG_TAGS.has(tag) || attributes.xlink;
  const node = inSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "onsubmit") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (name !== "xlink" && value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}

// Replaces what a view shows, and leaves the keyboard, what was typed, opened and scrolled as
// they were.
export function show(place, ...nodes) {
  const focused = document.activeElement?.id;
  const boxes = () => [...place.querySelectorAll(".scroll, pre")];
  const scrolled = boxes().map((box) => [box.scrollLeft, box.scrollTop]);
  const opened = new Map([...place.querySelectorAll("details")].map((one) => [one.id, one.open]));
  const typed = new Map([...place.querySelectorAll("input")].map((one) => [one.id, one.value]));
  place.replaceChildren(...nodes.flat().filter(Boolean));
  place.querySelectorAll("details").forEach((one) => { one.open = opened.get(one.id) ?? one.open; });
  place.querySelectorAll("input").forEach((one) => { one.value = typed.get(one.id) ?? one.value; });
  boxes().forEach((box, i) => [box.scrollLeft, box.scrollTop] = scrolled[i] ?? [0, 0]);
  if (focused && focused !== document.activeElement?.id) document.getElementById(focused)?.focus({ preventScroll: true });
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

// A button that does something, says what went wrong, and then looks again.
export function action(id, label, run, { kind = "", title } = {}) {
  const button = el("button", { id, type: "button", class: kind, title }, label);
  button.addEventListener("click", async () => {
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

export const status = (name) => el("span", { class: `status ${name}` }, name);

export function table(label, heads, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
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
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function day(iso) {
  return el("time", { datetime: iso }, new Date(iso).toISOString().slice(0, 16).replace("T", " ") + "Z");
}

export const json = (value) =>
  el("pre", { tabindex: "0" }, typeof value === "string" ? value : JSON.stringify(value, null, 2));
