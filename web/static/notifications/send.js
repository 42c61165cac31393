// The form that sends a notification: to whom, what, how; who many are is asked before they get it.

import { get, post } from "../core/api.js";
import { confirmed } from "../core/ask.js";
import { addressOf } from "../core/detail.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { countTargets, serialsIn } from "../core/target.js";
import { n, t } from "../core/texts.js";

const MOST_GROUPS = 1000;

const element = (id) => document.getElementById(id);
let maySend = false;

export const groups = new Refresher(async () => {
  if (!maySend) return;
  const { items } = await get(`/api/groups?limit=${MOST_GROUPS}`);
  keyed(element("to-group"), items, ({ name }) => name, ({ name }) => h("option", { value: name, text: name }), () => {});
  element("to").querySelector('[value="group"]').disabled = items.length === 0;
});

/** Start the form; `list` looks again when something was sent. */
export function startSending(role, list) {
  maySend = role === "operate" || role === "admin";
  element("sending").hidden = !maySend;
  element("to").addEventListener("change", fit);
  element("send").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("send-go").disabled = true;
    await send().catch((error) => setText(element("send-problem"), error.message));
    element("send-go").disabled = false;
    list.request();
  });
  fit();
}

/** Ask only for what says who is meant. */
function fit() {
  const to = element("to").value;
  for (const label of element("send").querySelectorAll("[data-to]")) {
    label.hidden = label.dataset.to !== to;
    label.lastElementChild.required = label.dataset.to === to;
  }
}

/** Who is meant, as the API wants it. */
function target() {
  const to = element("to").value;
  if (to === "all") return { all: true };
  const text = element(`to-${to}`).value.trim();
  return { [to]: to === "devices" ? serialsIn(text) : text };
}

/** The question before many get it; empty where it goes to one, or to whoever listens to a topic. */
async function question(who) {
  if (who.all) return n("notifications.ask_all", await countTargets(who));
  if (who.group) return n("notifications.ask_group", await countTargets(who), { group: who.group });
  return who.devices?.length > 1 ? n("notifications.ask_devices", who.devices.length) : "";
}

function contents() {
  const [title, body, priority] = ["subject", "body", "priority"].map((id) => element(id).value);
  const chosen = { title, body, priority, retain: element("retain").checked };
  if (element("qos").value) chosen.qos = Number(element("qos").value);
  if (element("ttl").value) chosen.ttl = Number(element("ttl").value);
  return chosen;
}

async function send() {
  setText(element("send-problem"), "");
  element("sent").hidden = true;
  const who = target();
  const asked = await question(who);
  if (asked && !(await confirmed(asked, t("notifications.send")))) return;
  const told = await post("/api/notifications", { ...who, ...contents() });
  element("send").reset();
  fit();
  tellSent(told);
}

function tellSent({ id, recipients, warnings }) {
  const link = h("a", { href: addressOf("notification", id), text: t("notifications.sent_link") });
  element("sent").replaceChildren(n("notifications.is_sent", recipients), " ", ...warnings.flatMap((warning) => [warning, " "]), link);
  element("sent").hidden = false;
}
