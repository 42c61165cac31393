// The page of the updates: rollouts, the newest first, and how far their waves are; releases; maintenance windows.

import { detail, openLink, startDetail } from "../core/detail.js";
import { h, setText, setTime } from "../core/dom.js";
import { isNarrowed } from "../core/filters.js";
import { refresh, start } from "../core/frame.js";
import { List } from "../core/list.js";
import { startParts } from "../core/parts.js";
import { drawState } from "../core/states.js";
import { n, t } from "../core/texts.js";
import { groups, startBegin } from "./begin.js";
import { onReleases, releaseDetail, releases, startReleases } from "./releases.js";
import { drawOrders, drawWaves, orders, rolloutDetail } from "./rollout.js";
import { startUpload } from "./upload.js";
import { startWindows, windowDetail, windows } from "./windows.js";

let mayOperate = false;

const list = new List("/api/rollouts", {
  filters: ["status"],
  keyOf: ({ id }) => id,
  make,
  update,
  none: () => (isNarrowed() ? t("updates.no_match") : t("updates.none")),
});

const looks = { request: () => refresh(list.panel, detail) };

function make({ id }) {
  const part = (name) => h("span", { class: name });
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "what" }, openLink("rollout", id), part("target")),
    h("td", { class: "progress" }, h("ol", { class: "waves" })),
    h("td", { class: "state" }, part("verdict"), part("said"), mayOperate ? h("span", { class: "buttons" }, ...orders(id, looks)) : null),
    h("td", { class: "time" }, part("age"), part("by")),
  );
}

function update(row, rollout) {
  const part = (name) => row.querySelector(`.${name}`);
  setText(part("open"), rollout.version);
  setText(part("target"), n("updates.target", rollout.devices, { target: rollout.target }));
  drawWaves(part("waves"), rollout);
  drawState(row.querySelector(".state .verdict"), rollout.status);
  setText(part("said"), rollout.reason ?? "");
  setTime(part("age"), rollout.created, t("common.ago"));
  setText(part("by"), rollout.by ? t("common.by", { who: rollout.by }) : "");
  if (mayOperate) drawOrders(row, rollout);
}

start({
  panels: [list.panel, releases, groups, windows, detail],
  often: [list.panel, windows],
  events: {
    rollout: ({ id, status }) => {
      list.onChange();
      if (location.hash === `#rollout/${id}`) detail.request();
      if (status === "halted") releases.request(); // its release may have been revoked
    },
  },
  ready: (role) => {
    mayOperate = role === "operate" || role === "admin";
    startParts();
    startBegin(role, list.panel);
    startReleases(role);
    startUpload(role, releases);
    startWindows(role);
    onReleases(() => looks.request());
    startDetail({
      rollout: rolloutDetail(mayOperate, looks),
      release: releaseDetail(role === "admin", { request: () => refresh(releases, looks) }),
      window: windowDetail(mayOperate, { request: () => refresh(windows, detail) }),
    });
    list.start();
  },
});
