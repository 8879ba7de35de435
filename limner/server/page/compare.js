// Two pictures, one over the other, with a divider between them.
import { all, keyOf, sourceOf } from "./gallery-data.js";
import { cell, html, useCell, useState } from "./html.js";
import { CloseButton, Dialog } from "./parts.js";
import { home } from "./router.js";
import { t } from "./words.js";

export const picking = cell(null); // the first of two, while the other is being chosen
const pair = cell(null); // {before, after}

export function compare(before, after) { pair.value = { before, after }; }

export function beginPicking(item) {
  picking.value = item;
  home();
}

// The same picture again is no choice: the page goes on waiting for another one.
export function pick(item) {
  const first = picking.value;
  if (keyOf(first) === keyOf(item)) return;
  picking.value = null;
  compare(...[first, item].sort(byAge));
}

// The older first; two of one request or one second as the gallery has them, the latest first.
function byAge(one, other) {
  const place = (item) => all().findIndex((its) => keyOf(its) === keyOf(item));
  return one.createdS - other.createdS || place(other) - place(one);
}

export function Compare() {
  const now = useCell(pair);
  const [at, setAt] = useState(50);
  if (!now) return null;
  const { before, after } = now;
  const [width, height] = after.size.split("x").map(Number);
  const style = { aspectRatio: `${width} / ${height}`, width: `min(100%, ${(72 * width) / height}vh)` };
  return html`<${Dialog} label=${t("compare")} class="wide" onClose=${() => { pair.value = null; }}>
    <div class="row"><h2>${t("compare")}</h2>
      <${CloseButton} onClick=${() => { pair.value = null; }} /></div>
    <div class="compared" style=${style}>
      <img src=${sourceOf(after)} alt=${`${t("after")}: ${after.prompt || t("untitled")}`}
        style=${{ clipPath: `inset(0 0 0 ${at}%)` }} />
      <img src=${sourceOf(before)} alt=${`${t("before")}: ${before.prompt || t("untitled")}`}
        style=${{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
      <i style=${{ left: `${at}%` }}></i>
      <input type="range" min="0" max="100" value=${at} aria-label=${t("divider")}
        onInput=${(event) => setAt(+event.target.value)} />
    </div>
    <p class="row faint sides" style=${{ width: style.width }}>
      <span>${t("before")}</span><span>${t("after")}</span></p>
  </${Dialog}>`;
}
