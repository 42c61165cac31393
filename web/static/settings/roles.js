// Who may what: each role may what is before it, too.

const RANKS = ["device", "read", "operate", "admin"];

/** Whether one of this role may what needs that one. */
export const mayAs = (role, needed) => RANKS.indexOf(role) >= RANKS.indexOf(needed);
