// The releases: what may be rolled out, and the end of one.

import { get, post, remove } from "../core/api.js";
import { drawFacts, factList, moment, openLink } from "../core/detail.js";
import { h, keyed, Refresher, setText, setTime } from "../core/dom.js";
import { button } from "../core/frame.js";
import { bytes, number } from "../core/numbers.js";
import { drawState } from "../core/states.js";
import { t } from "../core/texts.js";

const MOST = 1000; // as many as a server has

const element = (id) => document.getElementById(id);
const known = new Map(); // by id
let mayStart = false;
let onChange = () => {};

/** Whether the release of this id is known to be revoked. */
export const isRevoked = (id) => Boolean(known.get(id)?.revoked);

/** Have `listener` called when releases came, went or were revoked. */
export function onReleases(listener) {
  onChange = listener;
}

export const releases = new Refresher(async () => {
  const { items } = await get(`/api/releases?limit=${MOST}`);
  const before = stateOfAll();
  known.clear();
  for (const release of items) known.set(release.id, release);
  element("no-releases").hidden = items.length > 0;
  element("releases-table").hidden = items.length === 0;
  keyed(element("releases-list"), items, ({ id }) => id, make, update);
  if (before !== stateOfAll()) onChange();
  if (!mayStart) return;
  const fit = items.filter(({ revoked, here }) => !revoked && here);
  element("begin").hidden = fit.length === 0;
  keyed(element("begin-release"), fit, ({ id }) => id, ({ id }) => h("option", { value: id }), (option, { version }) => setText(option, version));
});

const stateOfAll = () => [...known.values()].map(({ id, revoked }) => `${id} ${revoked}`).join();

export function startReleases(role) {
  mayStart = role === "operate" || role === "admin";
}

const stateOf = ({ revoked, here }) => (revoked ? "revoked" : here ? "ready" : "elsewhere");
const platformsOf = ({ platforms }) => platforms.join(", ") || t("updates.any_platform");
const endOf = ({ revoked_by: who, reason }) => [t("common.by", { who }), reason].filter(Boolean).join(": ");

function make({ version }) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, openLink("release", version, version), part("target")),
    h("td", { class: "progress" }, part("platforms")),
    h("td", { class: "state" }, part("verdict"), part("said")),
    h("td", { class: "time" }, part("age"), part("by")),
  );
}

function update(row, release) {
  const part = (name) => row.querySelector(`.${name}`);
  setText(part("target"), `${release.name}, ${bytes(release.size)}`);
  setText(part("platforms"), platformsOf(release));
  drawState(part("verdict"), stateOf(release));
  setText(part("said"), release.revoked ? endOf(release) : "");
  setTime(part("age"), release.uploaded, t("common.ago"));
  setText(part("by"), release.uploaded_by ? t("common.by", { who: release.uploaded_by }) : "");
}

/** The detail of releases; `looks` are asked to look again after each action. */
export const releaseDetail = (mayEnd, looks) => ({
  load: (version) => get(`/api/releases/${encodeURIComponent(version)}`),
  title: ({ version }) => t("updates.release_one", { version }),
  make: (release) => makeDetail(release, mayEnd, looks),
  update: updateDetail,
});

function makeDetail(release, mayEnd, looks) {
  return h("div", {}, h("p", { class: "note" }, h("span", { class: "verdict" }), " ", h("span", { class: "said" })), factList(), mayEnd ? ending(release, looks) : null);
}

function ending({ version }, looks) {
  const path = `/api/releases/${encodeURIComponent(version)}`;
  const why = h("input", { maxlength: 500, autocomplete: "off" });
  const revoke = button(t("updates.revoke"), t("updates.revoke_this", { version }), () => post(`${path}/revoke`, { reason: why.value.trim() }), looks, {
    confirm: t("updates.revoke_ask", { version }),
    done: t("updates.revoke_done", { version }),
  });
  const drop = button(t("updates.delete"), t("updates.delete_this", { version }), () => remove(path), looks, {
    confirm: t("updates.delete_ask", { version }),
    done: t("updates.delete_done", { version }),
  });
  revoke.className = drop.className = "plain danger";
  return h(
    "div",
    { class: "ending" },
    h("div", { class: "form revoking" }, h("label", { class: "whole" }, t("updates.revoke_why"), why), h("p", { class: "whole" }, revoke)),
    h("p", { class: "buttons" }, drop),
  );
}

function updateDetail(body, release) {
  const part = (name) => body.querySelector(name);
  drawState(part(".verdict"), stateOf(release));
  setText(part(".said"), release.revoked ? endOf(release) : release.here ? "" : t("updates.elsewhere"));
  drawFacts(part("dl"), [
    [t("updates.package"), release.name],
    [t("updates.platforms"), platformsOf(release)],
    [t("updates.size"), bytes(release.size)],
    [t("updates.wheels"), number(release.wheels)],
    [t("updates.python"), release.requires_python],
    [t("updates.replaces"), release.replaces_from],
    [t("updates.built"), moment(release.created)],
    [t("updates.uploaded"), moment(release.uploaded)],
    [t("updates.by"), release.uploaded_by],
    [t("updates.revoked_at"), moment(release.revoked)],
    [t("updates.key"), release.key_id],
    [t("updates.sha256"), release.sha256],
  ]);
  if (part(".revoking")) part(".revoking").hidden = Boolean(release.revoked);
}
