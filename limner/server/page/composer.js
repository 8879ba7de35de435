// The prompt, "Draw" and "Stop", and the fold with all else that can be said of a picture.
import { formatTrouble, groundTrouble, numberTrouble, shapeTrouble, sizeTrouble } from "./abilities.js";
import { limits } from "./api.js";
import { html, useCell, useLayoutEffect, useRef } from "./html.js";
import { generate, isBusy, job, stop } from "./job.js";
import {
  bodyNow, choose, DEFAULTS, FORMATS, modelNow, models, NUMBERS, options, prompt, SHAPES, SIDES, sizeOf,
} from "./options.js";
import { Choice } from "./parts.js";
import { t } from "./words.js";

export function drawNow() {
  if (prompt.value.trim() && !isBusy() && modelNow()) generate(bodyNow());
}

export function Composer() {
  const text = useCell(prompt);
  useCell(job);
  useCell(models);
  const box = useRef();
  useLayoutEffect(() => { // as high as its text
    box.current.style.height = "auto";
    if (!text) return; // to measure takes a layout, for which the first picture of the page waits
    box.current.style.height = `${box.current.scrollHeight + 2}px`;
  }, [text]);
  const busy = isBusy();
  return html`<form class="composer" onSubmit=${(event) => { event.preventDefault(); drawNow(); }}>
    <label class="hidden" for="prompt">${t("prompt")}</label>
    <textarea id="prompt" ref=${box} rows="2" maxlength="32000" placeholder=${t("promptHint")}
      value=${text} onInput=${(event) => { prompt.value = event.target.value; }}></textarea>
    <div class="row">
      <button class="main" disabled=${busy || !text.trim() || !modelNow()}>${t("draw")}</button>
      ${busy && html`<button type="button" class="stop" disabled=${job.value.isStopping}
        onClick=${stop}>${t(job.value.isStopping ? "stopping" : "stop")}</button>`}
      <${Limits} />
    </div>
    <${Fold} />
  </form>`;
}

// Said once a fifth or less is left.
function Limits() {
  const now = useCell(limits);
  if (!now || now.left > Math.max(1, now.of / 5)) return null;
  return html`<span class="near" role="status">${t("left", now)}</span>`;
}

function Fold() {
  const now = useCell(options);
  const summary = [now.n, sizeOf(now).replace("x", "×"), t(now.quality),
    now.format !== "png" && FORMATS[now.format], now.style,
    now.seed && `${t("seed")} ${now.seed}`].filter(Boolean).join(" · ");
  return html`<details class="fold">
    <summary><span>${t("options")}</span><span class="faint">${summary}</span></summary>
    <div class="fields"><${Fields} now=${now} /></div>
  </details>`;
}

function Fields({ now }) {
  const set = (name) => (value) => choose({ [name]: value });
  const styles = modelNow()?.limner.styles || [];
  const reason = (name) => name && t(name, { model: modelNow()?.id });
  const shapes = Object.entries(SHAPES).map(([shape, sides]) =>
    [shape, t(shape), html`<${Frame} sides=${sides} />`, reason(shapeTrouble(shape))]);
  if (now.shape === "own") shapes.push(["own", now.size.replace("x", "×")]);
  const sides = SIDES.map((side, at) => [side, t(["small", "middle", "large"][at]), "",
    reason(sizeTrouble(sizeOf({ shape: now.shape, side })))]);
  const grounds = ["auto", "transparent", "opaque"].map((name) =>
    [name, t(name), "", reason(groundTrouble(name))]);
  const formats = Object.entries(FORMATS).map(([name, words]) =>
    [name, words, "", reason(formatTrouble(name))]);
  return html`
    <${Choice} label=${t("number")} name="n" value=${now.n} onChoose=${set("n")}
      values=${NUMBERS.map((n) => [n, n, "", reason(numberTrouble(n))])} />
    <${Choice} label=${t("shape")} name="shape" value=${now.shape} onChoose=${set("shape")}
      values=${shapes} />
    ${now.shape !== "own" && html`<${Choice} label=${t("size")} name="side" value=${now.side}
      onChoose=${set("side")} values=${sides} />`}
    <${Choice} label=${t("quality")} name="quality" value=${now.quality} onChoose=${set("quality")}
      values=${["low", "medium", "high"].map((name) => [name, t(name)])} />
    <${Choice} label=${t("background")} name="background" value=${now.background}
      onChoose=${set("background")} values=${grounds} />
    <${Choice} label=${t("format")} name="format" value=${now.format} onChoose=${set("format")}
      values=${formats} />
    ${styles.length > 0 && html`<label class="field"><span>${t("style")}</span>
      <select value=${now.style} onChange=${(event) => choose({ style: event.target.value })}>
        <option value="">${t("anyStyle")}</option>
        ${styles.map(({ en, zh }) => html`<option key=${en} value=${en}>${en} · ${zh}</option>`)}
      </select></label>`}
    <label class="field"><span>${t("seed")}</span>
      <input inputmode="numeric" pattern="[0-9]*" maxlength="19" value=${now.seed}
        placeholder=${t("random")}
        onInput=${(event) => {
    event.target.value = event.target.value.replace(/\D/g, "");
    choose({ seed: event.target.value });
  }} /></label>
    <label class="check"><input type="checkbox" checked=${now.mark}
      onChange=${(event) => choose({ mark: event.target.checked })} />
      <span>${t("markIn")}</span></label>
    ${models.value.length > 1 && html`<label class="field"><span>${t("model")}</span>
      <select value=${modelNow()?.id} onChange=${(event) => choose({ model: event.target.value })}>
        ${models.value.map(({ id }) => html`<option key=${id} value=${id}>${id}</option>`)}
      </select></label>`}
    <button type="button" class="quiet" onClick=${() => choose(DEFAULTS)}>${t("reset")}</button>`;
}

function Frame({ sides: [width, height] }) {
  const scale = 14 / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  return html`<svg class="frame" viewBox="0 0 16 16" aria-hidden="true">
    <rect x=${8 - w / 2} y=${8 - h / 2} width=${w} height=${h} rx="1.500" /></svg>`;
}
