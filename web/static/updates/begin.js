// The form that brings a release to devices.

import { get, post } from "../core/api.js";
import { confirmed } from "../core/ask.js";
import { addressOf } from "../core/detail.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { tell } from "../core/frame.js";
import { percent } from "../core/numbers.js";
import { countTargets, serialsIn } from "../core/target.js";
import { n, t } from "../core/texts.js";

const GROUPS = 1000;
const MIDDLE = 0.25; // of the devices: the wave between the canaries and the rest
const HOUR = 3600;

const element = (id) => document.getElementById(id);
let mayStart = false;

export const groups = new Refresher(async () => {
  if (!mayStart) return;
  const { items } = await get(`/api/groups?limit=${GROUPS}`);
  keyed(element("begin-groups"), items, ({ name }) => name, ({ name }) => h("option", { value: `group ${name}`, text: name }), () => {});
  element("begin-groups").hidden = items.length === 0;
});

/** Start the form; `list` looks at the rollouts again. */
export function startBegin(role, list) {
  mayStart = role === "operate" || role === "admin";
  element("begin-who").addEventListener("change", showNames);
  element("begin-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("begin-start").disabled = true;
    setText(element("begin-problem"), "");
    await begin().catch((error) => setText(element("begin-problem"), error.message));
    element("begin-start").disabled = false;
    list.request();
  });
}

function showNames() {
  const isNamed = element("begin-who").value === "named";
  element("begin-named").hidden = !isNamed;
  element("begin-names").required = isNamed;
}

async function begin() {
  const version = element("begin-release").selectedOptions[0].textContent;
  const target = chosenTarget();
  const canary = Number(element("begin-canary").value) / 100;
  const who = await whoText(target);
  if (!(await confirmed(`${t("updates.begin_ask", { version, who })} ${inWords(canary)}`, t("updates.start")))) return;
  const halt = { failures: Number(element("begin-failures").value) / 100 };
  const order = { release: element("begin-release").value, ...target, waves: wavesOf(canary), halt, force: element("begin-force").checked };
  const { id, devices } = await post("/api/rollouts", order);
  tell(n("updates.begun", devices, { version }), true);
  element("begin-form").reset();
  showNames();
  element("begin").open = false;
  location.hash = addressOf("rollout", id);
}

function chosenTarget() {
  const who = element("begin-who").value;
  if (who === "all") return { all: true };
  if (who !== "named") return { group: who.slice("group ".length) };
  return { devices: serialsIn(element("begin-names").value) };
}

async function whoText(target) {
  const { all, group, devices } = target;
  if (!all && !group && devices.length <= 3) return devices.join(", ");
  const count = await countTargets(target);
  if (all) return n("updates.all_devices", count);
  return group ? n("updates.devices_of", count, { group }) : n("updates.named_devices", count);
}

function wavesOf(canary) {
  const first = { share: canary, success: 1, wait: canary < 1 ? HOUR : 0 };
  const middle = canary < MIDDLE ? [{ share: MIDDLE, success: 0.95, wait: HOUR }] : [];
  return canary < 1 ? [first, ...middle, { share: 1, success: 0.95, wait: 0 }] : [first];
}

function inWords(canary) {
  if (canary >= 1) return t("updates.at_once");
  const told = { share: percent(canary, 1), middle: percent(MIDDLE) };
  return t(canary < MIDDLE ? "updates.three_waves" : "updates.two_waves", told);
}
