// One operation: who may, what it takes, what it answers, and how to ask it with curl.

import { copyButton } from "../core/copy.js";
import { h } from "../core/dom.js";
import { t } from "../core/texts.js";
import { curl } from "./curl.js";
import { drawFields, rich, typeText } from "./schema.js";

/** The role that a token needs; empty where none is asked for. */
const roleOf = ({ security }) => security[0]?.token[0] ?? "";

/** What is seen of an operation as long as it is closed. */
export function summaryOf({ method, path, operation }) {
  const role = roleOf(operation);
  return h(
    "summary",
    {},
    h("span", { class: "method", text: method.toUpperCase() }),
    h("code", { class: "path" }, ...path.split(/(?<=\/)/).flatMap((part) => [part, h("wbr")])),
    h("span", { class: "role badge", title: t("reference.role"), text: role ? t(`states.${role}`) : t("reference.open") }),
    h("span", { class: "summary" }, ...rich(operation.summary)),
  );
}

/** Everything that the contract tells of an operation, as elements. */
export function drawOperation(each, schemas) {
  const { operation } = each;
  const parts = operation.description.split("\n\n").map((words) => h("p", {}, ...rich(words.replaceAll("\n", " "))));
  if (operation.parameters.length) parts.push(heading("reference.parameters"), parameters(operation.parameters, schemas));
  if (operation.requestBody) parts.push(heading("reference.body"), ...forms(operation.requestBody.content, schemas, { marked: true }));
  parts.push(heading("reference.example"), example(each), heading("reference.answers"), ...answers(operation.responses, schemas));
  parts.push(h("p", { class: "quiet" }, h("a", { href: `#${operation.operationId}`, text: t("reference.link") })));
  return parts;
}

const heading = (key) => h("h3", { text: t(key) });

function parameters(all, schemas) {
  // Parameters are fields of an object, too, but for the place where they stand.
  const properties = Object.fromEntries(
    all.map(({ name, in: place, schema }) => {
      const words = [t(`reference.in.${place}`), schema.description].filter(Boolean).join("; ");
      return [name, { ...schema, description: words }];
    }),
  );
  const required = all.filter((each) => each.required).map(({ name }) => name);
  return drawFields({ type: "object", properties, required }, schemas, { marked: true });
}

/** A body or an answer, in each of its content types. */
function forms(content, schemas, options = {}) {
  return Object.entries(content).flatMap(([media, { schema, "x-events": events }]) => {
    const drawn = [h("p", { class: "quiet" }, h("code", { text: media }), " ", typeText(schema, schemas))];
    const alternatives = schema.anyOf ?? [schema];
    for (const form of alternatives) {
      const fields = drawFields(form, schemas, options);
      if (fields) drawn.push(fields);
    }
    for (const [kind, data] of Object.entries(events ?? {})) {
      drawn.push(h("h4", {}, h("code", { text: kind })), ...(data.anyOf ?? [data]).map((form) => drawFields(form, schemas)));
    }
    return drawn;
  });
}

function answers(responses, schemas) {
  return Object.entries(responses).flatMap(([status, { description, content }]) => {
    if (status === "default") return [h("p", {}, ...rich(t("reference.refusal")))];
    const words = h("p", {}, h("strong", { text: status }), " ", ...rich(description));
    return [words, ...forms(content ?? {}, schemas)];
  });
}

function example(each) {
  const line = curl(each);
  const shown = h("pre", { text: line, tabindex: "0", "aria-label": t("reference.example") });
  return h("div", { class: "example" }, shown, copyButton(t("reference.copy", { operation: each.operation.operationId }), () => line, () => shown));
}
