// What a station measures: names, units and order, and where a value lies in what is asked for.

import { number } from "../core/numbers.js";
import { t, tOr } from "../core/texts.js";

/** The measures of the built-in analyser in the order in which people read them, with their units. */
const UNITS = { pH: "", Moisture: "%", N: "mg/kg", P: "mg/kg", K: "mg/kg", Temperature: "°C", CO2: "ppm" };
const ORDER = Object.keys(UNITS);
const EDGE = 25; // percent of the scale on each side of the optimum

/** The name of the measure that a sender's name means. */
const meant = (name, told) => told?.measure ?? name;

export const nameOf = (name, told) => tOr("hardware.measure.", meant(name, told));

export const unitOf = (name, told) => (told?.unit || UNITS[meant(name, told)] || "").replace("degrees C", "°C");

/** The measures of a station as [name, value, what the analysis tells of it], in order. */
export function measuresOf({ measures, contributions }) {
  const place = (name) => {
    const index = ORDER.indexOf(meant(name, contributions[name]));
    return index < 0 ? ORDER.length : index;
  };
  return Object.entries(measures)
    .sort(([one], [other]) => place(one) - place(other) || one.localeCompare(other))
    .map(([name, value]) => [name, value, contributions[name]]);
}

/** The optimum of a measure, [low, high]; null where none is known. */
export const bandOf = (told) => (Array.isArray(told?.optimum) ? told.optimum : null);

/**
 * Where a value lies, in percent of a scale whose middle half is the optimum and whose ends are the limits of what is
 * asked for: so that every measure reads alike, however far its limits are from each other.
 */
export function placeOf(value, { optimum: [from, to], range }) {
  const [low, high] = range ?? [from, to];
  const part = (of, all) => (all > 0 ? Math.min(1, Math.max(0, of / all)) : of > 0 ? 1 : 0);
  if (value < from) return EDGE * part(value - low, from - low);
  if (value > to) return 100 - EDGE * part(high - value, high - to);
  return EDGE + (100 - 2 * EDGE) * part(value - from, to - from);
}

/** Where a value lies, in words: `inside`, `outside` the optimum, or `beyond` the limits of what is asked for. */
export function verdictOf(value, { optimum: [from, to], range }) {
  const [low, high] = range ?? [from, to];
  const span = { low: number(from), high: number(to) };
  if (value >= from && value <= to) return ["inside", t("hardware.inside", span)];
  const isBeyond = value < low || value > high;
  return [isBeyond ? "beyond" : "outside", value < from ? t("hardware.below", span) : t("hardware.above", span)];
}
