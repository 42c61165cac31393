// Trees of supervision: the server's own, and what a device tells of its.

import { serverNow } from "./api.js";
import { ageText, h, keyed, setDue, setText, setTime } from "./dom.js";
import { number } from "./numbers.js";
import { stateText } from "./states.js";
import { n, t } from "./texts.js";

/** States that are neither up nor given up; all others are down. */
const ON_THE_WAY = new Set(["waiting", "starting", "stopping", "restarting", "backing_off", "connecting", "connected", "paused"]);
const UP = new Set(["running", "subscribed"]);
const SLOW = 5; // seconds that a message may wait
const LATELY = 600000; // ms for which a crash is worth a look
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
  const told = factsOf(node);
  if (node.state !== "running" && typeof node.next_restart_in !== "number") told.unshift(stateText(node.state));
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

/** What is worth telling of a node besides its state and the time to its next start. */
export function factsOf(node) {
  const told = [];
  // Where every child has a line of its own, counts would only repeat them.
  if ((node.total ?? 0) > (node.children ?? []).length) {
    for (const [state, count] of Object.entries(node.counts)) told.push(`${number(count)} ${stateText(state)}`);
  }
  if (node.restarts) told.push(n("supervision.restarts", node.restarts));
  if (node.mailbox) told.push(`${n("supervision.waiting", node.mailbox)}${ageOf(node)}`);
  return told;
}

/** How long the oldest message of a mailbox has waited, where that is worth telling. */
export const ageOf = ({ mailbox_age: age }) => (age >= 1 ? t("supervision.oldest", { age: ageText(age) }) : "");

/** Whether there is nothing to see to in a node itself: it runs, takes its mail, and has not crashed lately. */
export function isWell(node, now) {
  if (node.state !== "running" || node.mailbox_age >= SLOW || node.breakers?.length) return false;
  return !node.last_exception || now - Date.parse(node.last_exception.at) > LATELY;
}
