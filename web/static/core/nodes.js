// Trees of supervision: the server's own, and what a device tells of its.

import { serverNow } from "./api.js";
import { ageText, h, keyed, setDue, setText, setTime } from "./dom.js";
import { t } from "./texts.js";

/** States that are neither up nor given up; all others are down. */
const ON_THE_WAY = new Set(["waiting", "starting", "stopping", "backing_off", "connecting", "connected", "paused"]);
const UP = new Set(["running", "subscribed"]);
const LONGEST = 160; // characters of an error in the tree; the traceback has all of it

export const dotOf = (state) => `dot ${UP.has(state) ? "online" : ON_THE_WAY.has(state) ? "unknown" : "offline"}`;
export const words = (state) => state.replaceAll("_", " ");

/** Draw a tree into a list, a line per node; `buttonsOf(node)` makes what a node can be told. */
export function drawTree(list, root, buttonsOf = () => []) {
  keyed(list, flatten(root, 0), ({ node }) => node.path, ({ node }) => makeNode(buttonsOf(node)), updateNode);
}

function flatten(node, depth) {
  return [{ node, depth }, ...(node.children ?? []).flatMap((child) => flatten(child, depth + 1))];
}

function makeNode(buttons) {
  return h(
    "li",
    {},
    h("div", { class: "line" }, h("i", { class: "dot" }), h("span", { class: "id" }), h("span", { class: "buttons" }, ...buttons)),
    h("p", { class: "detail quiet" }, h("span", { class: "due" }), h("span", { class: "facts" })),
    h("details", { class: "error" }, h("summary", {}, h("span", { class: "what" }), " ", h("span", { class: "when quiet" })), h("pre")),
  );
}

function updateNode(row, { node, depth }) {
  const part = (name) => row.querySelector(name);
  const parked = node.state === "quarantined";
  row.style.setProperty("--depth", Math.min(depth, 6));
  part(".dot").className = dotOf(node.state);
  setText(part(".id"), node.id);
  part(".id").title = node.path;
  const told = facts(node);
  const wait = node.next_restart_in;
  const waits = typeof wait === "number";
  setText(part(".facts"), told.join(" · "));
  setDue(part(".due"), waits ? serverNow() + wait * 1000 : null, t("supervision.next_start"));
  part(".detail").hidden = !waits && told.length === 0;
  for (const made of row.querySelectorAll("button")) {
    made.hidden = depth === 0 || (made.dataset.action === "resume") !== parked;
  }
  const failure = node.last_exception;
  part("details").hidden = !failure;
  if (failure) {
    setText(part(".what"), failure.error.length > LONGEST ? `${failure.error.slice(0, LONGEST)}…` : failure.error);
    setTime(part(".when"), failure.at, t("common.ago"));
    setText(part("pre"), failure.traceback || failure.error);
  }
}

/** What is worth telling of a node; that it waits for its next start is told with the time that is left. */
function facts(node) {
  const told = [];
  if (node.state !== "running" && typeof node.next_restart_in !== "number") told.push(words(node.state));
  // Where every child has a line of its own, counts would only repeat them.
  if ((node.total ?? 0) > (node.children ?? []).length) {
    for (const [state, count] of Object.entries(node.counts)) told.push(`${count.toLocaleString()} ${words(state)}`);
  }
  if (node.restarts) told.push(`${node.restarts} ${node.restarts === 1 ? "restart" : "restarts"}`);
  if (node.mailbox) {
    const oldest = node.mailbox_age >= 1 ? ` for ${ageText(node.mailbox_age)}` : "";
    told.push(`${node.mailbox.toLocaleString()} waiting${oldest}`);
  }
  return told;
}
