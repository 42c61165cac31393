// What has become of the readings: how many came, and who follows the table of them.

import { get } from "../core/api.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { t } from "../core/texts.js";

const LONGEST = 200; // characters of an error in a row; the title has all of it
const MOST_SITES = 200;

const element = (id) => document.getElementById(id);

export const statistics = new Refresher(async () => {
  const counted = await get("/api/soil-health/statistics");
  for (const name of ["publishers", "received", "processed", "duplicates", "failed"]) {
    setText(element(`count-${name}`), number(counted[name]));
  }
  element("count-failed").title = Object.entries(counted.by_reason)
    .map(([reason, count]) => `${reason} ${number(count)}`)
    .join(", ");
  setTime(element("last-received"), counted.last_received, t("common.ago"));
});

export const followers = new Refresher(async () => {
  const { items } = await get("/api/followers");
  keyed(element("followers"), items, ({ name }) => name, makeFollower, updateFollower);
});

/** The sites that there are, to choose from. */
export async function start() {
  const { items } = await get(`/api/sites?limit=${MOST_SITES}`).catch(() => ({ items: [] }));
  element("sites").replaceChildren(...items.filter(({ site }) => site).map(({ site }) => h("option", { value: site })));
}

function makeFollower() {
  return h(
    "li",
    {},
    h("div", { class: "line" }, h("i", { class: "dot" }), h("span", { class: "id" }), h("span", { class: "facts quiet" })),
    h("p", { class: "detail problem" }),
  );
}

function updateFollower(row, { name, ok, lag, written, last_error: error }) {
  const part = (of) => row.querySelector(of);
  part(".dot").className = `dot ${ok ? "online" : "offline"}`;
  setText(part(".id"), name);
  const facts = [
    ok ? null : t("hardware.failing"),
    lag ? t("hardware.behind", { count: number(lag) }) : t("hardware.up_to_date"),
    t("hardware.written", { count: number(written) }),
  ];
  setText(part(".facts"), facts.filter(Boolean).join(" · "));
  const told = error ?? "";
  setText(part(".detail"), told.length > LONGEST ? `${told.slice(0, LONGEST)}…` : told);
  part(".detail").title = told;
}
