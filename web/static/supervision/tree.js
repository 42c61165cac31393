// The tree of actors as a tree: what runs, what restarts, what waits. Arrows move in it, what is closed stays closed.

import { ApiError, escapePath, get, serverNow } from "../core/api.js";
import { h, keyed, Refresher, setDue, setText, setTime } from "../core/dom.js";
import { dotOf, factsOf, isWell } from "../core/nodes.js";
import { number } from "../core/numbers.js";
import { stateText } from "../core/states.js";
import { n, t } from "../core/texts.js";
import { choose, chosen, onChoice } from "./chosen.js";

const ROOT = "server";
const KEPT = "muster.supervision.closed"; // of localStorage: paths of what is closed
const MOST_KEPT = 100;
const element = (id) => document.getElementById(id);

const closed = new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));
let root = null;
let lines = 0;

export const tree = new Refresher(async () => {
  root = await get("/api/supervision");
  draw();
});

export function startTree() {
  element("only").addEventListener("change", draw);
  element("tree").addEventListener("click", onClick);
  element("tree").addEventListener("keydown", onKey);
  element("find").addEventListener("submit", (event) => {
    event.preventDefault();
    find(element("path").value.trim());
  });
  onChoice(mark);
}

function draw() {
  if (!root) return;
  const only = element("only").checked;
  const shown = only ? pruned(root) : root;
  element("tree-none").hidden = shown !== null;
  drawBranch(element("tree"), shown ? [shown] : [], 1);
  setText(element("sum"), sumOf(root));
  mark();
}

/** What of a tree is not well, with what is above it; null when all is. */
function pruned(node) {
  const children = (node.children ?? []).map(pruned).filter(Boolean);
  if (children.length === 0 && isWell(node, serverNow())) return null;
  return node.children ? { ...node, children, total: children.length } : node;
}

/** The tree in one sentence: how many stand in which state, and how often something was started again. */
function sumOf(top) {
  const counts = {};
  let restarts = 0;
  const add = (state, count) => (counts[state] = (counts[state] ?? 0) + count);
  const visit = (node) => {
    restarts += node.restarts;
    const children = node.children ?? [];
    // Of many only the remarkable are listed; the others are counted.
    if (node.total > children.length) {
      for (const [state, count] of Object.entries(node.counts)) add(state, count);
      restarts += node.restarts_of_children;
    } else children.forEach(visit);
    if (!node.children) add(node.state, 1);
  };
  visit(top);
  const told = Object.entries(counts).map(([state, count]) => `${number(count)} ${stateText(state)}`);
  return [...told, n("supervision.restarts", restarts)].join(" · ");
}

function drawBranch(list, nodes, level) {
  keyed(list, nodes, ({ path }) => path, (node) => make(node, level), (item, node) => update(item, node, level));
}

function make(node, level) {
  const id = `line-${(lines += 1)}`;
  const line = h(
    "div",
    { class: "line", id },
    h("i", { class: "twisty", "aria-hidden": "true" }),
    h("i", { class: "dot" }),
    h("span", { class: "texts" }, ...["id", "state", "due", "facts quiet", "when quiet"].map((name) => h("span", { class: name }))),
  );
  const item = h("li", { role: "treeitem", "aria-level": level, "aria-labelledby": id, tabindex: -1 }, line);
  if (node.children) item.append(h("ul", { role: "group" }), h("p", { class: "unlisted quiet" }));
  return item;
}

function update(item, node, level) {
  const [line, group, unlisted] = item.children;
  const part = (name) => line.querySelector(`.${name}`);
  const waits = typeof node.next_restart_in === "number";
  part("dot").className = dotOf(node.state);
  setText(part("id"), node.id);
  setText(part("state"), node.state === "running" || waits ? "" : stateText(node.state));
  setDue(part("due"), waits ? serverNow() + node.next_restart_in * 1000 : null, t("supervision.next_start"));
  setText(part("facts"), factsOf(node).join(" · "));
  updateCrash(part("when"), node.last_exception);
  if (!group) return;
  const children = node.children ?? [];
  const isOpen = !closed.has(node.path);
  const more = (node.total ?? 0) - children.length;
  setText(unlisted, more > 0 ? t("supervision.unlisted") : "");
  if (children.length) item.setAttribute("aria-expanded", isOpen);
  else item.removeAttribute("aria-expanded");
  group.hidden = !isOpen || children.length === 0;
  unlisted.hidden = !isOpen || more <= 0;
  drawBranch(group, children, level + 1);
}

/** Tell when a node has crashed last, if it has. */
function updateCrash(when, failure) {
  if (failure) setTime(when, failure.at, t("supervision.crashed"));
  else if (when.dataset.time) {
    delete when.dataset.time;
    when.title = "";
    setText(when, "");
  }
}

// Moving in it: one line at a time can be reached by the tab key, arrows lead to the others.

const all = () => [...element("tree").querySelectorAll('[role="treeitem"]')];
const visible = () => all().filter((item) => item.offsetParent !== null);
const itemOf = (path) => all().find((item) => item.dataset.key === path);

function mark() {
  const items = all();
  const here = items.find((item) => item === document.activeElement) ?? itemOf(chosen()) ?? items[0];
  for (const item of items) {
    const isChosen = item.dataset.key === chosen();
    if (item.getAttribute("aria-selected") !== String(isChosen)) item.setAttribute("aria-selected", isChosen);
    item.tabIndex = item === here ? 0 : -1;
  }
}

function focusOn(item) {
  if (!item) return;
  for (const other of all()) other.tabIndex = other === item ? 0 : -1;
  item.focus();
}

function toggle(item, isOpen) {
  const path = item.dataset.key;
  if (isOpen) closed.delete(path);
  else closed.add(path);
  localStorage.setItem(KEPT, JSON.stringify([...closed].slice(-MOST_KEPT)));
  draw();
}

function show(item) {
  choose(item.dataset.key);
  focusOn(item);
  reveal();
}

/** On a narrow screen what is told of a node stands below the tree. */
function reveal() {
  const node = element("node");
  if (node.getBoundingClientRect().top > innerHeight) node.scrollIntoView({ block: "nearest" });
}

function onClick(event) {
  const item = event.target.closest('[role="treeitem"]');
  if (!item) return;
  if (event.target.closest(".twisty") && item.hasAttribute("aria-expanded")) {
    toggle(item, item.getAttribute("aria-expanded") === "false");
    focusOn(item);
  } else show(item);
}

const KEYS = {
  ArrowDown: (item, items) => focusOn(items[items.indexOf(item) + 1]),
  ArrowUp: (item, items) => focusOn(items[items.indexOf(item) - 1]),
  Home: (_, items) => focusOn(items[0]),
  End: (_, items) => focusOn(items.at(-1)),
  ArrowRight(item, items) {
    if (item.getAttribute("aria-expanded") === "false") toggle(item, true);
    else if (item.hasAttribute("aria-expanded")) focusOn(items[items.indexOf(item) + 1]);
  },
  ArrowLeft(item) {
    if (item.getAttribute("aria-expanded") === "true") toggle(item, false);
    else focusOn(item.parentElement.closest('[role="treeitem"]'));
  },
  Enter: show,
  " ": show,
};

function onKey(event) {
  const item = event.target.closest('[role="treeitem"]');
  const act = KEYS[event.key];
  if (!act || !item || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(item, visible());
}

// Finding one, also a device that the tree does not list.

function* walk(node) {
  yield node;
  for (const child of node.children ?? []) yield* walk(child);
}

const below = (path) => path.replace(new RegExp(`^${ROOT}/`), "");

async function find(text) {
  element("missed").hidden = true;
  if (!text || !root) return;
  const nodes = [...walk(root)];
  const listed =
    nodes.find(({ path, id }) => below(path) === below(text) || id === text) ?? nodes.find(({ path }) => below(path).includes(text));
  const path = listed?.path ?? (await unlistedPath(text));
  if (path) {
    open(path);
    choose(path);
    draw();
    focusOn(itemOf(path));
    reveal();
  } else {
    setText(element("missed"), t("supervision.missed", { path: text }));
    element("missed").hidden = false;
  }
}

/** The path of a node that only the server knows, by its path or as a device; empty when there is none. */
async function unlistedPath(text) {
  for (const path of [below(text), `devices/${below(text)}`]) {
    try {
      return (await get(`/api/supervision/${escapePath(path)}`)).path;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
  return "";
}

/** Open all that is above a node. */
function open(path) {
  const parts = path.split("/");
  for (let depth = 1; depth < parts.length; depth += 1) closed.delete(parts.slice(0, depth).join("/"));
}
