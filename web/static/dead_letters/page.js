// The page of the dead letters: what could not be processed, why, what to do about it, and the way back for it.

import { get, post } from "../core/api.js";
import { confirmed } from "../core/ask.js";
import { detail, device, deviceLink, drawFacts, factList, moment, openLink, startDetail } from "../core/detail.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { chosen, isNarrowed } from "../core/filters.js";
import { button, refresh, run, start } from "../core/frame.js";
import { List } from "../core/list.js";
import { number } from "../core/numbers.js";
import { n, t, tOr } from "../core/texts.js";
import { beginning, readable } from "./payload.js";

/** What to do about a reason; the texts say it. */
const ADVICE = {
  not_utf8: "sender",
  not_json: "sender",
  not_an_object: "sender",
  missing_field: "sender",
  wrong_type: "sender",
  too_long: "sender",
  too_large: "size",
  too_deep: "sender",
  too_many: "sender",
  out_of_range: "sender",
  nul: "sender",
  bad_serial: "sender",
  bad_id: "sender",
  bad_topic: "sender",
  bad_timestamp: "clock",
  not_finite: "sender",
  beyond_physics: "sensor",
  unbound: "unbound",
  quota: "sender",
  crashed: "server",
  undelivered: "actor",
  stuck: "server",
  fleet_full: "fleet",
  refused_by_database: "server",
  unknown_device: "replay",
  unrouted: "replay",
  not_encrypted: "key",
  not_decipherable: "key",
  unknown_command: "replay",
};

const element = (id) => document.getElementById(id);
let mayOperate = false;
let shown = [];

const list = new List("/api/dead-letters", {
  filters: ["reason", "serial"],
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (isNarrowed() ? t("dead_letters.no_match") : t("dead_letters.none")),
  drawn: drawShown,
});

const reasons = new Refresher(async () => {
  const { items } = await get(`/api/dead-letters/reasons?${new URLSearchParams(chosen.serial ? { serial: chosen.serial } : {})}`);
  keyed(element("reasons"), items, ({ reason }) => reason, makeReason, updateReason);
});

const looks = { request: () => refresh(list.panel, reasons, detail) };

/** The word for a reason. */
const wordOf = (reason) => reason.replaceAll("_", " ");
const meaningOf = (reason) => tOr("dead_letters.means.", reason);

function makeReason({ reason }) {
  const choose = () => {
    element("reason").value = chosen.reason === reason ? "" : reason;
    element("filters").requestSubmit();
  };
  const chip = h("button", { type: "button", class: "chip", title: meaningOf(reason), onclick: choose });
  chip.append(h("span", { text: wordOf(reason) }), " ", h("b"));
  return h("li", {}, chip);
}

function updateReason(item, { reason, count }) {
  setText(item.querySelector("b"), number(count));
  item.firstElementChild.setAttribute("aria-pressed", chosen.reason === reason);
}

function replayButton({ id }) {
  const label = t("dead_letters.replay_this", { id });
  return button(t("dead_letters.replay"), label, () => post(`/api/dead-letters/${id}/replay`), looks, {
    confirm: t("dead_letters.replay_ask", { id }),
    done: t("dead_letters.replay_done"),
  });
}

function make(letter) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "reason" }, openLink("letter", letter.id, wordOf(letter.reason)), part("said")),
    h("td", { class: "from" }, h("span", { class: "topic", text: letter.topic || "–" }), letter.serial ? deviceLink(letter.serial) : null),
    h("td", { class: "payload" }, h("code", { text: beginning(letter) })),
    h("td", { class: "time" }, part("age"), part("replayed"), mayOperate ? h("span", { class: "buttons" }, replayButton(letter)) : null),
  );
}

function update(row, letter) {
  const part = (name) => row.querySelector(name);
  setText(part(".said"), letter.detail);
  setTime(part(".age"), letter.rx, t("common.ago"));
  setTime(part(".replayed"), letter.replayed, t("dead_letters.replayed_ago"));
  part(".replayed").hidden = !letter.replayed;
}

/** All that are shown can be handed in again at once: a page of them, no more. */
function drawShown(items) {
  shown = items.map(({ id }) => id);
  element("replay-shown").hidden = !mayOperate || shown.length === 0;
  setText(element("replay-shown"), n("dead_letters.replay_shown", shown.length));
}

async function replayShown() {
  const ids = [...shown];
  if (!(await confirmed(n("dead_letters.replay_shown_ask", ids.length), n("dead_letters.replay_shown", ids.length)))) return;
  element("replay-shown").disabled = true;
  await run(() => replayAll(ids), n("dead_letters.replayed_all", ids.length));
  element("replay-shown").disabled = false;
  looks.request();
}

async function replayAll(ids) {
  const refused = [];
  // One after the other, the oldest first, as they came.
  for (const id of ids.reverse()) await post(`/api/dead-letters/${id}/replay`).catch((error) => refused.push(error.message));
  if (refused.length) throw new Error(t("dead_letters.some_refused", { refused: number(refused.length), total: number(ids.length), why: refused[0] }));
}

function makeDetail(letter) {
  const { what, text, raw } = readable(letter);
  return h(
    "div",
    {},
    h("p", { class: "note means" }),
    h("p", { class: "note next" }),
    mayOperate ? h("p", { class: "buttons" }, replayButton(letter)) : null,
    factList(),
    h("h3", { text: t("dead_letters.payload") }),
    h("p", { class: "note quiet", text: what }),
    text ? h("pre", { class: "payload", tabindex: "0", "aria-label": t("dead_letters.payload"), text }) : null,
    raw ? h("details", {}, h("summary", { text: t("dead_letters.as_received") }), h("pre", { text: raw })) : null,
  );
}

function updateDetail(body, letter) {
  const part = (name) => body.querySelector(name);
  setText(part(".means"), `${meaningOf(letter.reason)}.`);
  setText(part(".next"), t(`dead_letters.next.${ADVICE[letter.reason] ?? "server"}`));
  drawFacts(part("dl"), [
    [t("dead_letters.detail"), letter.detail],
    [t("dead_letters.device"), device(letter.serial)],
    [t("dead_letters.topic"), letter.topic],
    [t("dead_letters.link"), letter.link],
    [t("dead_letters.qos"), String(letter.qos)],
    [t("dead_letters.received"), moment(letter.rx)],
    [t("dead_letters.replayed"), moment(letter.replayed)],
  ]);
}

start({
  panels: [list.panel, reasons],
  often: [],
  events: {
    dead_letter: () => {
      reasons.request();
      list.onChange();
    },
  },
  ready: (role) => {
    mayOperate = role === "operate" || role === "admin";
    list.start();
    element("filters").addEventListener("submit", () => reasons.request());
    element("replay-shown").addEventListener("click", replayShown);
    startDetail({
      letter: {
        load: (id) => get(`/api/dead-letters/${encodeURIComponent(id)}`),
        title: ({ id, reason }) => t("dead_letters.one", { id, reason: wordOf(reason) }),
        make: makeDetail,
        update: updateDetail,
      },
    });
  },
});
