// Buttons that come and go with the state of what they belong to.

/** Show those buttons for which `isShown(button)`; the focus goes from one that disappears to one that stays. */
export function showThose(buttons, isShown) {
  const all = [...buttons];
  const focused = all.find((button) => button === document.activeElement);
  for (const button of all) button.hidden = !isShown(button);
  if (focused?.hidden) all.find((button) => !button.hidden)?.focus();
}
