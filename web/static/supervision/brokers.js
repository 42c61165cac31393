// The brokers: the links to each with what can be told to them, and what the broker tells of itself.

import { get, post } from "../core/api.js";
import { ageText, bothTimes, h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { dotOf } from "../core/nodes.js";
import { bytes, number, withUnit } from "../core/numbers.js";
import { stateText } from "../core/states.js";
import { n, t } from "../core/texts.js";
import { showThose } from "./buttons.js";

/** Figures in the order in which they are shown; the first ones always, the others on demand. */
const FIRST = [
  "clients_connected",
  "messages_received_rate",
  "messages_sent_rate",
  "publish_dropped",
  "messages_stored",
  "subscriptions",
  "heap_current",
  "uptime",
];
const MORE = [
  "clients_disconnected",
  "clients_maximum",
  "clients_total",
  "clients_expired",
  "connections_rate",
  "messages_received",
  "messages_sent",
  "publish_received",
  "publish_sent",
  "publish_received_rate",
  "publish_sent_rate",
  "publish_dropped_rate",
  "bytes_received",
  "bytes_sent",
  "bytes_received_rate",
  "bytes_sent_rate",
  "bytes_stored",
  "retained",
  "heap_maximum",
];
const UNITS = {
  s: (value) => ageText(value),
  B: bytes,
  "1/min": (value) => withUnit(value, t("supervision.per_minute"), 1),
  "B/min": (value) => `${bytes(value)}${t("supervision.each_minute")}`,
};
const STATES = { subscribed: "online", connected: "unknown", connecting: "unknown", congested: "unknown", paused: "unknown" };

const element = (id) => document.getElementById(id);
let mayOperate = false;

export const brokers = new Refresher(async () => {
  const [known, links] = await Promise.all([get("/api/brokers"), get("/api/links")]);
  const byName = new Map(links.items.map((link) => [link.name, link]));
  keyed(element("brokers"), known.items, ({ name }) => name, makeBroker, (row, broker) =>
    updateBroker(row, broker, broker.links.map((name) => byName.get(name)).filter(Boolean)),
  );
});

export function startBrokers(role) {
  mayOperate = role;
}

function makeBroker() {
  return h(
    "li",
    {},
    h("h3", {}, h("span", { class: "name-of" }), " ", h("span", { class: "address quiet" })),
    h("ul", { class: "links" }),
    h("p", { class: "version quiet" }),
    h("p", { class: "reason quiet" }),
    h("dl", { class: "figures" }),
    h("details", { class: "more" }, h("summary", { text: t("supervision.more_figures") }), h("dl", { class: "figures" })),
  );
}

function updateBroker(row, broker, links) {
  const part = (name) => row.querySelector(name);
  setText(part(".name-of"), broker.name);
  setText(part(".address"), broker.address);
  keyed(part(".links"), links, ({ name }) => name, makeLink, updateLink);
  const heard = Object.values(broker.figures)
    .map((figure) => figure.heard)
    .sort()
    .at(-1);
  setTime(part(".version"), heard ?? null, t("supervision.told", { version: broker.version ?? t("supervision.this_broker") }));
  part(".version").hidden = !heard;
  setText(part(".reason"), broker.reason ?? "");
  part(".reason").hidden = !broker.reason;
  const [first, more] = row.querySelectorAll(".figures");
  drawFigures(first, FIRST, broker.figures);
  drawFigures(more, MORE, broker.figures);
  part(".more").hidden = more.children.length === 0;
}

function drawFigures(list, names, figures) {
  keyed(list, names.filter((name) => name in figures), (name) => name, makeFigure, (item, name) => updateFigure(item, name, figures[name]));
  list.hidden = list.children.length === 0;
}

function makeFigure(name) {
  return h("div", {}, h("dt", { text: t(`supervision.figure.${name}`) }), h("dd"));
}

function updateFigure(item, name, { value, unit, heard }) {
  const shown = item.lastElementChild;
  setText(shown, UNITS[unit]?.(value) ?? number(value));
  shown.title = bothTimes(heard);
  // What a broker has thrown away is no figure like others.
  item.classList.toggle("bad", name.startsWith("publish_dropped") && value > 0);
}

function makeLink({ name }) {
  const isData = name.endsWith(".data");
  const order = (action, label, says) => {
    const made = button(label, `${label}: ${name}`, () => post(`/api/links/${encodeURIComponent(name)}/${action}`), brokers, says);
    made.dataset.action = action;
    return made;
  };
  const buttons = [
    order("reconnect", t("supervision.reconnect"), { done: t("supervision.reconnects", { name }) }),
    order("pause", t("supervision.pause"), {
      confirm: t(isData ? "supervision.pause_data_sure" : "supervision.pause_control_sure", { name }),
      done: t("supervision.pauses", { name }),
    }),
    order("resume", t("supervision.resume"), { done: t("supervision.link_resumes", { name }) }),
  ];
  return h(
    "li",
    {},
    h("i", { class: "dot" }),
    h(
      "p",
      {},
      h("span", { class: "id", text: name }),
      h("span", { class: "how" }, h("span", { class: "state" }), " ", h("span", { class: "since quiet" })),
    ),
    mayOperate ? h("span", { class: "buttons" }, ...buttons) : null,
    h("p", { class: "why" }),
    h("p", { class: "carried quiet" }),
  );
}

function updateLink(row, link) {
  const part = (name) => row.querySelector(name);
  part(".dot").className = `dot ${STATES[link.state] ?? "offline"}`;
  setText(part(".state"), stateText(link.state));
  setTime(part(".since"), link.since, t("supervision.for"));
  setText(part(".why"), whyText(link));
  part(".why").hidden = !part(".why").textContent;
  const told = [n("supervision.received", link.received), n("supervision.published", link.published)];
  if (link.unresolved) told.push(n("supervision.unresolved", link.unresolved));
  if (link.reconnects) told.push(n("supervision.reconnected", link.reconnects));
  setText(part(".carried"), told.join(" · "));
  const isPaused = link.state === "paused";
  showThose(row.querySelectorAll("button"), ({ dataset }) => (dataset.action === "resume") === isPaused);
}

/** Why a link is not up, in a sentence: ours where its state tells all, else the server's. */
function whyText({ state, connected, detail, name }) {
  if (state === "paused") return t(name.endsWith(".data") ? "supervision.paused_data" : "supervision.paused_control");
  if (state === "congested") return t("supervision.congested");
  return connected ? "" : detail;
}
