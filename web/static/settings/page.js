// The settings: one tab at a time. The address says which, and only that one's part of the page and script are there.

import { get } from "../core/api.js";
import { setText } from "../core/dom.js";
import { start } from "../core/frame.js";
import { t } from "../core/texts.js";
import { mayAs } from "./roles.js";

/** The role that looks at each; without a word in the address the first that the viewer may see is shown. */
const NEEDS = { tokens: "admin", enrolment: "operate", rosters: "read", groups: "read", audit: "admin", access: "admin" };

const element = (id) => document.getElementById(id);
const { role } = await get("/api/session").catch(() => ({ role: "read" }));
const named = new URLSearchParams(location.search).get("tab");
const tab = named in NEEDS ? named : Object.keys(NEEDS).find((each) => mayAs(role, NEEDS[each]));

const link = element("tabs").querySelector(`[data-tab="${tab}"]`);
link.setAttribute("aria-current", "page");
link.scrollIntoView({ block: "nearest", inline: "center" });
setText(element("tab-name"), link.textContent);

if (mayAs(role, NEEDS[tab])) {
  element("settings").append(element(tab).content.cloneNode(true));
  const { panels, often = [], events = {}, ready } = await import(`./${tab}.js`);
  start({ panels, often, events, ready });
} else {
  element("refused").hidden = false;
  setText(element("refused-words"), t("settings.refused", { needed: t(`states.${NEEDS[tab]}`), role: t(`states.${role}`) }));
  start({ panels: [], often: [], events: {}, ready: () => {} });
}
