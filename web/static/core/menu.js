// The menu of every page: light or dark, the language, who looks.

import { setText } from "./dom.js";
import { language, t, tOr } from "./texts.js";

const YEAR = 365 * 86400; // seconds
const element = (id) => document.getElementById(id);

export function startMenu({ role, version }) {
  setText(element("version"), version);
  setText(element("role"), t("frame.role", { role: tOr("states.", role) }));
  element("theme").value = document.documentElement.dataset.theme ?? "";
  element("theme").addEventListener("change", ({ target }) => {
    if (target.value) document.documentElement.dataset.theme = target.value;
    else delete document.documentElement.dataset.theme;
    localStorage.setItem("muster-theme", target.value);
  });
  element("language").value = language;
  element("language").addEventListener("change", ({ target }) => {
    document.cookie = `muster_lang=${target.value}; path=/; max-age=${YEAR}; samesite=lax`;
    location.reload();
  });
  // Where the pages are wider than the screen, the one that is shown is among those seen.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  // Whoever looks elsewhere is done with it.
  document.addEventListener("click", ({ target }) => {
    if (!element("menu").contains(target)) element("menu").open = false;
  });
  element("menu").addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    element("menu").open = false;
    element("menu").querySelector("summary").focus();
  });
}
