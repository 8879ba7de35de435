// The page: what is always there, and the views that open over it.
import { call, isOffline, request } from "./basics/api.js";
import { cell, html, render, useCell, useEffect, useLayoutEffect, useState } from "./basics/html.js";
import { IconButton, Trouble } from "./basics/components.js";
import { addressOf } from "./basics/router.js";
import { Toasts } from "./basics/toasts.js";
import { language, setLanguage, t } from "./basics/words.js";
import { Drop, OpenButton } from "./desk/drop.js";
import { Editor } from "./desk/editor.js";
import { Composer, drawNow } from "./drawing/composer.js";
import { dismiss, isBusy, stop } from "./drawing/job.js";
import { models } from "./drawing/model.js";
import { prompt } from "./drawing/options.js";
import { Stage } from "./drawing/stage.js";
import { Gallery } from "./gallery/gallery.js";
import { search } from "./gallery/pictures.js";
import { Compare, picking } from "./picture/compare.js";
import { Detail } from "./picture/detail.js";
import { Placing } from "./placing/placing.js";
import { Admin } from "./visit/admin.js";
import { Help } from "./visit/help.js";
import { isAdmin, KeyDialog, leave, look, needsKey, session } from "./visit/session.js";

const RETRY_MS = 3000;

const unready = cell(null); // why the page could not begin, if not for a key or the network

// Begin a visit: whose it is, the models, the first pictures.
async function enter() {
  unready.value = null;
  try {
    const [all] = await Promise.all([call("/v1/models"), look(), search()]);
    models.value = all.data.filter(({ limner }) => limner);
    performance.mark("limner-ready");
  } catch (failure) {
    if (!failure.isUnreachable && failure.status !== 401) unready.value = failure;
  }
}

function App() {
  const words = useCell(language);
  const [isHelp, setHelp] = useState(false);
  useLayoutEffect(() => { // at once: a key may be pressed before the first paint
    const press = (event) => keys(event, () => setHelp(true));
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return html`<div key=${words}>
    <${Top} onHelp=${() => setHelp(true)} />
    <${Offline} /><${Unready} />
    <main><div class="panel"><${Composer} /></div>
      <div class="sheets"><${Stage} /><${Gallery} /></div></main>
    <${Detail} /><${Placing} /><${Editor} /><${Compare} /><${Admin} /><${Drop} />
    ${isHelp && html`<${Help} onClose=${() => setHelp(false)} />`}
    <${KeyDialog} onEntered=${enter} />
    <${Toasts} />
  </div>`;
}

function keys(event, showHelp) {
  const isOpen = document.querySelector("dialog[open]");
  const isText = event.target.matches?.("input, textarea, select");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !isOpen) drawNow();
  else if (event.key === "Escape" && !isOpen) {
    if (isBusy()) stop();
    else if (picking.value) picking.value = null;
    else dismiss();
  } else if (event.key === "/" && !isText && !isOpen) document.getElementById("prompt").focus();
  else if (event.key === "?" && !isText && !isOpen) showHelp();
  else return;
  event.preventDefault();
}

function Top({ onHelp }) {
  useCell(session);
  const words = useCell(language);
  return html`<header class="head">
    <h1 class="wordmark">limner<i>.</i></h1>
    <nav>
      ${isAdmin() && html`<a href=${addressOf("admin")}>${t("admin")}</a>`}
      ${needsKey() && html`<button type="button" class="quiet" onClick=${leave}>${t("leave")}</button>`}
      <${OpenButton} />
      <button type="button" class="bare" lang=${words === "zh" ? "en" : "zh-Hans"}
        onClick=${() => setLanguage(words === "zh" ? "en" : "zh")}>${words === "zh" ? "EN" : "中文"}</button>
      <${Theme} />
      <${IconButton} name="help" label=${t("help")} onClick=${onHelp} />
    </nav>
  </header>`;
}

function Theme() {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches
    ? "dark" : "light")) === "dark";
  const [, redraw] = useState(0);
  const change = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("limner.theme", root.dataset.theme); } catch { /* a private window */ }
    redraw((n) => n + 1);
  };
  return html`<${IconButton} name="sun" label=${`${t("theme")}: ${t(isDark() ? "light" : "dark")}`}
    onClick=${change} />`;
}

function Unready() {
  const failure = useCell(unready);
  return failure && html`<div class="unready"><${Trouble} failure=${failure} onAgain=${enter} /></div>`;
}

function Offline() {
  const is = useCell(isOffline);
  useEffect(() => {
    if (!is) return undefined;
    const timer = setInterval(() => {
      request("/health").then(() => (models.value.length ? null : enter())).catch(() => {});
    }, RETRY_MS);
    return () => clearInterval(timer);
  }, [is]);
  return is && html`<p class="notice bad" role="alert">${t("offline")}</p>`;
}

enter(); // first of all: the answers come while the page is laid out
const app = document.getElementById("app");
const early = document.getElementById("prompt"); // what was typed until now is kept
const { value, selectionStart, selectionEnd } = early;
prompt.value = value;
app.replaceChildren();
render(html`<${App} />`, app);
const box = document.getElementById("prompt");
box.focus({ preventScroll: true });
box.setSelectionRange(selectionStart, selectionEnd);
performance.mark("limner-shown");
