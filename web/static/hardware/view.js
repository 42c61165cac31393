// What the address asks for: `?station=soil-1` opens one, `?compare=soil-1,soil-2` compares several.

/** How many stations can be compared: so many lines can be told apart. */
export const MOST = 6;

const asked = new URLSearchParams(location.search);

/** The serials of the stations whose charts are shown; none for the list. */
export const chosen = [...new Set((asked.get("station") ?? asked.get("compare") ?? "").split(",").filter(Boolean))].slice(0, MOST);

export const isComparison = chosen.length > 1;
