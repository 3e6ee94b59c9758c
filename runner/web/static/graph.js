// Steps as a graph in layers: a step stands one column right of the last that it waits for.

import { el } from "./dom.js";

const WIDTH = 172, HEIGHT = 46, GAP_X = 52, GAP_Y = 16, MARGIN = 8;
const MOST = 300;

// `nodes`: {id, label, note, status, href, after: [ids]}
export function graph(nodes) {
  if (nodes.length > MOST) return el("p", { class: "empty" }, `${nodes.length} steps are too many to draw; the table has them.`);
  const columns = ordered(layers(nodes));
  const tallest = Math.max(...columns.map((column) => column.length));
  const places = new Map();
  columns.forEach((column, x) => column.forEach((node, y) => places.set(node.id, {
    x: MARGIN + x * (WIDTH + GAP_X),
    y: MARGIN + (y + (tallest - column.length) / 2) * (HEIGHT + GAP_Y),
  })));
  const width = 2 * MARGIN + columns.length * (WIDTH + GAP_X) - GAP_X;
  const height = 2 * MARGIN + tallest * (HEIGHT + GAP_Y) - GAP_Y;
  return el("div", { class: "scroll graph", tabindex: "0", role: "region", "aria-label": "The steps as a graph" },
    el("svg", { width, height, viewBox: `0 0 ${width} ${height}` },
      nodes.flatMap((node) => node.after.filter((id) => places.has(id)).map((id) => edge(places.get(id), places.get(node.id)))),
      nodes.map((node) => box(node, places.get(node.id)))));
}

function layers(nodes) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const depth = new Map();
  const depthOf = (node) => {
    if (!depth.has(node.id)) {
      depth.set(node.id, 0);
      const above = node.after.filter((id) => byId.has(id)).map((id) => depthOf(byId.get(id)) + 1);
      depth.set(node.id, Math.max(0, ...above));
    }
    return depth.get(node.id);
  };
  const columns = [];
  for (const node of nodes) (columns[depthOf(node)] ??= []).push(node);
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
  return el("path", { class: "edge", d: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}

function box(node, place) {
  const shape = [
    el("rect", { width: WIDTH, height: HEIGHT, rx: 8 }),
    el("rect", { class: "bar", x: 6, y: 8, width: 4, height: HEIGHT - 16, rx: 2 }),
    el("text", { x: 18, y: 19, class: "label" }, short(node.label, 21)),
    el("text", { x: 18, y: 36, class: "note" }, short(node.note, 26)),
    el("title", {}, `${node.label}: ${node.note}`),
  ];
  const options = { class: `node ${node.status ?? ""}`, transform: `translate(${place.x} ${place.y})` };
  if (!node.href) return el("g", options, shape);
  return el("a", { ...options, xlink: true, id: `node-${node.id}`, href: node.href, "aria-label": `${node.label}: ${node.note}` }, shape);
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
