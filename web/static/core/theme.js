// Light or dark as the viewer has chosen, before anything is drawn; without a choice as his system is.
// A script of its own and no module: a module would run after the first drawing.

try {
  const chosen = localStorage.getItem("muster-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // Where nothing may be stored, there is no choice.
}
