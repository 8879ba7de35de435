// Small parts that several views use.
import { html, useLayoutEffect, useRef } from "./html.js";
import { Toasts } from "./toasts.js";
import { t } from "./words.js";

const PATHS = {
  star: "M12 3.6l2.6 5.3 5.8.8-4.200 4.100 1 5.800-5.200-2.700-5.200 2.700 1-5.800L3.600 9.700l5.800-.8z",
  close: "M6 6l12 12M18 6L6 18",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13",
  help: "M9.200 9.200a2.900 2.900 0 1 1 4.200 2.600c-1 .5-1.400 1.100-1.400 2.200M12 17.500v.2",
  open: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9v.2",
  place: "M4 4.500h9v8H4zM14.500 14.500h5.500v5h-5.500z",
  sun: "M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600L7 7M17 17l1.400 1.400M18.400 5.600L17 7M7 17l-1.400 1.400M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
};

export function Icon({ name, filled }) {
  return html`<svg class=${filled ? "icon filled" : "icon"} viewBox="0 0 24 24" aria-hidden="true">
    <path d=${PATHS[name]} /></svg>`;
}

export function IconButton({ name, label, filled, ...rest }) {
  return html`<button type="button" class="bare" aria-label=${label} title=${label} ...${rest}>
    <${Icon} name=${name} filled=${filled} /></button>`;
}

// One of a few values, as a row of radio buttons: [value, words, picture, why it cannot be chosen].
export function Choice({ label, name, values, value, onChoose }) {
  const reasons = new Set(values.map(([, , , reason]) => reason).filter(Boolean));
  return html`<fieldset class="choice"><legend>${label}</legend><div>
    ${values.map(([id, text, extra, reason]) => html`<label key=${id}>
      <input type="radio" name=${name} value=${id} checked=${value === id} disabled=${Boolean(reason)}
        onChange=${() => onChoose(id)} /><span>${extra}${text}</span></label>`)}
  </div>${[...reasons].map((reason) => html`<p key=${reason} class="faint">${reason}</p>`)}</fieldset>`;
}

// A modal window, opened as long as it is drawn. The browser keeps the focus in it, and what lies
// under it cannot be used: so messages are shown in it, too.
export function Dialog({ label, onClose, children, ...rest }) {
  const ref = useRef();
  useLayoutEffect(() => {
    const dialog = ref.current;
    const cancel = (event) => { event.preventDefault(); onClose?.(); };
    // Of two Escapes without a click between them, the browser lets only the first be prevented.
    const closed = () => (onClose ? onClose() : dialog.showModal());
    dialog.addEventListener("cancel", cancel);
    dialog.addEventListener("close", closed);
    return () => {
      dialog.removeEventListener("cancel", cancel);
      dialog.removeEventListener("close", closed);
    };
  }, [onClose]);
  useLayoutEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog ref=${ref} aria-label=${label} ...${rest}>
    ${children}<${Toasts} /></dialog>`;
}

// What is being fetched.
export function Loading() {
  return html`<p class="faint" role="status">${t("loading")}</p>`;
}

export function CloseButton({ onClick }) {
  return html`<${IconButton} name="close" label=${t("close")} onClick=${onClick} />`;
}

// What went wrong, in the server's words, with the way out.
export function Trouble({ failure, onAgain }) {
  const text = failure.isUnreachable ? t("unreachable") : failure.message;
  return html`<div class="trouble" role="alert">
    <strong>${t("failed")}</strong>
    <p>${text}${failure.isUnreachable ? ` ${t("unreachableHint")}` : ""}</p>
    ${failure.retryAfterS && html`<p>${t("tryIn", { n: failure.retryAfterS })}</p>`}
    ${onAgain && html`<button type="button" onClick=${onAgain}>${t("tryAgain")}</button>`}
  </div>`;
}
