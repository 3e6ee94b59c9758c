// Who did what: each change, and each refusal.

import { ago, ask, el, table } from "./dom.js";
import { turn } from "./lists.js";

export function auditView() {
  const pages = [null];
  return {
    async look() {
      const query = new URLSearchParams({ limit: "50" });
      if (pages.at(-1)) query.set("cursor", pages.at(-1));
      const answer = await ask(`/audit?${query}`);
      return [
        el("h1", {}, "Audit"),
        table("Audit", ["When", "Who", "Role", "Action", "Outcome", "From", "Path", "Concerns"], answer.items.map((row) => [
          ago(row.at), row.actor, row.role ?? "", row.action, outcome(row), row.address ?? "",
          el("code", {}, row.path), el("span", {}, ...concerned(row.concerns)),
        ]), "Nothing was changed or refused yet."),
        el("div", { class: "actions" },
          pages.length > 1 && turn("newer", "Newer", () => pages.pop()),
          answer.next && turn("older", "Older", () => pages.push(answer.next))),
      ];
    },
  };
}

// `run ID, ID; job ID`, with a link for each id.
function concerned(text) {
  if (!text) return [];
  let list = "runs";
  return text.split(/(run |job |[0-9a-f]{8}-[0-9a-f-]{27})/).map((part) => {
    if (part === "run " || part === "job ") list = `${part.trim()}s`;
    return /^[0-9a-f]{8}-/.test(part) ? el("a", { href: `#/${list}/${part}` }, part) : part;
  });
}

function outcome(row) {
  const color = { done: "good", refused: "failed", failed: "failed" }[row.outcome];
  return el("span", { class: color }, row.outcome, row.status ? ` (${row.status})` : "", row.count > 1 ? `, ${row.count} times` : "");
}
