// The numbers of a device in buckets: how wide they are follows from the time asked for, and the server fills them.

import { get } from "./api.js";

/** Widths of buckets, in seconds, that people can think in. */
const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const PAGE = 1000;

/** The width of the buckets, in seconds, of which about `points` (no more) cover the time from `since` to `until` (ms). */
export function bucketOf(since, until, points) {
  const least = (until - since) / 1000 / points;
  return WIDTHS.find((width) => width >= least) ?? WIDTHS.at(-1);
}

/**
 * Ask for a number that a device has sent, from `since` until `until` (ms since 1970): the width of the buckets in
 * seconds, and of each that holds something [when it begins (s since 1970), average, smallest, largest, how many], the
 * oldest first. Throws an ApiError as `get` does.
 */
export async function loadSeries(serial, metric, { since, until, points }) {
  const bucket = bucketOf(since, until, points);
  const begin = Math.floor(since / 1000 / bucket) * bucket; // or the first would be told of a part of it
  const query = new URLSearchParams({
    metric,
    bucket,
    since: new Date(begin * 1000).toISOString(),
    until: new Date(until).toISOString(),
    limit: PAGE,
  });
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    if (cursor) query.set("cursor", cursor);
    const page = await get(`/api/devices/${encodeURIComponent(serial)}/readings?${query}`);
    for (const { ts, avg, min, max, n } of page.items) found.push([Date.parse(ts) / 1000, avg, min, max, n]);
    cursor = page.cursor;
  }
  return { bucket, points: found.reverse() };
}
