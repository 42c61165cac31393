// The page of the updates: rollouts, the newest first, how far their waves are, and what operators do with them; releases.

import { get, post } from "../core/api.js";
import { confirmed } from "../core/ask.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { chosen } from "../core/filters.js";
import { button, start } from "../core/frame.js";
import { List } from "../core/list.js";
import { words } from "../core/nodes.js";
import { groups, releases, startReleases } from "./releases.js";
import { drawState } from "../core/states.js";
import { t } from "../core/texts.js";

const SHOWN = 100; // devices of one state
const BAD = ["failed", "refused", "rolled_back", "silent"];
const OVER = ["completed", "cancelled"];
const CANCEL = "Cancel this rollout for good? Devices that have begun end what they began.";

let mayOperate = false;

const list = new List("/api/rollouts", {
  filters: ["status"],
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (chosen.status ? "No rollout matches." : "Nothing has been rolled out yet."),
});

function make({ id }) {
  const part = (name) => h("span", { class: name });
  const order = (name, label, question) => {
    const give = async () => {
      if (!question || (await confirmed(question, label))) await post(`/api/rollouts/${id}/${name}`, {});
    };
    const made = button(label, `${label}: rollout ${id}`, give, list.panel);
    made.classList.add(name);
    return made;
  };
  const buttons = [order("pause", "Pause"), order("resume", "Resume"), order("retry", "Retry failed"), order("cancel", "Cancel", CANCEL)];
  const failed = h("ul", { class: "failed" });
  const details = h("details", {}, h("summary"), failed);
  const row = h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, part("release"), part("target"), details),
    h("td", { class: "progress" }, h("ol", { class: "waves" })),
    h("td", { class: "state" }, part("verdict"), part("said"), mayOperate ? h("span", { class: "buttons" }, ...buttons) : null),
    h("td", { class: "time" }, part("age"), part("by")),
  );
  const devices = new Refresher(async () => {
    if (!details.open) return;
    const pages = await Promise.all(BAD.map((state) => get(`/api/rollouts/${id}/devices?state=${state}&limit=${SHOWN}`)));
    keyed(failed, pages.flatMap(({ items }) => items), ({ device }) => device, makeDevice, updateDevice);
  });
  details.addEventListener("toggle", () => devices.request());
  row.look = () => devices.request();
  return row;
}

function update(row, rollout) {
  const part = (name) => row.querySelector(`.${name}`);
  const isOver = OVER.includes(rollout.status);
  const failed = BAD.reduce((sum, state) => sum + (rollout.counts[state] ?? 0), 0);
  setText(part("release"), rollout.version);
  setText(part("target"), `${rollout.target}, ${rollout.devices.toLocaleString()} ${rollout.devices === 1 ? "device" : "devices"}`);
  row.querySelector("details").hidden = failed === 0;
  setText(row.querySelector("summary"), `${failed.toLocaleString()} not updated`);
  keyed(part("waves"), rollout.waves.map((wave, index) => ({ ...wave, number: index + 1 })), ({ number }) => number, makeWave, (line, wave) =>
    updateWave(line, wave, !isOver && wave.number === rollout.wave),
  );
  drawState(row.querySelector(".state .verdict"), rollout.status);
  setText(part("said"), rollout.reason ?? "");
  setTime(part("age"), rollout.created, t("common.ago"));
  setText(part("by"), rollout.by ? `by ${rollout.by}` : "");
  row.look();
  if (!mayOperate) return;
  part("pause").hidden = rollout.status !== "running";
  part("resume").hidden = !["paused", "halted"].includes(rollout.status);
  part("retry").hidden = failed === 0 || rollout.status === "cancelled";
  part("cancel").hidden = isOver;
}

function makeWave() {
  return h("li", {}, h("progress", { max: 1 }), h("span", { class: "tally" }));
}

function updateWave(line, { number, devices, counts }, isUnderWay) {
  const done = counts.succeeded ?? 0;
  const told = Object.entries(counts).map(([state, count]) => `${count.toLocaleString()} ${words(state)}`);
  line.classList.toggle("now", isUnderWay);
  const bar = line.querySelector("progress");
  bar.value = devices ? done / devices : 0;
  bar.setAttribute("aria-label", `Wave ${number}: ${done} of ${devices}`);
  setText(line.querySelector(".tally"), told.join(" · ") || "no devices");
}

function makeDevice({ device }) {
  return h("li", {}, h("span", { class: "address", text: device }), h("span", { class: "verdict" }), h("span", { class: "quiet" }));
}

function updateDevice(line, { state, reason }) {
  drawState(line.querySelector(".verdict"), state);
  setText(line.querySelector(".quiet"), reason ?? "");
}

start({
  panels: [list.panel, releases, groups],
  often: [list.panel],
  events: { rollout: () => list.onChange() },
  ready: (role) => {
    mayOperate = role === "operate" || role === "admin";
    list.start();
    startReleases(role, () => list.onChange());
  },
});
