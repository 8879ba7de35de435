// The visit: whose key it is, the window that asks for one, and the end.
import { call, locked, request, sending } from "../basics/api.js";
import { cell, html, useCell, useRef, useState } from "../basics/html.js";
import { Dialog } from "../basics/components.js";
import { t } from "../basics/words.js";

export const session = cell(null); // {key, scopes, needs_key}
export const isAdmin = () => Boolean(session.value?.scopes.includes("admin"));
export const needsKey = () => Boolean(session.value?.needs_key);

// Whose visit it is; null if a key must be entered first.
export async function look() {
  try {
    session.value = await call("/session");
  } catch (failure) {
    if (failure.status !== 401) throw failure;
    locked.value = { session_ended: "ended", invalid_api_key: "wrong" }[failure.code] || "missing";
    session.value = null;
  }
  return session.value;
}

export async function leave() {
  await request("/session", { method: "DELETE" }).catch(() => {});
  location.hash = "";
  location.reload();
}

export function KeyDialog({ onEntered }) {
  const why = useCell(locked);
  const input = useRef();
  const [trouble, setTrouble] = useState(null);
  if (!why) return null;
  async function enter(event) {
    event.preventDefault();
    setTrouble(null);
    try {
      session.value = await call("/session", sending("POST", { key: input.current.value.trim() }));
      locked.value = null;
      onEntered();
    } catch (failure) {
      setTrouble(failure.status === 401 ? t("keyWrong") : failure.message || t("unreachable"));
      input.current.select();
    }
  }
  const words = { missing: "keyMissing", ended: "keyEnded", wrong: "keyWrong" };
  return html`<${Dialog} label=${t("keyTitle")} class="small"><form onSubmit=${enter}>
    <h2>${t("keyTitle")}</h2>
    <p>${t(words[why])}</p>
    <label class="field"><span>${t("key")}</span>
      <input ref=${input} type="password" autocomplete="current-password" required autofocus
        aria-describedby="key-note" /></label>
    ${trouble && html`<p class="bad" role="alert">${trouble}</p>`}
    <p id="key-note" class="faint">${t("keyNote")}</p>
    <button class="main">${t("enter")}</button>
  </form></${Dialog}>`;
}
