// The prompt, "Draw", "Stop" and "Place things", and the fold with all else that can be said.
import { limits } from "../basics/api.js";
import { html, useCell, useLayoutEffect, useRef, useState } from "../basics/html.js";
import { Icon } from "../basics/components.js";
import { addressOf } from "../basics/router.js";
import { t } from "../basics/words.js";
import { Fields } from "./fields.js";
import { generate, isBusy, job, stop } from "./job.js";
import { canPlace, modelNow, models, styleName, styleNow, takes } from "./model.js";
import { FORMATS, options, prompt, sizeOf } from "./options.js";
import { bodyNow, promptNow } from "./request.js";

const canDraw = () => Boolean(promptNow() && !isBusy() && modelNow());

let early = ""; // the prompt of a key that was pressed before the models are known

// Draw what the prompt says; while the page has no models yet, as soon as it has them.
export function drawNow() {
  if (canDraw()) generate(bodyNow());
  else if (!models.value.length) early = promptNow();
}

models.watch(() => {
  const isMeant = early && early === promptNow();
  early = "";
  if (isMeant) drawNow();
});

export function Composer() {
  const text = useCell(prompt);
  useCell(job);
  useCell(models);
  useCell(options);
  const box = useRef();
  useLayoutEffect(() => { // as high as its text
    box.current.style.height = "auto";
    if (!text) return; // to measure takes a layout, for which the first picture of the page waits
    box.current.style.height = `${box.current.scrollHeight + 2}px`;
  }, [text]);
  return html`<form class="composer" onSubmit=${(event) => { event.preventDefault(); drawNow(); }}>
    <label class="hidden" for="prompt">${t("prompt")}</label>
    <textarea id="prompt" ref=${box} rows="2" maxlength="32000" placeholder=${t("promptHint")}
      value=${text} onInput=${(event) => { prompt.value = event.target.value; }}></textarea>
    <div class="row">
      <button class="main" disabled=${!canDraw()}>${t("draw")}</button>
      ${isBusy() && html`<button type="button" class="stop" disabled=${job.value.isStopping}
        onClick=${stop}>${t(job.value.isStopping ? "stopping" : "stop")}</button>`}
      ${canPlace() && html`<${PlaceLink} />`}
      <${Limits} />
    </div>
    <${Fold} />
  </form>`;
}

// To the sheet on which things are placed, and how many stand on it.
function PlaceLink() {
  const n = options.value.things.filter(({ words }) => words.trim()).length;
  return html`<a class=${n ? "place some" : "place"} href=${addressOf("place")}>
    <${Icon} name="place" />${n ? t("placed", { n }) : t("place")}</a>`;
}

// Said once a fifth or less is left.
function Limits() {
  const now = useCell(limits);
  if (!now || now.left > Math.max(1, now.of / 5)) return null;
  return html`<span class="near" role="status">${t("left", now)}</span>`;
}

// The fields are made when they are first looked at: most of the page's nodes are theirs.
function Fold() {
  const now = useCell(options);
  const [isMade, setMade] = useState(false);
  return html`<details class="fold">
    <summary onClick=${() => setMade(true)}><span>${t("options")}</span>
      <span class="faint">${summaryOf(now)}</span></summary>
    <div class="fields">${isMade && html`<${Fields} now=${now} />`}</div>
  </details>`;
}

// The options in a line, without those that are as they mostly are.
function summaryOf({ n, quality, format, seed, own, ...now }) {
  const style = styleNow();
  return [n, sizeOf(now).replace("x", "×"), t(quality), format !== "png" && FORMATS[format],
    style && styleName(style), seed && `${t("seed")} ${seed}`,
    ...Object.entries(own).filter(([name]) => takes(name)).map(([name, value]) =>
      `${name.replaceAll("_", " ")} ${value}`)].filter(Boolean).join(" · ");
}
