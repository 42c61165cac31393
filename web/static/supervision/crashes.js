// What has crashed, grouped: the same exception at the same place of the same role is one line. It survives restarts.

import { get } from "../core/api.js";
import { flash, h, keyed, Refresher, setMoment, setText, setTime } from "../core/dom.js";
import { Pager } from "../core/pager.js";
import { n, t } from "../core/texts.js";
import { choose, hrefOf } from "./chosen.js";

const element = (id) => document.getElementById(id);

const pager = new Pager("/api/crashes", { draw });

export const crashes = pager.panel;

export function startCrashes() {
  pager.start();
}

function draw(groups, isSame) {
  element("none").hidden = groups.length > 0;
  keyed(element("crashes"), groups, ({ id }) => id, make, (row, group) => {
    const isNew = row.isConnected && row.count !== group.count;
    update(row, group);
    if (isSame && isNew) flash(row);
  });
  pager.drawFoot(groups.length);
}

function make({ id }) {
  const single = h("ol", { class: "single" });
  const details = h(
    "details",
    { class: "crash" },
    h("summary", { text: t("supervision.details") }),
    h("pre", { tabindex: "0", "aria-label": t("supervision.traceback") }),
    single,
  );
  const row = h(
    "li",
    {},
    h(
      "p",
      { class: "top-line" },
      h("span", { class: "type" }),
      h("span", { class: "times" }),
      h("span", { class: "last quiet" }, h("span", { class: "age" }), h("span", { class: "first" })),
    ),
    h("p", { class: "error" }),
    h("p", { class: "where quiet" }, h("span", { class: "address role" }), " ", h("span", { class: "address place" })),
    h("ul", { class: "paths" }),
    details,
  );
  const looks = new Refresher(async () => {
    if (!details.open) return;
    const group = await get(`/api/crashes/${id}`);
    keyed(single, group.crashes.map((crash, index) => ({ ...crash, key: group.count - index })), ({ key }) => key, makeSingle, updateSingle);
  });
  details.addEventListener("toggle", () => looks.request());
  row.look = () => looks.request();
  return row;
}

function update(row, group) {
  const part = (name) => row.querySelector(name);
  setText(part(".type"), group.type);
  setText(part(".error"), group.error === group.type ? "" : group.error);
  setText(part(".place"), group.place);
  setText(part("pre"), group.traceback);
  part("pre").hidden = !group.traceback;
  setText(part(".role"), group.role);
  // One that is alone in its role says nothing more than the role itself.
  keyed(part(".paths"), group.role.endsWith("*") ? group.paths : [], (path) => path, makePath, () => {});
  setText(part(".times"), n("supervision.times", group.count));
  part(".times").hidden = group.count < 2;
  setTime(part(".age"), group.last, t("common.ago"));
  setTime(part(".first"), group.count > 1 ? group.first : null, t("supervision.first"));
  part(".first").hidden = group.count < 2;
  if (row.count !== group.count) row.look();
  row.count = group.count;
}

const makePath = (path) => h("li", {}, linkTo(path));

/** Leads to the node, here on this page. */
function linkTo(path) {
  return h("a", {
    class: "address",
    href: hrefOf(path),
    text: path.split("/").at(-1),
    onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(path);
      element("node").scrollIntoView({ block: "nearest" });
    },
  });
}

const makeSingle = ({ path }) => h("li", {}, h("span", { class: "moment" }), " ", linkTo(path), " ", h("span", { class: "said quiet" }));

function updateSingle(item, { at, error }) {
  setMoment(item.querySelector(".moment"), at);
  setText(item.querySelector(".said"), error);
}
