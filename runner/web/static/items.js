// The jobs of a foreach, which a graph shows as one box until someone opens it.

import { action } from "./dom.js";

const FEW = 6;
const ENDED = new Set(["completed", "failed", "cancelled", "skipped"]);
// What a person has to know of many jobs, the most urgent first.
const URGENT = ["failed", "retrying", "started", "queued", "waiting", "cancelled", "completed", "skipped"];

// Which jobs are drawn as one, and what a click on them does. `redraw` shows the graph again.
export function folding(redraw) {
  const opened = new Set();
  const turn = (step) => {
    if (!opened.delete(step)) opened.add(step);
    redraw();
    // What was pressed is gone; the keyboard goes on at what undoes it.
    document.getElementById(opened.has(step) ? `fold-${step}` : `node-items-${step}`)?.focus();
  };

  // Returns the nodes to draw, those of many items put together.
  function fold(nodes) {
    const groups = groupsOf(nodes, opened);
    const into = new Map([...groups].flatMap(([step, items]) => items.map((item) => [item.id, `items-${step}`])));
    const after = (node) => [...new Set(node.after.map((id) => into.get(id) ?? id))];
    const drawn = new Set();
    return nodes.flatMap((node) => {
      if (!into.has(node.id)) return [{ ...node, after: after(node) }];
      const step = stepOf(node);
      if (drawn.has(step)) return [];
      drawn.add(step);
      const items = groups.get(step);
      const above = [...new Set(items.flatMap(after))];
      return [{ ...summary(step, items), id: into.get(node.id), after: above, onopen: () => turn(step) }];
    });
  }

  const buttons = (nodes) => [...groupsOf(nodes, new Set()).keys()].filter((step) => opened.has(step))
    .map((step) => action(`fold-${step}`, `Show ${step} as one box`, async () => turn(step)));

  return { fold, buttons };
}

const stepOf = (node) => /^(.+)\[\d+\]$/.exec(node.label)?.[1];

function groupsOf(nodes, opened) {
  const groups = new Map();
  for (const node of nodes) {
    const step = stepOf(node);
    if (step && !opened.has(step)) {
      if (!groups.has(step)) groups.set(step, []);
      groups.get(step).push(node);
    }
  }
  return new Map([...groups].filter(([, items]) => items.length > FEW));
}

function summary(step, items) {
  const count = (status) => items.filter((item) => item.status === status).length;
  const status = URGENT.find(count);
  const ended = items.filter((item) => ENDED.has(item.status)).length;
  return {
    label: `${step} × ${items.length}`,
    status,
    note: count(status) === items.length ? `all ${status}` : `${ended} ended${count("failed") ? `, ${count("failed")} failed` : ""}`,
    handler: items[0].handler,
  };
}
