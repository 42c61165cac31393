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
export const loadSeries = (serial, metric, time) => loadBuckets(`/api/devices/${encodeURIComponent(serial)}/readings`, { metric }, time);

/** Ask for the health index of a station, as `loadSeries` does. */
export const loadIndex = (serial, time) => loadBuckets("/api/soil-health/history", { device: serial }, time);

async function loadBuckets(path, of, { since, until, points }) {
  const bucket = bucketOf(since, until, points);
  const begin = Math.floor(since / 1000 / bucket) * bucket; // or the first would be told of a part of it
  const query = new URLSearchParams({
    ...of,
    bucket,
    since: new Date(begin * 1000).toISOString(),
    until: new Date(until).toISOString(),
    limit: PAGE,
  });
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    if (cursor) query.set("cursor", cursor);
    const page = await get(`${path}?${query}`);
    for (const { ts, avg, min, max, n } of page.items) found.push([Date.parse(ts) / 1000, avg, min, max, n]);
    cursor = page.cursor;
  }
  return { bucket, points: found.reverse() };
}

/**
 * Add a number of the time `at` (s) that has just come to the buckets of `loadSeries`. One that comes late is left out:
 * the next look has it.
 */
export function addTo(points, bucket, at, value) {
  const begin = Math.floor(at / bucket) * bucket;
  const last = points.at(-1);
  if (last && at < last[0]) return;
  if (!last || begin > last[0]) {
    points.push([begin, value, value, value, 1]);
    return;
  }
  const [since, avg, min, max, count] = last;
  const told = [since, (avg * count + value) / (count + 1), Math.min(min, value), Math.max(max, value), count + 1];
  points.splice(-1, 1, told);
}
