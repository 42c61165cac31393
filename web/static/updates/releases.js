// The releases on the page of the updates, and the form that brings one to devices.

import { get, post } from "../core/api.js";
import { confirmed } from "../core/ask.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { drawState } from "../core/states.js";
import { t } from "../core/texts.js";

const SHOWN = 50; // the last uploaded
const GROUPS = 1000;
const MIDDLE = 0.25; // of the devices: the wave between the canaries and the rest
const HOUR = 3600;

const element = (id) => document.getElementById(id);
let mayStart = false;
let mayRevoke = false;

export const releases = new Refresher(async () => {
  const { items, cursor } = await get(`/api/releases?limit=${SHOWN}`);
  element("no-releases").hidden = items.length > 0;
  element("releases-table").hidden = items.length === 0;
  setText(element("releases-note"), cursor ? `the last ${SHOWN}` : "");
  keyed(element("releases-list"), items, ({ id }) => id, make, update);
  if (!mayStart) return;
  const fit = items.filter(({ revoked, here }) => !revoked && here);
  element("begin").hidden = fit.length === 0;
  keyed(element("begin-release"), fit, ({ id }) => id, ({ id }) => h("option", { value: id }), (option, { version }) => setText(option, version));
});

export const groups = new Refresher(async () => {
  if (!mayStart) return;
  const { items } = await get(`/api/groups?limit=${GROUPS}`);
  keyed(element("begin-groups"), items, ({ name }) => name, ({ name }) => h("option", { value: `group ${name}` }), (option, { name }) => setText(option, name));
  element("begin-groups").hidden = items.length === 0;
});

/** Start the form; `onStart` looks at the rollouts again. */
export function startReleases(role, onStart) {
  mayStart = role === "operate" || role === "admin";
  mayRevoke = role === "admin";
  element("begin-who").addEventListener("change", showNames);
  element("begin-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("begin-start").disabled = true;
    setText(element("begin-problem"), "");
    try {
      if (await begin()) onStart();
    } catch (error) {
      setText(element("begin-problem"), error.message);
    }
    element("begin-start").disabled = false;
  });
}

function showNames() {
  const isNamed = element("begin-who").value === "named";
  element("begin-named").hidden = !isNamed;
  element("begin-names").required = isNamed;
}

async function begin() {
  const version = element("begin-release").selectedOptions[0].textContent;
  const { who, ...target } = chosenTarget();
  const percent = Number(element("begin-canary").value);
  if (!(await confirmed(`Bring ${version} to ${who}? ${inWords(percent)}`, "Start"))) return false;
  await post("/api/rollouts", { release: element("begin-release").value, ...target, waves: wavesOf(percent / 100) });
  element("begin-form").reset();
  showNames();
  element("begin").open = false;
  return true;
}

function chosenTarget() {
  const who = element("begin-who").value;
  if (who === "all") return { who: "all devices", all: true };
  if (who !== "named") return { who, group: who.slice("group ".length) };
  const devices = element("begin-names").value.split(/[\s,]+/).filter(Boolean);
  return { who: devices.length > 3 ? `${devices.length} devices` : devices.join(", "), devices };
}

function wavesOf(canary) {
  const first = { share: canary, success: 1, wait: canary < 1 ? HOUR : 0 };
  const middle = canary < MIDDLE ? [{ share: MIDDLE, success: 0.95, wait: HOUR }] : [];
  return canary < 1 ? [first, ...middle, { share: 1, success: 0.95, wait: 0 }] : [first];
}

function inWords(percent) {
  if (percent >= 100) return "All of them get it at once.";
  const middle = percent < MIDDLE * 100 ? `, then ${MIDDLE * 100} %` : "";
  return `${percent} % get it first, and all of these must succeed${middle}, then the rest, an hour apart.`;
}

function make({ id, version }) {
  const revoke = async () => {
    const question = `Revoke ${version}? No device gets it any more, its rollouts halt, and this cannot be taken back.`;
    if (await confirmed(question, "Revoke")) await post(`/api/releases/${encodeURIComponent(version)}/revoke`, {});
  };
  const part = (name) => h("span", { class: name });
  const buttons = mayRevoke ? h("span", { class: "buttons" }, button("Revoke", `Revoke ${version}`, revoke, releases)) : null;
  return h(
    "tr",
    { id: `release-${id}` },
    h("th", { scope: "row", class: "what" }, part("release"), part("target")),
    h("td", { class: "progress" }, part("platforms")),
    h("td", { class: "state" }, part("verdict"), part("said"), buttons),
    h("td", { class: "time" }, part("age"), part("by")),
  );
}

function update(row, release) {
  const part = (name) => row.querySelector(`.${name}`);
  const state = release.revoked ? "revoked" : release.here ? "ready" : "elsewhere";
  setText(part("release"), release.version);
  setText(part("target"), `${release.name}, ${(release.size / 1e6).toFixed(1)} MB`);
  setText(part("platforms"), release.platforms.join(", ") || "any platform");
  drawState(part("verdict"), state);
  setText(part("said"), release.revoked ? [`by ${release.revoked_by}`, release.reason].filter(Boolean).join(": ") : "");
  setTime(part("age"), release.uploaded, t("common.ago"));
  setText(part("by"), `by ${release.uploaded_by}`);
  if (mayRevoke) part("buttons").hidden = Boolean(release.revoked);
}
