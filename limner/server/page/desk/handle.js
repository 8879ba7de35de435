// Pulls one edge of the picture out, by pointer or by arrow keys.
import { html, useRef } from "../basics/html.js";
import { t } from "../basics/words.js";

export const STEP = 16; // sides are multiples of it
const MAX_PAD = 1024;
const NAMES = { left: "widenLeft", right: "widenRight", top: "widenTop", bottom: "widenBottom" };

export function Handle({ side, pads, scale, onPads }) {
  const start = useRef(null);
  const isAcross = side === "left" || side === "right";
  const sign = side === "left" || side === "top" ? -1 : 1;
  const set = (value, pull) => {
    const pad = Math.min(MAX_PAD, Math.max(0, Math.round(value / STEP) * STEP));
    if (pad !== pads[side]) onPads({ ...pads, [side]: pad }, pull);
  };
  const place = (event) => (isAcross ? event.clientX : event.clientY);
  function down(event) {
    event.target.setPointerCapture(event.pointerId);
    start.current = { at: place(event), pad: pads[side], scale: scale() };
  }
  function move(event) {
    const from = start.current;
    if (from) set(from.pad + sign * (place(event) - from.at) * from.scale, from);
  }
  function keys(event) {
    const by = { ArrowRight: STEP, ArrowUp: STEP, ArrowLeft: -STEP, ArrowDown: -STEP,
      PageUp: 8 * STEP, PageDown: -8 * STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    set(pads[side] + by, `${side} by keys`);
  }
  return html`<span class=${`handle ${side}`} role="slider" tabindex="0" aria-label=${t(NAMES[side])}
    aria-valuemin="0" aria-valuemax=${MAX_PAD} aria-valuenow=${pads[side]}
    aria-orientation=${isAcross ? "horizontal" : "vertical"} onPointerDown=${down}
    onPointerMove=${move} onPointerUp=${() => { start.current = null; }} onKeyDown=${keys}></span>`;
}
