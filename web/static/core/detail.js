// What is known of one item of a list, beside it. The address names the item, `#alarm/17`: a link leads to it.

import { ApiError } from "./api.js";
import { h, keyed, Refresher, setMoment, setText } from "./dom.js";
import { t } from "./texts.js";

let kinds = {};
let drawn = ""; // the address whose item is shown
let place = null;
let wantsFocus = false;

/** The address of an item. */
export const addressOf = (kind, key) => `#${kind}/${encodeURIComponent(key)}`;

/** What asks for the item shown, and draws it. */
export const detail = new Refresher(look);

/**
 * Let the addresses of items lead to what is known of them. Of each kind: `load(key)` fetches an item, null where there is
 * none; `title(item)` names it; `make(item)` makes an element once, which `update(element, item)` keeps up to date.
 */
export function startDetail(known) {
  kinds = known;
  place = h(
    "section",
    { class: "card beside", "aria-labelledby": "detail-title", tabindex: "-1", hidden: true },
    h(
      "header",
      {},
      h("h2", { id: "detail-title" }),
      h("button", { type: "button", class: "plain", text: t("common.close"), onclick: close }),
    ),
    h("div", { class: "body" }),
  );
  place.addEventListener("keydown", (event) => event.key === "Escape" && close());
  document.querySelector("main").append(place);
  addEventListener("hashchange", () => {
    wantsFocus = true;
    detail.request();
  });
  detail.request();
}

function asked() {
  const [kind, ...rest] = location.hash.slice(1).split("/");
  const key = rest.join("/");
  return kind in kinds && key ? { kind, key: decodeURIComponent(key), address: location.hash } : null;
}

async function look() {
  const wanted = asked();
  if (!wanted) {
    hide();
    return;
  }
  const item = await kinds[wanted.kind].load(wanted.key).catch(absent);
  if (asked()?.address === wanted.address) draw(wanted, item);
}

function absent(error) {
  if (!(error instanceof ApiError && error.status === 404)) throw error;
  return null;
}

function draw({ kind, key, address }, item) {
  const { title, make, update } = kinds[kind];
  const body = place.querySelector(".body");
  setText(place.querySelector("h2"), item ? title(item) : key);
  if (!item) {
    body.replaceChildren(h("p", { class: "none", text: t("common.gone") }));
    drawn = "";
  } else if (drawn !== address) {
    body.replaceChildren(make(item));
    drawn = address;
    place.scrollTop = 0;
  }
  if (item) update(body.firstElementChild, item);
  show(address);
}

function show(address) {
  place.hidden = false;
  document.querySelector("main").classList.remove("wide");
  mark(address);
  if (wantsFocus) place.focus();
  wantsFocus = false;
}

/** Say in the list which item it is. */
function mark(address) {
  for (const link of document.querySelectorAll("main .open[aria-current]")) link.removeAttribute("aria-current");
  linkTo(address)?.setAttribute("aria-current", "true");
}

const linkTo = (address) => [...document.querySelectorAll("main td a, main th a")].find((link) => link.hash === address);

function close() {
  const link = linkTo(location.hash);
  history.replaceState(null, "", location.pathname + location.search);
  hide();
  link?.focus();
}

function hide() {
  place.hidden = true;
  drawn = "";
  document.querySelector("main").classList.add("wide");
  mark("");
}

/** A link from a row to what is known of its item. */
export function openLink(kind, key, ...content) {
  const href = addressOf(kind, key);
  return h("a", { class: "open", href, "aria-current": href === location.hash && "true" }, ...content);
}

/** A link to the page of a device. */
export const deviceLink = (serial) => h("a", { class: "serial", href: `/devices/${encodeURIComponent(serial)}`, text: serial });

/** A list of names and what is known of each. */
export const factList = () => h("dl", { class: "about" });

/** Write into it pairs of a name and a text, or a function that writes into an element; what is empty is left out. */
export function drawFacts(list, facts) {
  const known = facts.filter(([, value]) => value);
  keyed(list, known, ([name]) => name, ([name]) => h("div", {}, h("dt", { text: name }), h("dd")), ({ lastElementChild }, [, value]) => {
    if (typeof value === "string") setText(lastElementChild, value);
    else value(lastElementChild);
  });
}

/** Of a fact: a moment, a link to a device. */
export const moment = (iso) => iso && ((element) => setMoment(element, iso));
export const device = (serial) => serial && ((element) => element.textContent === serial || element.replaceChildren(deviceLink(serial)));
