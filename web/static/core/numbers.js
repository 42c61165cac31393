// Numbers as people of the viewer's language write them.

import { locale } from "./texts.js";

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A number with at most `digits` after the point. */
export const number = (value, digits = 2) => value.toLocaleString(locale, { maximumFractionDigits: digits });

/** A number and its unit, on one line; `–` for none. */
export const withUnit = (value, unit, digits = 2) => {
  if (value === null || value === undefined) return "–";
  return unit ? `${number(value, digits)}\u00a0${unit}` : number(value, digits);
};

/** A share of 1 in percent. */
export const percent = (share, digits = 0) => share.toLocaleString(locale, { style: "percent", maximumFractionDigits: digits });

/** Bytes as short as `512 MiB`. */
export function bytes(count) {
  const step = Math.min(SIZES.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
  return withUnit(count / 1024 ** step, SIZES[step], 1);
}
