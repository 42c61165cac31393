// The supervision tree with its buttons, the links and the dead letters.

import { escapePath, get, post, serverNow } from "./api.js";
import { ageText, h, keyed, Refresher, setDue, setText, setTime } from "./dom.js";

/** States that are neither up nor given up; all others are down. */
const ON_THE_WAY = new Set(["waiting", "starting", "stopping", "backing_off", "connecting", "connected", "paused"]);
const UP = new Set(["running", "subscribed"]);
const dotOf = (state) => `dot ${UP.has(state) ? "online" : ON_THE_WAY.has(state) ? "unknown" : "offline"}`;
/** A link that waits for its next attempt is down; only one whose subscriptions are all acknowledged is up. */
const LINK_WORDS = { subscribed: "up", backing_off: "down", taken_over: "taken over by another client" };
const LONGEST = 160; // characters of an error in the tree; the traceback has all of it
const words = (state) => state.replaceAll("_", " ");

const element = (id) => document.getElementById(id);
let press = async () => {};
let mayOperate = false;

/** `run(action)` runs what a button does and reports its failure. */
export function start(role, run) {
  mayOperate = role === "operate" || role === "admin";
  press = run;
}

export const tree = new Refresher(async () => {
  const nodes = flatten(await get("/api/supervision"), 0);
  keyed(element("tree"), nodes, ({ node }) => node.path, makeNode, updateNode);
});

export const links = new Refresher(async () => {
  const { items } = await get("/api/links");
  keyed(element("links"), items, (link) => link.name, makeLink, updateLink);
});

export const letters = new Refresher(async () => {
  const { items, cursor } = await get("/api/dead-letters?limit=8");
  setText(element("letters-note"), items.length ? (cursor ? "the latest 8" : "") : "none");
  keyed(element("letters"), items, (letter) => letter.id, makeLetter, updateLetter);
});

function flatten(node, depth) {
  return [{ node, depth }, ...(node.children ?? []).flatMap((child) => flatten(child, depth + 1))];
}

function button(label, title, action, after) {
  return h("button", {
    type: "button",
    class: "small",
    text: label,
    "aria-label": title,
    onclick: async (event) => {
      const pressed = event.currentTarget;
      pressed.disabled = true;
      await press(action);
      pressed.disabled = false;
      after.request();
    },
  });
}

function makeNode({ node }) {
  const act = (action) => () => post(`/api/supervision/${escapePath(node.path)}/${action}`);
  const buttons = h("span", { class: "buttons" });
  if (mayOperate) {
    for (const [action, label] of [["restart", "Restart"], ["quarantine", "Quarantine"], ["resume", "Resume"]]) {
      const made = button(label, `${label} ${node.path}`, act(action), tree);
      made.dataset.action = action;
      buttons.append(made);
    }
  }
  return h(
    "li",
    {},
    h("div", { class: "line" }, h("i", { class: "dot" }), h("span", { class: "id" }), buttons),
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
  setDue(part(".due"), waits ? serverNow() + wait * 1000 : null, "down, next start ");
  part(".detail").hidden = !waits && told.length === 0;
  for (const made of row.querySelectorAll("button")) {
    made.hidden = depth === 0 || (made.dataset.action === "resume") !== parked;
  }
  const failure = node.last_exception;
  part("details").hidden = !failure;
  if (failure) {
    setText(part(".what"), failure.error.length > LONGEST ? `${failure.error.slice(0, LONGEST)}…` : failure.error);
    setTime(part(".when"), failure.at, " ago");
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

function makeLink(link) {
  const reconnect = button("Reconnect", `Reconnect ${link.name}`, () => post(`/api/links/${encodeURIComponent(link.name)}/reconnect`), links);
  return h(
    "li",
    {},
    h(
      "div",
      { class: "line" },
      h("i", { class: "dot" }),
      h("span", { class: "id" }),
      h("span", { class: "facts quiet" }, h("span", { class: "state" }), " ", h("span", { class: "since" })),
      mayOperate ? h("span", { class: "buttons" }, reconnect) : null,
    ),
    h("p", { class: "detail quiet" }),
  );
}

function updateLink(row, link) {
  const part = (name) => row.querySelector(name);
  part(".dot").className = link.state === "backing_off" ? "dot offline" : dotOf(link.state);
  setText(part(".id"), link.name);
  setText(part(".state"), LINK_WORDS[link.state] ?? words(link.state));
  setTime(part(".since"), link.since);
  setText(part(".detail"), link.detail ?? "");
}

function makeLetter(letter) {
  const replay = button("Replay", `Replay dead letter ${letter.id}`, () => post(`/api/dead-letters/${letter.id}/replay`), letters);
  return h(
    "li",
    {},
    h(
      "div",
      { class: "line" },
      h("span", { class: "badge", text: letter.reason }),
      h("span", { class: "id topic", text: letter.topic }),
      h("span", { class: "facts quiet when" }),
      mayOperate ? h("span", { class: "buttons" }, replay) : null,
    ),
    h("details", {}, h("summary", { text: letter.detail || "payload" }), h("pre", { text: letter.payload })),
  );
}

function updateLetter(row, letter) {
  setTime(row.querySelector(".when"), letter.rx, letter.replayed ? " ago, replayed" : " ago");
}
