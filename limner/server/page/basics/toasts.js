// Short messages at the bottom of the page, some with a way back.
import { cell, html, useCell } from "./html.js";

const toasts = cell([]);
let n = 0;

export function toast(text, { ms = 5000, action = null, onAction = null, isError = false } = {}) {
  const id = ++n;
  const close = () => { toasts.value = toasts.value.filter((one) => one.id !== id); };
  toasts.value = [...toasts.value, { id, text, action, isError, close, onAction }];
  setTimeout(close, ms);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${useCell(toasts).map(({ id, text, action, isError, close, onAction }) => html`
      <p key=${id} class=${isError ? "toast bad" : "toast"}>
        <span>${text}</span>
        ${action && html`<button type="button" onClick=${() => { close(); onAction(); }}>
          ${action}</button>`}
      </p>`)}
  </div>`;
}
