// The maintenance windows of sites: when their devices may be updated.

import { get, put } from "../core/api.js";
import { openLink } from "../core/detail.js";
import { h, keyed, Refresher, setText } from "../core/dom.js";
import { button, tell } from "../core/frame.js";
import { locale, t } from "../core/texts.js";

const NEW = "+";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONDAY = Date.UTC(2024, 0, 1); // one of them
const DAY = 86400000; // ms
const USUAL = { days: DAYS, begin: "22:00", end: "05:00", timezone: Intl.DateTimeFormat().resolvedOptions().timeZone };

const element = (id) => document.getElementById(id);
const dayName = new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" });
const nameOf = (day) => dayName.format(MONDAY + DAYS.indexOf(day) * DAY);

/** A window in words. */
export function windowText({ days, begin, end, timezone }) {
  const named = days.length === DAYS.length ? t("updates.every_day") : DAYS.filter((day) => days.includes(day)).map(nameOf).join(", ");
  return begin === end ? t("updates.whole_day", { days: named, timezone }) : t("updates.from_to", { days: named, begin, end, timezone });
}

export const windows = new Refresher(async () => {
  const { items } = await get("/api/maintenance-windows");
  element("no-windows").hidden = items.length > 0;
  element("windows-table").hidden = items.length === 0;
  keyed(element("windows-list"), items, ({ site }) => site, make, update);
});

export function startWindows(role) {
  element("window-new").hidden = role !== "operate" && role !== "admin";
}

function make({ site }) {
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "site-name" }, openLink("window", site, site)),
    h("td", { class: "times" }),
    h("td", { class: "now" }, h("span", { class: "verdict" })),
    h("td", { class: "origin" }),
  );
}

function update(row, { windows: times, open, source }) {
  setText(row.querySelector(".times"), times.map(windowText).join("; ") || t("updates.any_time"));
  drawOpen(row.querySelector(".verdict"), open);
  setText(row.querySelector(".origin"), source ? t(`updates.origin_is.${source}`) : "");
}

function drawOpen(verdict, isOpen) {
  setText(verdict, isOpen ? t("updates.open_now") : t("updates.closed_now"));
  verdict.dataset.tone = isOpen ? "good" : "none";
}

/** The detail of the windows of a site; `looks` are asked to look again after each action. */
export const windowDetail = (mayOperate, looks) => ({
  load: async (site) => {
    if (site === NEW) return { site: "", windows: [] };
    const { items } = await get("/api/maintenance-windows");
    return items.find((one) => one.site === site) ?? null;
  },
  title: ({ site }) => site || t("updates.window_new"),
  make: (site) => makeDetail(site, mayOperate, looks),
  update: updateDetail,
});

function makeDetail(site, mayOperate, looks) {
  const isConfigured = site.source === "configuration";
  return h(
    "div",
    {},
    h("p", { class: "note from-configuration", text: t("updates.configured", { site: site.site }), hidden: !isConfigured }),
    h("p", { class: "note state-now", hidden: !site.site }, h("span", { class: "verdict" })),
    h("ul", { class: "rows times-list", hidden: !site.site }),
    mayOperate && !isConfigured ? form(site, looks) : null,
  );
}

function updateDetail(body, { site, open, windows: times }) {
  if (!site) return;
  drawOpen(body.querySelector(".verdict"), open);
  keyed(body.querySelector(".times-list"), times, (time) => JSON.stringify(time), (time) => h("li", { text: windowText(time) }), () => {});
}

function form(site, looks) {
  const isNew = !site.site;
  const rows = h("div", { class: "whole times" });
  const name = h("input", { required: true, maxlength: 128, autocomplete: "off", value: site.site || null });
  const add = (time) => rows.append(timeRow(time, () => rows.childElementCount > 1));
  for (const time of isNew ? [USUAL] : site.windows) add(time);
  const made = h(
    "form",
    { class: "form", "aria-label": isNew ? t("updates.window_new") : t("updates.window_change") },
    isNew ? h("label", { class: "whole" }, t("updates.site"), name) : null,
    rows,
    h("p", { class: "whole" }, h("button", { type: "button", class: "plain", text: t("updates.window_add"), onclick: () => add(USUAL) })),
    h("p", { class: "problem whole", role: "alert" }),
    h("p", { class: "whole buttons-line" }, h("button", { type: "submit", class: "go", text: t("updates.window_set") }), isNew ? null : removal(site.site, looks)),
  );
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    await save(made, rows, name.value.trim(), looks);
  });
  return made;
}

function removal(site, looks) {
  const take = async () => {
    await put(`/api/maintenance-windows/${encodeURIComponent(site)}`, { windows: [] });
    location.hash = "#windows";
  };
  const made = button(t("updates.window_remove"), t("updates.window_remove_this", { site }), take, looks, {
    confirm: t("updates.window_remove_ask", { site }),
    done: t("updates.window_removed", { site }),
  });
  made.className = "plain danger";
  return made;
}

function timeRow({ days, begin, end, timezone }, mayGo) {
  const field = (key, properties) => h("label", {}, t(`updates.window.${key}`), h("input", { name: key, required: true, ...properties }));
  const box = (day) => h("label", { class: "day" }, h("input", { type: "checkbox", name: "day", value: day, checked: days.includes(day) }), nameOf(day));
  const row = h(
    "fieldset",
    { class: "time-row" },
    h("legend", { text: t("updates.window_days") }),
    h("div", { class: "days" }, ...DAYS.map(box)),
    field("begin", { type: "time", value: begin }),
    field("end", { type: "time", value: end }),
    field("timezone", { maxlength: 64, value: timezone }),
    h("button", { type: "button", class: "small", text: t("updates.window_drop"), onclick: () => mayGo() && row.remove() }),
  );
  return row;
}

function timeOf(row) {
  const value = (name) => row.querySelector(`[name="${name}"]`).value;
  const days = [...row.querySelectorAll('[name="day"]:checked')].map((box) => box.value);
  return { days, begin: value("begin"), end: value("end"), timezone: value("timezone").trim() };
}

async function save(made, rows, site, looks) {
  const problem = made.querySelector(".problem");
  setText(problem, "");
  try {
    await put(`/api/maintenance-windows/${encodeURIComponent(site)}`, { windows: [...rows.children].map(timeOf) });
  } catch (error) {
    setText(problem, error.message);
    return;
  }
  tell(t("updates.window_done", { site }), true);
  looks.request();
  location.hash = `#window/${encodeURIComponent(site)}`;
}
