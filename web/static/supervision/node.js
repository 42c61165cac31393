// One node in detail, with what it can be told.

import { ApiError, escapePath, get, post, serverNow } from "../core/api.js";
import { h, keyed, Refresher, setDue, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { ageOf, dotOf } from "../core/nodes.js";
import { number } from "../core/numbers.js";
import { stateText } from "../core/states.js";
import { n, t } from "../core/texts.js";
import { showThose } from "./buttons.js";
import { choose, chosen, onChoice } from "./chosen.js";
import { tree } from "./tree.js";

const FACE = "server/http"; // serves this page: parked it could not be brought back from here
const DEVICES = "server/devices/";
const element = (id) => document.getElementById(id);

let mayOperate = false;
let drawn = ""; // the path of the node that is shown

export const node = new Refresher(async () => {
  const path = chosen();
  if (!path) return draw(null);
  try {
    const found = await get(`/api/supervision/${escapePath(path)}`);
    if (path === chosen()) draw(found);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    if (path === chosen()) drawGone(path);
  }
});

export function startNode(role) {
  mayOperate = role;
  onChoice(() => node.request());
  element("node-close").addEventListener("click", () => {
    const line = document.querySelector('[role="treeitem"][aria-selected="true"]');
    choose("");
    line?.focus();
  });
}

function draw(found) {
  element("node").hidden = !found;
  if (!found) return;
  setText(element("node-title"), found.id);
  setText(element("node-path"), found.path);
  drawDevice(found.path);
  keyed(element("node-facts"), factsOf(found), ({ key, of = "" }) => key + of, makeFact, updateFact);
  if (drawn !== found.path) element("node-buttons").replaceChildren(...(mayOperate ? buttonsOf(found) : []));
  drawn = found.path;
  const isParked = found.state === "quarantined";
  showThose(element("node-buttons").children, ({ dataset }) => (dataset.action === "resume") === isParked);
  drawFailure(found.last_exception);
  element("node-fine").hidden = Boolean(found.last_exception);
}

function drawGone(path) {
  drawn = "";
  element("node").hidden = false;
  setText(element("node-title"), path.split("/").at(-1));
  setText(element("node-path"), path);
  drawDevice(path);
  keyed(element("node-facts"), [{ key: "state", text: t("supervision.gone") }], ({ key }) => key, makeFact, updateFact);
  element("node-buttons").replaceChildren();
  drawFailure(null);
  element("node-fine").hidden = true;
}

/** Lead from the actor of a device to the device. */
function drawDevice(path) {
  const isDevice = path.startsWith(DEVICES);
  element("node-device").hidden = !isDevice;
  if (isDevice) element("node-device").firstElementChild.href = `/devices/${encodeURIComponent(path.slice(DEVICES.length))}`;
}

function drawFailure(failure) {
  element("node-error").hidden = !failure;
  if (!failure) return;
  setTime(element("node-when"), failure.at, t("common.ago"));
  setText(element("node-what"), failure.error);
  setText(element("node-trace"), failure.traceback);
  element("node-trace").hidden = !failure.traceback;
}

function factsOf(found) {
  const waits = typeof found.next_restart_in === "number";
  const facts = [
    { key: "state", text: stateText(found.state), dot: dotOf(found.state) },
    ...(waits ? [{ key: "next", due: serverNow() + found.next_restart_in * 1000 }] : []),
    { key: "restarts", text: number(found.restarts) },
    { key: "mailbox", text: mailboxText(found) },
  ];
  if (found.total !== undefined) {
    const counts = Object.entries(found.counts).map(([state, count]) => `${number(count)} ${stateText(state)}`);
    facts.push({ key: "children", text: counts.join(" · ") || number(0) });
    facts.push({ key: "restarts_below", text: number(found.restarts_of_children) });
    facts.push({ key: "dead_mail", text: number(found.dead_mail) });
    for (const fault of found.breakers ?? []) {
      facts.push({ key: "breaker", of: fault.type + fault.where, text: t("supervision.breaker", { type: fault.type, count: number(fault.crashes) }) });
    }
  }
  return facts;
}

function mailboxText(found) {
  if (!found.mailbox) return t("supervision.empty");
  return `${n("supervision.waiting", found.mailbox)}${ageOf(found)}`;
}

function makeFact() {
  return h("div", {}, h("dt"), h("dd", {}, h("i"), h("span")));
}

function updateFact(row, { key, text, dot, due }) {
  const [name, value] = row.children;
  const [mark, words] = value.children;
  setText(name, t(`supervision.fact.${key}`));
  mark.className = dot ?? "";
  if (due) setDue(words, due, "{due}");
  else setText(words, text);
}

/** What a node can be told; asked before what interrupts it. The top of the tree can be told nothing. */
function buttonsOf({ path, id, type }) {
  if (!path.includes("/")) return [];
  const isGroup = type === "supervisor";
  const made = [
    tell(path, "restart", t("supervision.restart"), {
      confirm: t(isGroup ? "supervision.restart_group_sure" : "supervision.restart_sure", { id }),
      done: t("supervision.restarted", { id }),
    }),
    path === FACE
      ? null
      : tell(path, "quarantine", t("supervision.quarantine"), {
          confirm: t(isGroup ? "supervision.quarantine_group_sure" : "supervision.quarantine_sure", { id }),
          done: t("supervision.quarantined", { id }),
        }),
    tell(path, "resume", t("supervision.resume"), { done: t("supervision.resumed", { id }) }),
  ];
  return made.filter(Boolean);
}

function tell(path, action, label, says) {
  const order = () => post(`/api/supervision/${escapePath(path)}/${action}`);
  const made = button(label, `${label}: ${path}`, order, { request: () => (tree.request(), node.request()) }, says);
  made.className = "plain";
  made.dataset.action = action;
  return made;
}
