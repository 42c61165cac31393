// The form `#filters` above a list. What is chosen in it stands in the address: a reload and a link show the same.

const element = (id) => document.getElementById(id);

/** By name what is chosen, times in UTC; names of the address that are no filter are left out. */
export const chosen = {};

const isTime = (field) => field.type === "datetime-local";

/** What is chosen in a field; a time, which people choose in their zone, in UTC. */
function read(field) {
  const text = field.value.trim();
  return text && isTime(field) ? new Date(text).toISOString() : text;
}

function write(field, text) {
  const at = isTime(field) ? Date.parse(text) : NaN;
  field.value = Number.isNaN(at) ? (isTime(field) ? "" : text) : inZone(at);
}

/** A time as a field wants it: `2026-01-31T12:00` in the viewer's zone. */
const inZone = (at) => new Date(at - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 16);

/** Start the form, whose fields have `names` as ids; `onChange()` is called when something else is chosen. */
export function startFilters(names, onChange) {
  const asked = new URLSearchParams(location.search);
  const take = () => {
    for (const name of names) chosen[name] = read(element(name));
  };
  for (const name of names) write(element(name), asked.get(name) ?? "");
  for (const field of names.map(element)) {
    if (field.selectedIndex < 0) field.selectedIndex = 0; // the address has a word that is not on the list
    // What is chosen and not typed counts at once.
    if (field.list || field.selectedIndex >= 0 || isTime(field)) field.addEventListener("change", () => element("filters").requestSubmit());
  }
  take();
  element("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    take();
    const told = names.filter((name) => chosen[name]).map((name) => [name, chosen[name]]);
    const query = told.length ? `?${new URLSearchParams(told)}` : "";
    history.replaceState(null, "", location.pathname + query + location.hash);
    onChange();
  });
}

/** Whether anything is chosen. */
export const isNarrowed = () => Object.values(chosen).some(Boolean);
