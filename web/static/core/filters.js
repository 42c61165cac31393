// The form `#filters` above a list. What is chosen in it stands in the address: a reload and a link show the same.

const element = (id) => document.getElementById(id);

/** By name what is chosen; names of the address that are no filter are left out. */
export const chosen = {};

/** Start the form, whose fields have `names` as ids; `onChange()` is called when something else is chosen. */
export function startFilters(names, onChange) {
  const asked = new URLSearchParams(location.search);
  const take = () => {
    for (const name of names) chosen[name] = element(name).value.trim();
  };
  for (const name of names) element(name).value = asked.get(name) ?? "";
  for (const list of document.querySelectorAll("#filters select")) {
    if (list.selectedIndex < 0) list.selectedIndex = 0; // the address has a word that is not on it
    list.addEventListener("change", () => element("filters").requestSubmit());
  }
  take();
  element("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    take();
    const told = names.filter((name) => chosen[name]).map((name) => [name, chosen[name]]);
    history.replaceState(null, "", told.length ? `?${new URLSearchParams(told)}` : location.pathname);
    onChange();
  });
}
