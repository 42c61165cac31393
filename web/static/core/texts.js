// The texts of the page in the viewer's language, which the server chose: `<html lang>`.

export const language = document.documentElement.lang;

/** How the viewer writes numbers and times: a browser may speak this language as it is spoken in one country. */
export const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;

const RETRY = 1000; // ms

/** Without its texts the page says nothing: a server that is just starting again is asked until it answers. */
async function load() {
  for (;;) {
    try {
      const answer = await fetch(`/static/texts.${language}.json`);
      if (answer.ok) return await answer.json();
      if (answer.status === 401) location.replace("/login");
    } catch {
      // Unreachable, or this page is being left.
    }
    await new Promise((done) => setTimeout(done, RETRY));
  }
}

const texts = await load();
const plurals = new Intl.PluralRules(language);

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);

/** The text of a key, each `{name}` of it filled in; what is given no value stays as it is. */
export function t(key, values = {}) {
  if (!(key in texts)) console.error(`no text: ${key}`);
  return fill(texts[key] ?? key, values);
}

/** The text of a number of things, by `key.one` and `key.other`; `{count}` of it is the number as people write it. */
export function n(key, count, values = {}) {
  const one = `${key}.${plurals.select(count)}`;
  return t(one in texts ? one : `${key}.other`, { count: count.toLocaleString(locale), ...values });
}

/** The text of a key that may be on no list, such as a word the server has made up; else that word, readable. */
export const tOr = (prefix, word) => texts[prefix + word] ?? word.replaceAll("_", " ");
