// The device's actor on the server, which operators may restart, park and start again, and the device's own tree.

import { ApiError, escapePath, get, post } from "../core/api.js";
import { ageText, h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { dotOf, drawTree } from "../core/nodes.js";
import { number } from "../core/numbers.js";
import { t, tOr } from "../core/texts.js";
import { actorPath, element, path, serial } from "./this.js";

const ACTIONS = ["restart", "quarantine", "resume"];
let isSupervised = false;

export const actor = new Refresher(async () => {
  try {
    draw(await get(`/api/supervision/${escapePath(actorPath)}`));
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    setText(element("actor-state"), t("device.actor.none"));
    element("actor-dot").className = "dot offline";
  }
});

export const tree = new Refresher(async () => {
  element("own").hidden = !isSupervised;
  if (isSupervised) drawTree(element("own-tree"), await get(path("/supervision")));
});

export function onKnown({ supervised }) {
  isSupervised = supervised;
}

export function start(role) {
  if (role !== "operate" && role !== "admin") return;
  const tell = (action) =>
    button(
      t(`device.actor.do.${action}`),
      t(`device.actor.this.${action}`),
      () => post(`/api/supervision/${escapePath(actorPath)}/${action}`),
      actor,
      { confirm: action === "resume" ? "" : t(`device.actor.ask.${action}`, { serial }), done: t(`device.actor.done.${action}`) },
    );
  for (const action of ACTIONS) {
    const made = tell(action);
    made.dataset.action = action;
    element("actor-buttons").append(made);
  }
}

function draw(node) {
  const isParked = node.state === "quarantined";
  element("actor-dot").className = dotOf(node.state);
  setText(element("actor-state"), tOr("states.", node.state));
  for (const made of element("actor-buttons").children) made.hidden = (made.dataset.action === "resume") !== isParked;
  keyed(element("actor-facts"), facts(node), ([name]) => name, makeFact, updateFact);
  drawFailure(node.last_exception);
}

function facts(node) {
  const wait = node.next_restart_in;
  return [
    ["restarts", number(node.restarts)],
    ["mailbox", number(node.mailbox)],
    ["mailbox_age", node.mailbox ? ageText(node.mailbox_age) : "–"],
    ...(typeof wait === "number" ? [["next_restart", t("common.in", { age: ageText(wait + 1) })]] : []),
  ];
}

function makeFact([name]) {
  return h("div", {}, h("dt", { text: t(`device.actor.fact.${name}`) }), h("dd"));
}

function updateFact(fact, [, value]) {
  setText(fact.querySelector("dd"), value);
}

function drawFailure(failure) {
  element("actor-failure").hidden = !failure;
  element("actor-well").hidden = Boolean(failure);
  if (!failure) return;
  setText(element("actor-error"), failure.error);
  setTime(element("actor-when"), failure.at, t("common.ago"));
  setText(element("actor-traceback"), failure.traceback || failure.error);
}
