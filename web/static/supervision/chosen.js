// Which node is shown in detail: it stands in the address of the page, so that others can lead here.

const NODE = "node";
const listeners = [];

export const chosen = () => new URLSearchParams(location.search).get(NODE) ?? "";

/** Where a node is shown. */
export const hrefOf = (path) => `/supervision?${new URLSearchParams({ [NODE]: path })}`;

/** Call `listener(path)` whenever another node is chosen; empty for none. */
export const onChoice = (listener) => listeners.push(listener);

export function choose(path) {
  if (path === chosen()) return;
  history.replaceState(null, "", path ? hrefOf(path) : "/supervision");
  for (const listener of listeners) listener(path);
}
