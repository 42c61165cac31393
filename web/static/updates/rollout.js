// One rollout: its waves, what operators do with it, and how far each of its devices is.

import { get, post } from "../core/api.js";
import { addressOf, detail, deviceLink, drawFacts, factList, moment } from "../core/detail.js";
import { h, keyed, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { number, percent } from "../core/numbers.js";
import { drawState, stateText, tallyText } from "../core/states.js";
import { n, t } from "../core/texts.js";
import { isRevoked } from "./releases.js";
import { windowText } from "./windows.js";

const STEP = 100; // devices more at a time
const MOST = 1000;
const BAD = ["failed", "refused", "rolled_back", "silent"];
const OVER = ["completed", "cancelled"];
/** Whether an order means something for a rollout. */
const FITS = {
  pause: ({ status }) => status === "running",
  resume: (rollout) => ["paused", "halted"].includes(rollout.status) && !isRevoked(rollout.release),
  retry: (rollout) => rollout.status !== "cancelled" && countBad(rollout) > 0 && !isRevoked(rollout.release),
  cancel: ({ status }) => !OVER.includes(status),
};

const countBad = ({ counts }) => BAD.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
let shown = { id: "", state: "", limit: STEP };

/** The buttons of a rollout; `drawOrders` shows those that mean something. */
export function orders(id, looks) {
  return Object.keys(FITS).map((name) => {
    const give = () => post(`/api/rollouts/${encodeURIComponent(id)}/${name}`, {});
    const made = button(t(`updates.do.${name}`), t(`updates.this.${name}`, { id }), give, looks, {
      confirm: t(`updates.ask.${name}`),
      done: t(`updates.done.${name}`),
    });
    made.classList.add(name);
    return made;
  });
}

/** Show the orders that mean something for a rollout. */
export function drawOrders(place, rollout) {
  for (const [name, fits] of Object.entries(FITS)) place.querySelector(`button.${name}`).hidden = !fits(rollout);
}

/** Draw its waves, but for those that have no devices. */
export function drawWaves(list, { waves, wave: current, status }) {
  const rows = waves.map((wave, index) => ({ ...wave, number: index + 1, isLast: index === waves.length - 1 }));
  keyed(list, rows.filter(({ devices }) => devices), ({ number: name }) => name, makeWave, (line, wave) =>
    updateWave(line, wave, !OVER.includes(status) && wave.number === current),
  );
}

function makeWave() {
  return h("li", {}, h("span", { class: "wave" }), h("progress", { max: 1 }), h("span", { class: "tally" }));
}

function updateWave(line, wave, isUnderWay) {
  const done = wave.counts.succeeded ?? 0;
  const bar = line.querySelector("progress");
  line.classList.toggle("now", isUnderWay);
  setText(line.querySelector(".wave"), waveText(wave));
  bar.value = done / wave.devices;
  bar.setAttribute("aria-label", t("updates.wave_done", { number: wave.number, done: number(done), devices: number(wave.devices) }));
  setText(line.querySelector(".tally"), tallyText(wave.counts));
}

function waveText({ number: name, share, isLast }) {
  if (isLast) return t(name === 1 ? "updates.wave_all" : "updates.wave_rest", { number: name });
  const told = { number: name, share: percent(share, 1) };
  return t(name === 1 ? "updates.wave_canary" : "updates.wave", told);
}

/** The detail of rollouts; `looks` are asked to look again after each action. */
export const rolloutDetail = (mayOperate, looks) => ({
  load,
  title: ({ version, target }) => t("updates.one", { version, target }),
  make: (rollout) => make(rollout, mayOperate, looks),
  update,
});

async function load(id) {
  if (shown.id !== id) shown = { id, state: "", limit: STEP };
  const query = new URLSearchParams({ limit: shown.limit, ...(shown.state && { state: shown.state }) });
  const path = `/api/rollouts/${encodeURIComponent(id)}`;
  const [rollout, page] = await Promise.all([get(path), get(`${path}/devices?${query}`)]);
  return { ...rollout, page };
}

function make({ id }, mayOperate, looks) {
  const again = (changes) => {
    shown = { ...shown, ...changes };
    detail.request();
  };
  return h(
    "div",
    {},
    h("p", { class: "note" }, h("span", { class: "verdict" }), " ", h("span", { class: "why" })),
    h("p", { class: "note is-revoked", text: t("updates.release_revoked") }),
    mayOperate ? h("p", { class: "buttons" }, ...orders(id, looks)) : null,
    h("ol", { class: "waves note" }),
    factList(),
    h("h3", { text: t("updates.devices") }),
    h("p", { class: "note" }, h("select", { class: "states", "aria-label": t("updates.device_state"), onchange: ({ target }) => again({ state: target.value, limit: STEP }) })),
    h("ul", { class: "rows of-rollout" }),
    h("p", { class: "note more" }, h("button", { type: "button", class: "plain", text: t("common.more"), onclick: () => again({ limit: Math.min(shown.limit + STEP, MOST) }) })),
  );
}

function update(body, rollout) {
  const part = (name) => body.querySelector(name);
  drawState(part(".verdict"), rollout.status);
  setText(part(".why"), rollout.reason ?? "");
  part(".is-revoked").hidden = !isRevoked(rollout.release) || OVER.includes(rollout.status);
  if (part(".buttons")) drawOrders(part(".buttons"), rollout);
  drawWaves(part(".waves"), rollout);
  drawFacts(part("dl"), [
    [t("updates.release"), (element) => element.firstChild ?? element.append(h("a", { href: addressOf("release", rollout.version), text: rollout.version }))],
    [t("updates.target_is"), rollout.target],
    [t("updates.halts"), t("updates.halts_at", { share: percent(rollout.plan.failures, 1) })],
    [t("updates.windows"), rollout.windows.map(windowText).join("; ") || t("updates.windows_of_sites")],
    [t("updates.started"), moment(rollout.created)],
    [t("updates.changed"), moment(rollout.changed)],
    [t("updates.by"), rollout.by],
  ]);
  drawStates(part(".states"), rollout.counts);
  keyed(part(".of-rollout"), rollout.page.items, ({ device }) => device, makeDevice, updateDevice);
  part(".more").hidden = !rollout.page.cursor || shown.limit >= MOST;
}

function drawStates(choice, counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const states = [["", total], ...Object.entries(counts).filter(([state, count]) => count || state === shown.state)];
  keyed(choice, states, ([state]) => state, ([state]) => h("option", { value: state }), (option, [state, count]) =>
    setText(option, t("updates.state_count", { state: state ? stateText(state) : t("updates.every_state"), count: number(count) })),
  );
  choice.value = shown.state;
}

function makeDevice({ device }) {
  return h(
    "li",
    {},
    h("span", { class: "line" }, deviceLink(device), h("span", { class: "verdict" }), h("span", { class: "quiet how-far" }), h("span", { class: "quiet when" })),
    h("p", { class: "quiet reason" }),
  );
}

function updateDevice(row, { state, since, attempts, reason, progress, wave }) {
  const part = (name) => row.querySelector(name);
  drawState(part(".verdict"), state);
  setText(part(".how-far"), progress === null ? "" : percent(progress));
  setTime(part(".when"), since, t("common.ago"));
  part(".when").hidden = !since;
  const told = [t("updates.in_wave", { number: wave }), attempts > 1 ? n("updates.attempts", attempts) : "", reason ?? ""];
  setText(part(".reason"), told.filter(Boolean).join(" · "));
}
