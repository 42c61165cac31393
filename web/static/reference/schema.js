// JSON Schemas as people read them: a table of the fields, those of a field's own below it.

import { h } from "../core/dom.js";
import { number } from "../core/numbers.js";
import { t } from "../core/texts.js";

const DEEPEST = 6; // levels of fields

/** Words with what stands in backticks as code. */
export const rich = (words) => words.split(/`([^`]+)`/).map((part, place) => (place % 2 ? h("code", { text: part }) : part));

/** A schema and its name, if it is but a reference to one; its own words stay. */
function resolve(schema, schemas) {
  if (!schema.$ref) return { schema, name: "" };
  const name = schema.$ref.split("/").at(-1);
  return { schema: { ...schemas[name], ...schema, $ref: undefined }, name };
}

/** What a value is, in a few words such as `array of string, or null`. */
export function typeText(given, schemas) {
  const { schema } = resolve(given, schemas);
  if (schema.anyOf) return [...new Set(schema.anyOf.map((each) => typeText(each, schemas)))].join(t("reference.or"));
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return schema.items ? t("reference.list_of", { type: typeText(schema.items, schemas) }) : t("reference.list");
  if (schema.enum) return t("reference.one_of");
  if (schema.type === "object" && schema.properties) return (schema.title ?? "object").replace(/\[.*/, "");
  if (schema.type === "object" && schema.additionalProperties?.type) return t("reference.map_of", { type: typeText(schema.additionalProperties, schemas) });
  return schema.type ?? t("reference.anything");
}

/** The schemas of objects that stand in a field's value, each with what leads to it. */
function objectsIn(given, schemas) {
  const { schema, name } = resolve(given, schemas);
  if (schema.anyOf) return schema.anyOf.flatMap((each) => objectsIn(each, schemas));
  if (schema.type === "array" && schema.items) return objectsIn(schema.items, schemas).map((each) => ({ ...each, suffix: `[]${each.suffix}` }));
  if (schema.properties) return [{ schema, name, suffix: "" }];
  if (schema.additionalProperties) return objectsIn(schema.additionalProperties, schemas).map((each) => ({ ...each, suffix: `.*${each.suffix}` }));
  return [];
}

/** The names of all fields of a value. */
export function fieldNames(schema, schemas) {
  return fieldsOf(schema, schemas).map(({ name }) => name);
}

/** Every field of a value, those of a field's own behind it, with how deep it stands. */
function fieldsOf(given, schemas, depth = 0, within = "", above = []) {
  return objectsIn(given, schemas).flatMap(({ schema, name: own, suffix }) => {
    // A tree has trees in it.
    if (depth > DEEPEST || (own && above.includes(own))) return [];
    return Object.entries(schema.properties).flatMap(([name, field]) => {
      const path = `${within}${depth ? `${suffix}.` : ""}${name}`;
      const isRequired = (schema.required ?? []).includes(name);
      return [{ name, path, field, depth, isRequired }, ...fieldsOf(field, schemas, depth + 1, path, own ? [...above, own] : above)];
    });
  });
}

/** A table of the fields of a value; null for one that has none. With `marked` it says which are required. */
export function drawFields(schema, schemas, { marked = false } = {}) {
  const fields = fieldsOf(schema, schemas);
  if (fields.length === 0) return null;
  const heads = ["reference.field", "reference.type", "reference.words"].map((key) => h("th", { scope: "col", text: t(key) }));
  return h("table", { class: "fields" }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...fields.map((each) => drawField(each, schemas, marked))));
}

function drawField({ name, path, field, depth, isRequired }, schemas, marked) {
  const { schema } = resolve(field, schemas);
  const words = [...(field.description ? [h("p", {}, ...rich(field.description.replaceAll("\n", " ")))] : []), ...constraints(schema, schemas)];
  const row = h(
    "tr",
    {},
    h("th", { scope: "row", title: path }, h("code", { text: name })),
    h("td", {}, h("span", { text: typeText(field, schemas) }), marked && isRequired ? h("span", { class: "needed", text: t("reference.required") }) : null),
    h("td", {}, ...words),
  );
  row.style.setProperty("--depth", depth);
  return row;
}

/** What a value must keep to. */
function constraints(schema, schemas) {
  const said = limitsOf(schema, schemas);
  if (schema.default !== undefined && schema.default !== null && schema.default !== "") {
    said.push([t("reference.default"), h("code", { text: JSON.stringify(schema.default) })]);
  }
  return said.map((parts) => h("p", { class: "quiet" }, ...parts.flatMap((part, place) => (place ? [" ", part] : [part]))));
}

const RANGES = [
  ["minLength", "maxLength", "reference.characters", "reference.most_characters"],
  ["minItems", "maxItems", "reference.items", "reference.most_items"],
  ["minProperties", "maxProperties", "reference.items", "reference.most_items"],
];

function limitsOf(given, schemas) {
  const { schema } = resolve(given, schemas);
  if (schema.anyOf) return schema.anyOf.flatMap((each) => limitsOf(each, schemas));
  if (schema.type === "array" && schema.items && !schema.items.$ref) return [...ranges(schema), ...limitsOf(schema.items, schemas)];
  const said = ranges(schema);
  if (schema.enum) said.push(schema.enum.map((word) => h("code", { text: String(word) })));
  if (schema.pattern) said.push([t("reference.pattern"), h("code", { text: schema.pattern })]);
  if (schema.format) said.push([t("reference.format", { format: schema.format })]);
  return said;
}

function ranges(schema) {
  const said = [];
  for (const [low, high, both, most] of RANGES) {
    const limits = { low: number(schema[low] ?? 0), high: number(schema[high] ?? 0) };
    if (schema[high] !== undefined) said.push([schema[low] ? t(both, limits) : t(most, limits)]);
    else if (schema[low]) said.push([t("reference.at_least", limits)]);
  }
  const bounds = [];
  if (schema.minimum !== undefined) bounds.push(t("reference.at_least", { low: number(schema.minimum) }));
  if (schema.exclusiveMinimum !== undefined) bounds.push(t("reference.above", { low: number(schema.exclusiveMinimum) }));
  if (schema.maximum !== undefined) bounds.push(t("reference.at_most", { high: number(schema.maximum) }));
  return bounds.length ? [...said, [bounds.join(", ")]] : said;
}
