// The API as a page to read, made from the contract that the server gives to programs.

import { get } from "../core/api.js";
import { copyButton } from "../core/copy.js";
import { flash, h, Refresher, setText } from "../core/dom.js";
import { start } from "../core/frame.js";
import { n } from "../core/texts.js";
import { drawOperation, summaryOf } from "./operation.js";
import { fieldNames } from "./schema.js";

const element = (id) => document.getElementById(id);
const shown = []; // of each operation: its element, its group's, the words that find it, and what draws it

const contract = new Refresher(async () => {
  if (shown.length) return;
  draw(await get("/api/openapi.json"));
  seek();
  follow();
});

/** Every operation of the contract by its group, in the order of the groups. */
function byGroup({ tags, paths }) {
  const groups = new Map(tags.map((tag) => [tag.name, { tag, operations: [] }]));
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) groups.get(operation.tags[0]).operations.push({ path, method, operation });
  }
  return [...groups.values()];
}

function draw(document) {
  const schemas = document.components.schemas;
  for (const { tag, operations } of byGroup(document)) {
    const id = `group-${tag.name.toLowerCase().replaceAll(" ", "-")}`;
    const group = h("section", { class: "card", "aria-labelledby": id }, h("h2", { id, text: tag.name, tabindex: "-1" }), h("p", { class: "quiet about", text: tag.description }));
    const link = h("li", {}, h("a", { href: `#${id}`, text: tag.name }));
    for (const each of operations) shown.push(makeOperation(each, schemas, group, link));
    element("groups").append(link);
    element("operations").append(group);
  }
}

function makeOperation(each, schemas, group, link) {
  const { path, method, operation } = each;
  const place = h("div", { class: "told" });
  const row = h("details", { class: "operation", id: operation.operationId }, summaryOf(each), place);
  const fill = () => place.childElementCount || place.append(...drawOperation(each, schemas));
  row.addEventListener("toggle", () => {
    if (!row.open) return;
    fill();
    if (location.hash.slice(1) !== row.id) history.replaceState(null, "", `#${row.id}`);
  });
  const names = operation.parameters.map(({ name }) => name);
  const body = operation.requestBody?.content["application/json"]?.schema;
  const words = [method, path, row.id, operation.description, operation.tags[0], ...names, ...(body ? fieldNames(body, schemas) : [])];
  group.append(row);
  return { row, group, link, fill, words: words.join("\n").toLowerCase() };
}

/** Show what has all the words that are sought. */
function seek() {
  const words = element("q").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const each of shown) each.row.hidden = !words.every((word) => each.words.includes(word));
  const left = shown.filter(({ row }) => !row.hidden);
  const groups = new Set(left.map(({ group }) => group));
  for (const { group, link } of shown) {
    group.hidden = !groups.has(group);
    link.hidden = group.hidden;
  }
  element("none").hidden = left.length > 0;
  setText(element("found"), n("reference.found", left.length));
}

/** Show what the address is of. */
function follow() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    element("q").value = "";
    seek();
  }
  if (target.matches(".operation")) {
    target.open = true;
    shown.find(({ row }) => row === target).fill();
    flash(target.querySelector("summary"));
  }
  target.scrollIntoView({ block: "start" });
}

start({
  panels: [contract],
  often: [],
  events: {},
  ready: () => {
    const lines = `url=${location.origin}\nauth="Authorization: Bearer TOKEN"`;
    setText(element("begin"), lines);
    element("begin").after(copyButton(element("begin-title").textContent, () => lines, () => element("begin")));
    element("filters").addEventListener("submit", (event) => event.preventDefault());
    element("q").addEventListener("input", seek);
    addEventListener("hashchange", follow);
    // On paper everything that is found is told.
    addEventListener("beforeprint", () => shown.filter(({ row }) => !row.hidden).forEach(({ row, fill }) => (fill(), (row.open = true))));
  },
});
