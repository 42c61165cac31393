// The order of the table: by its headers, and where these have no room by a list.

import { h } from "../core/dom.js";
import { t } from "../core/texts.js";
import { choose, chosen, onChoice } from "./choice.js";

/** The columns, and by what each can be sorted; times come with the newest first when they are chosen. */
const COLUMNS = [["label", "serial"], ["presence", "since"], ["last_seen"], ["kind", "site"], []];
const NEWEST_FIRST = ["since", "last_seen"];
const USUAL = "serial";

const element = (id) => document.getElementById(id);
const current = () => chosen.sort ?? USUAL;

export function startOrder() {
  for (const sorts of COLUMNS) {
    const buttons = sorts.map((sort) => h("button", { type: "button", class: "order", "data-sort": sort, text: t(`fleet.by.${sort}`), onclick: () => turn(sort) }));
    element("orders").append(h("th", { scope: "col" }, ...(buttons.length ? buttons : [t("fleet.address")])));
  }
  for (const sort of COLUMNS.flat()) {
    for (const order of ["asc", "desc"]) element("sort").append(h("option", { value: `${sort} ${order}`, text: t(`fleet.${order}`, { key: t(`fleet.by.${sort}`) }) }));
  }
  element("sort").addEventListener("change", ({ target }) => take(...target.value.split(" ")));
  onChoice(draw);
  draw();
}

const take = (sort, order) => choose({ sort: sort === USUAL ? "" : sort, order: order === "desc" ? order : "" });

/** The other way round, or by something else. */
function turn(sort) {
  const isDown = sort === current() ? chosen.order !== "desc" : NEWEST_FIRST.includes(sort);
  take(sort, isDown ? "desc" : "asc");
}

function draw() {
  const order = chosen.order ?? "asc";
  element("sort").value = `${current()} ${order}`;
  for (const header of element("orders").children) {
    const active = [...header.children].find(({ dataset }) => dataset.sort === current());
    header.setAttribute("aria-sort", active ? `${order}ending` : "none");
    for (const button of header.children) {
      if (button === active) button.dataset.order = order;
      else delete button.dataset.order;
    }
  }
}
