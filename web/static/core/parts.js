// A page of several parts, one of them shown at a time. The address says which, `#rules` or `#rule/offline` of it.

const tabs = () => [...document.querySelectorAll("#parts a")];

/** The part whose turn it is: the one that the address is of, else the first. */
function current() {
  const named = location.hash.slice(1).split("/")[0];
  return tabs().find(({ dataset }) => [dataset.part, dataset.item].includes(named)) ?? tabs()[0];
}

function show() {
  const here = current();
  const isNew = !here.hasAttribute("aria-current");
  for (const tab of tabs()) {
    if (tab === here) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
    document.getElementById(`part-${tab.dataset.part}`).hidden = tab !== here;
  }
  // Where tabs are wider than the screen, the one that is shown is among those seen.
  if (isNew) here.scrollIntoView({ inline: "center", block: "nearest" });
}

/** Show the part of the address, now and whenever it changes. The tabs are the links in `#parts`, the parts `part-<name>`. */
export function startParts() {
  addEventListener("hashchange", show);
  show();
}
