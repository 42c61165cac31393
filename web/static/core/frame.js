// What every page has: the session, how live it is, ages, what went wrong, and when it looks again.

import { get, post, serverNow } from "./api.js";
import { confirmed } from "./ask.js";
import { clockText, h, Refresher, setText, tickAges } from "./dom.js";
import { follow } from "./live.js";
import { startMenu } from "./menu.js";
import { locale, n, t } from "./texts.js";

const LOOK = 10000; // ms: the times at which devices were last seen change without an event
const ALL_EVERY = 3; // looks: a safety net while events come; without them every look is at everything
const AGAIN = 2000; // ms until a page asks again who looks, when the server did not say
const TOLD = 6000; // ms that a message stays
const MOST_ALARMS = 100; // open ones that are counted
const UP = ["subscribed", "congested", "paused"]; // of a link that nothing is wrong with, or that somebody has closed
const element = (id) => document.getElementById(id);
let toastTimer = 0;
let title = document.title;
let openAlarms = "";

export const refresh = (...chosen) => chosen.forEach((panel) => panel.request());

/** Name the page in its tab, behind the number of open alarms: it is read while another tab is looked at. */
export function setTitle(text) {
  title = text;
  document.title = openAlarms ? `(${openAlarms}) ${title}` : title;
}

/** Tell for a moment how something went. */
export function tell(message, isGood) {
  const toast = element("toast");
  setText(toast, message);
  toast.dataset.tone = isGood ? "good" : "bad";
  toast.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.classList.remove("shown"), TOLD);
}

/** Do something, and tell its failure, or its success by `done`; whether it went well. */
export async function run(action, done = "") {
  try {
    await action();
    if (done) tell(done, true);
    return true;
  } catch (error) {
    tell(error.message, false);
    return false;
  }
}

/**
 * Make a button that does `action`, tells how it went, and lets `after` look again. With `confirm`, a question, it asks
 * before; `done` is told when all went well.
 */
export function button(label, title, action, after, { confirm = "", done = "" } = {}) {
  return h("button", {
    type: "button",
    class: "small",
    text: label,
    "aria-label": title,
    onclick: async (event) => {
      const pressed = event.currentTarget;
      if (confirm && !(await confirmed(confirm, label))) return;
      pressed.disabled = true;
      await run(action, done);
      pressed.disabled = false;
      if (document.activeElement === document.body) pressed.focus(); // which a button loses while it is disabled
      after?.request();
    },
  });
}

/** What keeps the server from its work, in the words of a person; empty when all is well. */
function troubles({ status, broker, database }) {
  if (status === "ok") return "";
  const told = [];
  const links = Object.values(broker.links);
  if (links.includes("paused")) told.push(t("frame.link_paused"));
  if (!broker.connected && links.some((state) => !UP.includes(state))) told.push(t("frame.broker_away"));
  if (!database.ok) told.push(t("frame.database_away", { error: database.error ?? "" }));
  if (told.length === 0) told.push(t("frame.starting"));
  return told.join(" ");
}

const health = new Refresher(async () => {
  const told = troubles(await get("/api/health"));
  setText(element("trouble"), told);
  element("trouble").hidden = !told;
});

const alarms = new Refresher(async () => {
  const { items, cursor } = await get(`/api/alarms?state=open&limit=${MOST_ALARMS}`);
  const link = document.querySelector('nav a[data-area="alarms"]');
  openAlarms = items.length ? (cursor ? `${MOST_ALARMS}+` : items.length.toLocaleString(locale)) : "";
  link.dataset.count = openAlarms;
  setTitle(title);
  if (items.length) link.setAttribute("aria-label", `${link.textContent}: ${n("frame.open_alarms", items.length)}`);
  else link.removeAttribute("aria-label");
});

/**
 * Start a page. `panels` are its refreshers, `often` those that every look is at, `events` says what each kind of event
 * changes; `ready(role)` is called once it is known who looks. `device` restricts the events to those of one.
 */
export async function start({ panels, often, events, ready, device = "" }) {
  let session = null;
  const ask = async () => {
    session = await get("/api/session");
  };
  while (!(await run(ask))) await new Promise((done) => setTimeout(done, AGAIN));
  startMenu(session);
  ready(session.role);
  const all = [...panels, health, alarms];
  refresh(...all);
  const heard = {
    ...events,
    alarm: (data) => {
      alarms.request();
      events.alarm?.(data);
    },
    link: (data) => {
      health.request();
      events.link?.(data);
    },
  };
  follow({
    kinds: Object.keys(heard),
    device,
    since: session.last_event_id,
    onEvent: (kind, data) => heard[kind](data),
    onBatch: () => tickAges(serverNow()),
    onResync: () => refresh(...all),
    onState: (state, heardAt) => {
      element("live").dataset.state = state;
      setText(element("live"), t(`frame.${state}`, { time: clockText(heardAt) }));
    },
  });
  setInterval(() => tickAges(serverNow()), 1000);
  let looks = 0;
  setInterval(() => {
    if (document.hidden) {
      refresh(alarms); // whose number is in the title
      return;
    }
    looks += 1;
    const isLive = element("live").dataset.state === "live";
    refresh(health, ...(!isLive || looks % ALL_EVERY === 0 ? all : often));
  }, LOOK);
  new MutationObserver(() => tickAges(serverNow())).observe(document.querySelector("main"), {
    attributeFilter: ["data-time"],
    subtree: true,
  });
  element("logout").addEventListener("click", async () => {
    await run(() => post("/api/logout"));
    location.replace("/login");
  });
}
