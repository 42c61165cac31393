// Points of lines as the columns of a plot, in which a gap stays a gap.

/** A point is [when (s since 1970), average, smallest, largest, how many]. */
const [TS, AVG, MIN, MAX, COUNT] = [0, 1, 2, 3, 4];
const EXPAND = 2; // uPlot's name for nulls that reach to the next point of their own line, past those of others

const median = (numbers) => numbers.sort((one, other) => one - other)[numbers.length >> 1];

/**
 * The longest time between two points (s) that is no gap: a bucket and a half. Whoever sends less often than there are
 * buckets leaves some of them empty all the time, which is no gap either.
 */
export function longestStep(points, bucket) {
  if (points.length < 3 || median(points.map((point) => point[COUNT])) > 1) return 1.5 * bucket;
  return 1.5 * bucket + median(points.slice(1).map((point, index) => point[TS] - points[index][TS]));
}

/** The points, with one of nulls in each gap; and how many gaps there are. */
export function withGaps(points, bucket) {
  const longest = longestStep(points, bucket);
  const told = [];
  let gaps = 0;
  for (const point of points) {
    const before = told.at(-1)?.[TS];
    if (before !== undefined && point[TS] - before > longest) {
      told.push([(before + point[TS]) / 2, null, null, null, 0]);
      gaps += 1;
    }
    told.push(point);
  }
  return { points: told, gaps };
}

const column = (points, which) => points.map((point) => point[which]);

/**
 * The columns of lines: times, and the averages of each line; of a single line its smallest and largest numbers, too.
 * null is a gap, undefined is where only other lines have a point. `join` is uPlot's.
 */
export function columns(lines, join) {
  if (lines.length === 1) {
    const [{ points }] = lines;
    return [TS, AVG, MIN, MAX].map((which) => column(points, which));
  }
  const tables = lines.map(({ points }) => [column(points, TS), column(points, AVG)]);
  return join(tables, tables.map((table) => table.map(() => EXPAND)));
}

/** Of a line's column the points without a neighbour, which no line goes through. */
export function lonely(values) {
  const found = [];
  let before = null; // the last that is told: null for a gap
  for (let index = 0; index < values.length; index += 1) {
    if (values[index] === undefined) continue;
    if (values[index] !== null && before === null) {
      let next = index + 1;
      while (values[next] === undefined && next < values.length) next += 1;
      if ((values[next] ?? null) === null) found.push(index);
    }
    before = values[index];
  }
  return found;
}

/** The point at this time, if there is one; `points` are in order of time. */
export function pointAt(points, ts) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][TS] < ts) low = middle + 1;
    else high = middle;
  }
  return points[low]?.[TS] === ts ? points[low] : undefined;
}
