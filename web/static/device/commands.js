// What the device was asked to do, live, and the form to ask it.

import { get, post } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button, run } from "../core/frame.js";
import { drawState, isUnderWay } from "../core/states.js";
import { t } from "../core/texts.js";
import { drawProblem, parseObject } from "./json.js";
import { element, path } from "./this.js";

const SHOWN = 20; // the newest
const LONGEST = 80; // characters of a result in its line
const COMMON = ["ping", "identify"]; // what every edge of ours knows, and others do well to
let mayOperate = false;
let told = []; // names that the device has told that it knows
let given = []; // names that somebody has given

export const commands = new Refresher(async () => {
  const { items } = await get(path(`/commands?limit=${SHOWN}`));
  element("commands-none").hidden = items.length > 0;
  keyed(element("commands-list"), items, ({ id }) => id, make, update);
  given = items.map(({ name }) => name);
  offer();
});

/** Take what the device tells of the commands that it knows, if it does. */
export function onKnown({ metadata, services }) {
  const list = metadata.commands ?? services.commands;
  told = Array.isArray(list) ? list.filter((name) => typeof name === "string") : [];
  offer();
}

export function start(role) {
  mayOperate = role === "operate" || role === "admin";
  element("command").hidden = !mayOperate;
  element("command").addEventListener("submit", give);
  element("command-args").addEventListener("input", () => drawProblem("command-args", ""));
}

function offer() {
  const names = [...new Set([...told, ...COMMON, ...given])];
  keyed(element("command-names"), names, (name) => name, (name) => h("option", { value: name }), () => {});
}

async function give(event) {
  event.preventDefault();
  const { value: args, problem } = parseObject(element("command-args").value || "{}");
  drawProblem("command-args", problem);
  if (problem) return;
  const name = element("command-name").value.trim();
  const timeout = Number(element("command-timeout").value);
  element("command-give").disabled = true;
  const isGiven = await run(() => post(path("/commands"), { name, args, timeout }), t("device.command.given", { name }));
  element("command-give").disabled = false;
  if (isGiven) element("command").reset();
  commands.request();
}

function make({ id, name }) {
  const cancel = button(t("device.command.cancel"), t("device.command.cancel_this", { name }), () => post(`/api/commands/${encodeURIComponent(id)}/cancel`), commands, {
    confirm: t("device.command.cancel_ask", { name }),
    done: t("device.command.cancelled", { name }),
  });
  return h(
    "li",
    {},
    h(
      "div",
      { class: "line" },
      h("span", { class: "id", text: name, title: name }),
      h("span", { class: "verdict" }),
      h("span", { class: "quiet when" }),
      mayOperate ? h("span", { class: "buttons" }, cancel) : null,
    ),
    h("p", { class: "detail quiet args" }),
    h("p", { class: "detail reason" }),
    h("details", {}, h("summary"), h("pre")),
  );
}

function update(row, command) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), command.state);
  setTime(part(".when"), command.created, t("common.ago"));
  const args = Object.keys(command.args).length ? JSON.stringify(command.args) : "";
  const by = command.by ? t("device.command.by", { who: command.by }) : "";
  setText(part(".args"), [args, by].filter(Boolean).join(" · "));
  setText(part(".reason"), command.reason ?? "");
  if (mayOperate) part(".buttons").hidden = !isUnderWay(command.state);
  part("details").hidden = command.result === null;
  if (command.result === null) return;
  setText(part("summary"), JSON.stringify(command.result).slice(0, LONGEST));
  setText(part("pre"), JSON.stringify(command.result, null, 2));
}
