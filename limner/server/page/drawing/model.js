// The models of this server, the one that is chosen, and what it can do.
import { cell } from "../basics/html.js";
import { language } from "../basics/words.js";
import { options } from "./options.js";

export const models = cell([]); // of this server's own, with what each can do

export function modelNow() {
  const all = models.value;
  return all.find(({ id }) => id === options.value.model) ||
    all.find(({ limner }) => limner.is_default) || all[0] || null;
}

// What the chosen model can do: "edit", "vary", "mask", "transparent".
export function can(ability) {
  return Boolean(modelNow()?.capabilities[ability]);
}

// Whether it draws things in boxes that are given.
export const canPlace = () => "boxes" in (modelNow()?.capabilities.options || {});

// What it takes beside the options of every model, and has a field of its own: JSON Schemas by name.
export function ownOptions() {
  const { boxes, ...rest } = modelNow()?.capabilities.options || {};
  return rest;
}

const OF_SCORES = ["best_of", "retry_below"];
export const takes = (name) => name in ownOptions() || (OF_SCORES.includes(name) && can("score"));

export const styles = () => modelNow()?.limner.styles || [];
export const styleNow = () => styles().find(({ en }) => en === options.value.style);
export const styleName = ({ en, zh }) => (language.value === "zh" ? zh : en);
