// Steps as a graph in layers: a step stands one column right of the last that it waits for, and
// handlers stand right of all steps.

import { el } from "./dom.js";

const WIDTH = 180, HEIGHT = 46, GAP_X = 52, GAP_Y = 16, MARGIN = 8;
const MOST = 300;
// A taller graph begins at the top, where a person looks first; a lower one is centred.
const TALL = 10;

// `nodes`: {id, label, note, status, after: [ids]}; `href` makes a node a link, `onopen` a button,
// `handler` puts it behind all steps.
export function graph(nodes) {
  if (nodes.length > MOST) return el("p", { class: "empty" }, `${nodes.length} steps are too many to draw; the table has them.`);
  const columns = ordered(layers(nodes));
  const tallest = Math.max(...columns.map((column) => column.length));
  const places = new Map();
  columns.forEach((column, x) => column.forEach((node, y) => places.set(node.id, {
    x: MARGIN + x * (WIDTH + GAP_X),
    y: MARGIN + (y + (tallest > TALL ? 0 : (tallest - column.length) / 2)) * (HEIGHT + GAP_Y),
  })));
  const width = 2 * MARGIN + columns.length * (WIDTH + GAP_X) - GAP_X;
  const height = 2 * MARGIN + tallest * (HEIGHT + GAP_Y) - GAP_Y;
  return el("div", { id: "graph", class: "scroll graph", tabindex: "0", role: "region", "aria-label": "The steps as a graph" },
    el("svg", { width, height, viewBox: `0 0 ${width} ${height}` },
      nodes.flatMap((node) => node.after.filter((id) => places.has(id)).map((id) => edge(places.get(id), places.get(node.id)))),
      nodes.map((node) => box(node, places.get(node.id)))));
}

function layers(nodes) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const depth = new Map();
  let first = 0;
  const depthOf = (node) => {
    if (!depth.has(node.id)) {
      depth.set(node.id, 0);
      const above = node.after.filter((id) => byId.has(id)).map((id) => depthOf(byId.get(id)) + 1);
      depth.set(node.id, Math.max(node.handler ? first : 0, ...above));
    }
    return depth.get(node.id);
  };
  const columns = [];
  const place = (node) => (columns[depthOf(node)] ??= []).push(node);
  nodes.filter((node) => !node.handler).forEach(place);
  first = columns.length;
  nodes.filter((node) => node.handler).forEach(place);
  return columns;
}

// Within a column, steps stand in the order of what they wait for: fewer lines cross.
function ordered(columns) {
  const rank = new Map();
  for (const column of columns) {
    const middle = (node) => {
      const above = node.after.filter((id) => rank.has(id)).map((id) => rank.get(id));
      return above.length ? above.reduce((sum, one) => sum + one, 0) / above.length : 0;
    };
    column.sort((a, b) => middle(a) - middle(b));
    column.forEach((node, y) => rank.set(node.id, y - column.length / 2));
  }
  return columns;
}

function edge(from, to) {
  const x1 = from.x + WIDTH, y1 = from.y + HEIGHT / 2, x2 = to.x, y2 = to.y + HEIGHT / 2;
  const bend = Math.max(20, (x2 - x1) / 2);
  return el("g", { class: "edge" },
    el("path", { d: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 1} ${y2}` }),
    el("path", { d: `M${x2 - 7} ${y2 - 4} L${x2 - 1} ${y2} L${x2 - 7} ${y2 + 4}` }));
}

function box(node, place) {
  const words = `${node.label}: ${node.note}`;
  const shape = [
    node.onopen && el("rect", { class: "behind", x: 4, y: 4, width: WIDTH, height: HEIGHT, rx: 8 }),
    el("rect", { class: "card", width: WIDTH, height: HEIGHT, rx: 8 }),
    el("rect", { class: "bar", x: 6, y: 8, width: 4, height: HEIGHT - 16, rx: 2 }),
    el("text", { x: 18, y: 19, class: "label" }, short(node.label, 19)),
    el("text", { x: 18, y: 36, class: "note" }, short(node.note, 26)),
    el("title", {}, words),
  ];
  const options = { id: `node-${node.id}`, class: `node ${node.status ?? ""}`, transform: `translate(${place.x} ${place.y})` };
  if (node.onopen) {
    const onkeydown = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); node.onopen(); } };
    return el("g", { ...options, role: "button", tabindex: "0", "aria-expanded": "false", "aria-label": words, onclick: node.onopen, onkeydown }, shape);
  }
  if (!node.href) return el("g", options, shape);
  return el("a", { ...options, xlink: true, href: node.href, "aria-label": words }, shape);
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
