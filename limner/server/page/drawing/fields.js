// The options of a drawing; what the model cannot do is greyed, with the reason.
import { html } from "../basics/html.js";
import { Choice } from "../basics/components.js";
import { t } from "../basics/words.js";
import { formatTrouble, groundTrouble, numberTrouble, shapeTrouble, sizeTrouble } from "./abilities.js";
import { modelNow, models, ownOptions, styleName, styles } from "./model.js";
import { choose, DEFAULTS, FORMATS, NUMBERS, options, SHAPES, SIDES, sizeOf } from "./options.js";

export function Fields({ now }) {
  const set = (name) => (value) => choose({ [name]: value });
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
    <div class="pair">
      <${Styles} now=${now} /><${Seed} now=${now} /><${Models} />
      ${Object.entries(ownOptions()).map(([name, schema]) => html`<${Own} key=${name} name=${name}
        schema=${schema} value=${now.own[name]} />`)}
    </div>
    <${Check} label=${t("markIn")} isOn=${now.mark} onSet=${set("mark")} />
    <${Check} label=${t("refine")} note=${t("refineNote")} isOn=${now.refine} onSet=${set("refine")} />
    <button type="button" class="quiet" onClick=${() => choose(DEFAULTS)}>${t("reset")}</button>`;
}

// The artists' styles that the model knows.
function Styles({ now }) {
  return styles().length > 0 && html`<label class="field"><span>${t("style")}</span>
    <select value=${now.style} onChange=${(event) => choose({ style: event.target.value })}>
      <option value="">${t("anyStyle")}</option>
      ${styles().map((style) => html`<option key=${style.en} value=${style.en}>
        ${styleName(style)}</option>`)}
    </select></label>`;
}

function Seed({ now }) {
  const type = (event) => {
    event.target.value = event.target.value.replace(/\D/g, "");
    choose({ seed: event.target.value });
  };
  return html`<label class="field"><span>${t("seed")}</span>
    <input inputmode="numeric" pattern="[0-9]*" maxlength="19" value=${now.seed}
      placeholder=${t("random")} onInput=${type} /></label>`;
}

// An option that the model declares, named and described in the server's words.
function Own({ name, schema, value }) {
  const set = (next) => {
    const { [name]: _, ...rest } = options.value.own;
    choose({ own: next === "" || Number.isNaN(next) ? rest : { ...rest, [name]: next } });
  };
  const kind = schema.type[0];
  const choices = kind === "boolean" ? ["true", "false"] : schema.enum?.filter(Boolean);
  const read = (text) => {
    if (kind === "boolean") return text && text === "true";
    return text && ["integer", "number"].includes(kind) ? Number(text) : text;
  };
  const type = (event) => set(read(event.target.value));
  const unset = schema.default ?? "";
  return html`<label class="field" title=${schema.description}><span>${name.replaceAll("_", " ")}</span>
    ${choices ? html`<select value=${String(value ?? "")} onInput=${type}>
      <option value="">${unset}</option>
      ${choices.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`
    : html`<input value=${value ?? ""} placeholder=${unset} type=${kind === "string" ? "text" : "number"}
      min=${schema.minimum} max=${schema.maximum} step="any" onInput=${type} />`}</label>`;
}

function Models() {
  return models.value.length > 1 && html`<label class="field"><span>${t("model")}</span>
    <select value=${modelNow()?.id} onChange=${(event) => choose({ model: event.target.value })}>
      ${models.value.map(({ id }) => html`<option key=${id} value=${id}>${id}</option>`)}
    </select></label>`;
}

function Check({ label, note, isOn, onSet }) {
  return html`<label class="check"><input type="checkbox" checked=${isOn}
    onChange=${(event) => onSet(event.target.checked)} />
    <span>${label}${note && html`<small>${note}</small>`}</span></label>`;
}

function Frame({ sides: [width, height] }) {
  const scale = 14 / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  return html`<svg class="frame" viewBox="0 0 16 16" aria-hidden="true">
    <rect x=${8 - w / 2} y=${8 - h / 2} width=${w} height=${h} rx="1.500" /></svg>`;
}
