// What can be done with a picture.
import { html } from "../basics/html.js";
import { go, home } from "../basics/router.js";
import { toast } from "../basics/toasts.js";
import { t } from "../basics/words.js";
import { generate, isBusy, vary } from "../drawing/job.js";
import { can, modelNow, models } from "../drawing/model.js";
import { FORMATS } from "../drawing/options.js";
import { bodyNow, recall } from "../drawing/request.js";
import { copyPicture, copyText, download, rasterOf } from "../gallery/files.js";
import { beginPicking } from "./compare.js";
import { asCurl, asPython } from "./recipes.js";

const N_VARIATIONS = 4;

// What a picture can be saved as: an SVG cannot be turned into pixels by the server.
function formatsOf({ format, src }) {
  if (src || format === "svg") return [format];
  return [...new Set([format, "png", "webp", "svg"])];
}

async function varied(item) {
  try {
    const blob = await rasterOf(item);
    const { id: model } = modelNow();
    home();
    const file = new File([blob], "picture", { type: blob.type });
    vary({ model, n: N_VARIATIONS, size: item.size }, file);
  } catch (failure) {
    toast(failure.message || t("unreachable"), { isError: true });
  }
}

// What is drawn from a picture, and the files that it can be taken along as.
export function Next({ item }) {
  const model = modelNow()?.id;
  const reasons = { edit: !can("edit") && t("cannotEdit", { model }),
    vary: !can("vary") && t("cannotVary", { model }) };
  return html`
    <div class="actions">
      <button type="button" class="main" disabled=${Boolean(reasons.edit)}
        onClick=${() => go("edit", item.id, item.index)}>${t("change")}</button>
      <button type="button" disabled=${Boolean(reasons.vary) || isBusy()}
        onClick=${() => varied(item)}>${t("vary")}</button>
      ${(reasons.edit || reasons.vary) && html`<p class="faint">${reasons.edit || reasons.vary}</p>`}
    </div>
    <div class="actions" role="group" aria-label=${t("downloads")}>
      <span class="faint">${t("downloads")}</span>
      ${formatsOf(item).map((format) => html`<button type="button"
        key=${format} aria-label=${t("download", { format: FORMATS[format] })}
        onClick=${() => download(item, format)}>${FORMATS[format]}</button>`)}
    </div>`;
}

// Says that AI drew a picture. A test card is not by AI; a model that is not known is taken for one.
export function ByAi({ item }) {
  const model = models.value.find(({ id }) => id === item.model);
  return model?.capabilities.ai !== false && html`<p class="faint" title=${t("aiNote")}>${t("byAi")}</p>`;
}

export function Actions({ item }) {
  const same = () => { recall(item); home(); generate(bodyNow()); };
  const other = () => { recall(item, { keepSeed: false }); home(); generate(bodyNow()); };
  return html`
    <${Next} item=${item} />
    ${item.kind === "generation" && html`<div class="actions">
      <button type="button" disabled=${isBusy()} onClick=${same}>${t("again")}</button>
      <button type="button" disabled=${isBusy()} onClick=${other}>${t("otherSeed")}</button>
      <button type="button" onClick=${() => { recall(item); home(); toast(t("recalled")); }}>
        ${t("recallAll")}</button>
    </div>`}
    <div class="actions">
      <button type="button" class="quiet" onClick=${() => beginPicking(item)}>${t("compareWith")}</button>
      <button type="button" class="quiet" onClick=${() => copyPicture(item)}>${t("copyPicture")}</button>
      <button type="button" class="quiet" onClick=${() => copyText(asCurl(item))}>${t("copyCurl")}</button>
      <button type="button" class="quiet" onClick=${() => copyText(asPython(item))}>${t("copyPython")}</button>
    </div>`;
}
