// The fleet in short: how many are there by presence, and its sites, the worst first.

import { get } from "../core/api.js";
import { h, keyed, setText } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { n, t } from "../core/texts.js";
import { CalmRefresher } from "./calm.js";
import { choose, chosen } from "./choice.js";
import { drawAlarms } from "./notices.js";
import { Reading } from "./reading.js";

const EVERY = 3000; // ms
const SHOWN = 100; // sites
const SEARCHED = 12; // sites from which on they can be searched
const PRESENCES = ["online", "offline", "unknown"];
const TILES = ["total", ...PRESENCES];
const TYPING = 200; // ms
const SHAPES = { dark: "offline", troubled: "troubled", unknown: "unknown", well: "online" };

const element = (id) => document.getElementById(id);
let q = "";
let shown = null; // the search whose sites are shown
let reading = null;

export const overview = new CalmRefresher(async () => {
  const asked = q;
  const { items, fleet, matches, cursor } = await get(`/api/sites?${new URLSearchParams({ limit: SHOWN, q: asked })}`);
  if (asked !== q) {
    overview.request();
    return;
  }
  drawCounts(fleet);
  drawSites(items, matches, cursor);
  drawAlarms(fleet.alarms);
}, EVERY);

export function start() {
  for (const name of TILES) element("counts").append(makeTile(name));
  element("counts").append(shares("all"));
  let typing = 0;
  element("sites-q").addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      q = target.value.trim();
      overview.request();
    }, TYPING);
  });
  reading = new Reading(element("sites-list"), () => overview.soon());
  mark();
}

/** Show what is chosen. */
export function mark() {
  for (const tile of element("counts").querySelectorAll(".count")) {
    tile.setAttribute("aria-pressed", String(tile.dataset.presence === (chosen.presence ?? "")));
  }
  for (const row of element("sites-list").children) row.firstChild.setAttribute("aria-pressed", String(isChosen(row.dataset.key)));
}

// An empty name is that of the devices without a site.
const isChosen = (site) => (site ? chosen.site === site : Boolean(chosen.no_site));

function makeTile(name) {
  const presence = name === "total" ? "" : name;
  return h(
    "button",
    { type: "button", class: "tile count", "data-presence": presence, onclick: () => choose({ presence }) },
    h("span", { class: "figure", id: `count-${name}`, text: "–" }),
    h("span", { class: "name" }, presence ? h("i", { class: `dot ${presence}` }) : null, t(`fleet.count.${name}`)),
  );
}

function shares(name) {
  return h("span", { class: "shares", "data-shares": name, "aria-hidden": "true" }, ...PRESENCES.map((presence) => h("span", { class: presence })));
}

function drawShares(bar, counts) {
  for (const share of bar.children) {
    const count = counts[share.className];
    share.style.setProperty("flex-grow", count);
    share.hidden = count === 0;
  }
}

function drawCounts(fleet) {
  for (const name of TILES) setText(element(`count-${name}`), number(fleet[name]));
  drawShares(document.querySelector('[data-shares="all"]'), fleet);
  for (const name of ["flapping", "quarantined"]) {
    setText(element(name).lastElementChild, number(fleet[name]));
    element(name).hidden = fleet[name] === 0 && !chosen[name];
  }
}

function drawSites(items, matches, cursor) {
  // One that is all the fleet there is, and has no name, tells nothing.
  element("sites").hidden = !q && (matches === 0 || (matches === 1 && items[0].site === null));
  element("sites-search").hidden = !q && matches <= SEARCHED;
  setText(element("sites-note"), cursor ? t("fleet.worst", { count: number(items.length), matches: number(matches) }) : number(matches));
  element("sites-none").hidden = matches > 0;
  const list = element("sites-list");
  if (q === shown && reading.isNow) {
    const bySite = new Map(items.map((item) => [item.site ?? "", item]));
    for (const row of list.children) if (bySite.has(row.dataset.key)) updateSite(row, bySite.get(row.dataset.key));
    return;
  }
  shown = q;
  keyed(list, items, ({ site }) => site ?? "", makeSite, updateSite);
}

function makeSite({ site }) {
  const toggle = () => {
    const isOn = isChosen(site ?? "");
    choose({ site: isOn ? "" : (site ?? ""), no_site: isOn || site ? "" : "true" });
  };
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: "place", onclick: toggle },
      h("span", { class: "where" }, h("i", { class: "dot" }), site ?? t("fleet.no_site")),
      h("span", { class: "health" }),
      shares("site"),
      h("span", { class: "wrong" }),
    ),
  );
}

function updateSite(row, site) {
  const [place] = row.children;
  place.setAttribute("aria-pressed", String(isChosen(row.dataset.key)));
  place.dataset.health = site.health;
  const [where, health, bar, wrong] = place.children;
  where.firstChild.className = `dot ${SHAPES[site.health]}`;
  setText(health, t("fleet.here", { online: number(site.online), total: number(site.total) }));
  drawShares(bar, site);
  const told = [
    site.offline && n("fleet.site.offline", site.offline),
    site.unknown && n("fleet.site.unknown", site.unknown),
    site.flapping && n("fleet.site.flapping", site.flapping),
    site.quarantined && n("fleet.site.quarantined", site.quarantined),
    site.alarms && n("fleet.site.alarms", site.alarms),
  ];
  setText(wrong, told.filter(Boolean).join(" · ") || t("fleet.site.well"));
}
