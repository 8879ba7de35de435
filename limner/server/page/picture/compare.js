// Two pictures, one over the other, with a divider between them.
import { cell, html, useCell, useState } from "../basics/html.js";
import { CloseButton, Dialog } from "../basics/components.js";
import { home } from "../basics/router.js";
import { t } from "../basics/words.js";
import { all, keyOf, sourceOf } from "../gallery/pictures.js";

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
  // Both as high as the frame, or as wide: neither is cut, and what is small is shown as large.
  const ratios = [before, after].map(({ size }) => ratioOf(size));
  const ratio = Math.max(...ratios);
  const style = { aspectRatio: `${ratio}`, width: `min(100%, ${72 * ratio}vh)` };
  const share = ratios.map((one) => `${(100 * one) / ratio}%`);
  return html`<${Dialog} label=${t("compare")} class="wide" onClose=${() => { pair.value = null; }}>
    <div class="row"><h2>${t("compare")}</h2>
      <${CloseButton} onClick=${() => { pair.value = null; }} /></div>
    <div class="compared" style=${style}>
      <${Side} item=${after} name="after" width=${share[1]} clip=${`inset(0 0 0 ${at}%)`} />
      <${Side} item=${before} name="before" width=${share[0]} clip=${`inset(0 ${100 - at}% 0 0)`} />
      <i style=${{ left: `${at}%` }}></i>
      <input type="range" min="0" max="100" value=${at} aria-label=${t("divider")}
        onInput=${(event) => setAt(+event.target.value)} />
    </div>
    <p class="row faint sides" style=${{ width: style.width }}>
      <span>${t("before")} · ${shown(before.size)}</span>
      <span>${t("after")} · ${shown(after.size)}</span></p>
  </${Dialog}>`;
}

const shown = (size) => size.replace("x", "×");
const ratioOf = (size) => size.split("x").map(Number).reduce((width, height) => width / height);

// One of the two, cut at the divider; `width` is its share of the frame.
function Side({ item, name, width, clip }) {
  return html`<div class="side" style=${{ clipPath: clip }}>
    <img src=${sourceOf(item)} style=${{ width }}
      alt=${`${t(name)}: ${item.prompt || t("untitled")}`} /></div>`;
}
