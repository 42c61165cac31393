// One alarm: what it is about, what was done about it and when, and who was told.

import { get, post, serverNow } from "../core/api.js";
import { device, deviceLink, drawFacts, factList } from "../core/detail.js";
import { bothTimes, h, keyed, setDue, setText, setTime, timeText } from "../core/dom.js";
import { button } from "../core/frame.js";
import { number } from "../core/numbers.js";
import { drawState } from "../core/states.js";
import { n, t, tOr } from "../core/texts.js";

const SILENCES = [900, 3600, 4 * 3600, 86400, 7 * 86400]; // seconds

/** The detail of alarms; `looks` are asked to look again after each action. */
export const alarmDetail = (mayOperate, looks) => ({
  load: (id) => get(`/api/alarms/${encodeURIComponent(id)}`),
  title: ({ summary }) => summary,
  make: (alarm) => make(alarm, mayOperate, looks),
  update,
});

function make({ id }, mayOperate, looks) {
  return h(
    "div",
    {},
    h("p", { class: "note" }, h("span", { class: "verdict severity" }), " ", h("span", { class: "verdict state" }), " ", h("span", { class: "quieted quiet" })),
    mayOperate ? orders(id, looks) : null,
    factList(),
    h("h3", { class: "members-title" }),
    h("ul", { class: "rows members" }),
    h("h3", { text: t("alarms.course") }),
    h("ol", { class: "rows course" }),
    h("h3", { text: t("alarms.notices") }),
    h("p", { class: "note quiet no-notices", text: t("alarms.no_notices") }),
    h("ul", { class: "rows notices" }),
  );
}

function orders(id, looks) {
  const path = `/api/alarms/${id}`;
  const choice = h("select", { "aria-label": t("alarms.silence_for") }, ...SILENCES.map((seconds) => h("option", { value: seconds, text: durationText(seconds) })));
  choice.value = SILENCES[1];
  const order = (name, action) => {
    const made = button(t(`alarms.do.${name}`), t(`alarms.this.${name}`, { id }), action, looks, { done: t(`alarms.done.${name}`) });
    made.className = `plain ${name}`;
    return made;
  };
  return h(
    "p",
    { class: "buttons" },
    order("acknowledge", () => post(`${path}/acknowledge`)),
    h("span", { class: "silencing" }, choice, order("silence_so", () => post(`${path}/silence`, { seconds: Number(choice.value) }))),
    order("wake", () => post(`${path}/silence`, { seconds: 0 })),
  );
}

function durationText(seconds) {
  if (seconds < 3600) return n("alarms.minutes", seconds / 60);
  return seconds < 86400 ? n("alarms.hours", seconds / 3600) : n("alarms.days", seconds / 86400);
}

function update(body, alarm) {
  const part = (name) => body.querySelector(name);
  const isOpen = alarm.state === "open";
  const isSilent = isOpen && Date.parse(alarm.silenced_until) > serverNow();
  drawState(part(".severity"), alarm.severity);
  drawState(part(".verdict.state"), !isOpen ? "over" : alarm.acknowledged ? "acknowledged" : "open");
  setDue(part(".quieted"), isSilent ? Date.parse(alarm.silenced_until) : null, t("alarms.silenced_until"));
  if (part(".buttons")) {
    part(".buttons").hidden = !isOpen;
    part(".acknowledge").hidden = Boolean(alarm.acknowledged);
    part(".silencing").hidden = isSilent;
    part(".wake").hidden = !isSilent;
  }
  drawFacts(part("dl"), [
    [t("alarms.rule"), (element) => element.firstChild ?? element.append(h("a", { href: `#rule/${encodeURIComponent(alarm.rule)}`, text: alarm.rule }))],
    [t("alarms.kind_is"), tOr("alarms.kind.", alarm.kind)],
    [t("alarms.device"), device(alarm.device)],
    [t("alarms.site"), alarm.site],
    [t("alarms.value"), alarm.value === null ? "" : number(alarm.value)],
  ]);
  drawMembers(part(".members-title"), part(".members"), alarm);
  keyed(part(".course"), courseOf(alarm), ({ what, at }) => `${what} ${at}`, makeStep, updateStep);
  part(".no-notices").hidden = alarm.notices.length > 0;
  keyed(part(".notices"), alarm.notices, ({ event, channel, made }) => `${event} ${channel} ${made}`, makeNotice, updateNotice);
}

function drawMembers(title, list, { count, members }) {
  title.hidden = list.hidden = count < 2;
  setText(title, n("alarms.devices", count));
  const more = count - members.length;
  const rows = more > 0 ? [...members, null] : members;
  const make = (serial) => (serial ? h("li", {}, deviceLink(serial)) : h("li", { class: "quiet" }));
  keyed(list, rows, (serial) => serial ?? "", make, (row, serial) => serial ?? setText(row, n("alarms.more", more)));
}

/** What happened to an alarm, as far as it is kept, in the order in which it happened. */
function courseOf(alarm) {
  const steps = [
    { what: t("alarms.step.raised"), at: alarm.raised },
    { what: t("alarms.step.acknowledged", { who: alarm.acknowledged_by ?? "" }), at: alarm.acknowledged },
    { what: alarm.cleared_why === "over" ? t("alarms.step.over") : tOr("alarms.why.", alarm.cleared_why ?? ""), at: alarm.cleared },
    ...alarm.notices.map((notice) => ({ what: t(`alarms.step.told.${notice.event}`, { channel: notice.channel }), at: notice.error ? null : notice.ended })),
  ];
  return steps.filter(({ at }) => at).sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
}

function makeStep() {
  return h("li", {}, h("span", { class: "quiet when" }), " ", h("span", { class: "what" }));
}

function updateStep(row, { what, at }) {
  setText(row.querySelector(".when"), timeText(at));
  row.querySelector(".when").title = bothTimes(at);
  setText(row.querySelector(".what"), what);
}

function makeNotice() {
  return h("li", {}, h("span", { class: "line" }, h("span", { class: "id" }), h("span", { class: "verdict" }), h("span", { class: "quiet when" })), h("p", { class: "quiet problem" }));
}

function updateNotice(row, notice) {
  const part = (name) => row.querySelector(name);
  const isDone = Boolean(notice.ended);
  setText(part(".id"), t(`alarms.notice.${notice.event}`, { channel: notice.channel }));
  drawState(part(".verdict"), !isDone ? "queued" : notice.error ? "failed" : "sent");
  setTime(part(".when"), notice.ended ?? notice.made, t("common.ago"));
  setText(part(".problem"), notice.error && n("alarms.attempts", notice.attempts, { error: notice.error }));
}
