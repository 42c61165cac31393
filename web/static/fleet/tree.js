// The supervision tree with its buttons, the links and the dead letters.

import { escapePath, get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { dotOf, drawTree, words } from "../core/nodes.js";
import { t } from "../core/texts.js";

/** A link that waits for its next attempt is down; only one whose subscriptions are all acknowledged is up. */
const LINK_WORDS = { subscribed: "up", backing_off: "down", taken_over: "taken over by another client" };

const element = (id) => document.getElementById(id);
let mayOperate = false;

export function start(role) {
  mayOperate = role === "operate" || role === "admin";
}

export const tree = new Refresher(async () => {
  drawTree(element("tree"), await get("/api/supervision"), mayOperate ? buttonsOf : undefined);
});

function buttonsOf(node) {
  return ["Restart", "Quarantine", "Resume"].map((label) => {
    const action = label.toLowerCase();
    const path = `/api/supervision/${escapePath(node.path)}/${action}`;
    const made = button(label, `${label} ${node.path}`, () => post(path), tree);
    made.dataset.action = action;
    return made;
  });
}

export const links = new Refresher(async () => {
  const { items } = await get("/api/links");
  keyed(element("links"), items, (link) => link.name, makeLink, updateLink);
});

export const letters = new Refresher(async () => {
  const { items, cursor } = await get("/api/dead-letters?limit=8");
  setText(element("letters-note"), items.length ? (cursor ? "the latest 8" : "") : "none");
  keyed(element("letters"), items, (letter) => letter.id, makeLetter, updateLetter);
});

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
  setTime(row.querySelector(".when"), letter.rx, letter.replayed ? t("dead_letters.replayed_ago") : t("common.ago"));
}
