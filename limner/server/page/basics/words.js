// The language of the page, and its words.
import { cell } from "./html.js";
import { WORDS } from "./lexicon.js";

const root = document.documentElement;
export const language = cell(root.lang.startsWith("zh") ? "zh" : "en");

export function setLanguage(next) {
  language.value = next;
  root.lang = next === "zh" ? "zh-Hans" : "en";
  try { localStorage.setItem("limner.language", next); } catch { /* a private window */ }
}

// The words for `name`, with {values} filled in.
export function t(name, values = {}) {
  const [en, zh] = WORDS[name];
  const text = language.value === "zh" ? zh : en;
  return text.replace(/\{(\w+)\}/g, (_, word) => values[word] ?? "");
}

export function dateOf(seconds) {
  const locale = language.value === "zh" ? "zh-CN" : "en";
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" })
    .format(seconds * 1000);
}
