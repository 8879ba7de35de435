// What can be done with a picture.
import { beginPicking } from "./compare.js";
import { copyPicture, copyText, download, rasterOf } from "./files.js";
import { html } from "./html.js";
import { generate, isBusy, vary } from "./job.js";
import { bodyNow, can, modelNow, recall } from "./options.js";
import { asCurl, asPython } from "./recipes.js";
import { go, home } from "./router.js";
import { toast } from "./toasts.js";
import { t } from "./words.js";

const N_VARIATIONS = 4;
const FORMATS = { png: "PNG", webp: "WebP", svg: "SVG", jpeg: "JPEG", gif: "GIF" };

// What a picture can be saved as: an SVG cannot be turned into pixels by the server.
function formatsOf({ format, src }) {
  if (src || format === "svg") return [format];
  return [...new Set([...(format === "gif" ? ["gif"] : []), "png", "webp", "svg"])];
}

async function varied(item) {
  const blob = await rasterOf(item);
  const { id: model } = modelNow();
  home();
  const file = new File([blob], "picture", { type: blob.type });
  vary({ model, n: N_VARIATIONS, size: item.size }, file);
}

export function Actions({ item }) {
  const draws = (change) => () => { recall(item); change(); home(); };
  const same = draws(() => generate(bodyNow()));
  const other = () => { recall(item, { keepSeed: false }); home(); generate(bodyNow()); };
  const model = modelNow()?.id;
  const reasons = { edit: !can("edit") && t("cannotEdit", { model }),
    vary: !can("vary") && t("cannotVary", { model }) };
  const isText = item.kind === "generation";
  return html`
    <div class="actions">
      <button type="button" class="main" disabled=${Boolean(reasons.edit)}
        onClick=${() => go("edit", item.id, item.index)}>${t("change")}</button>
      <button type="button" disabled=${Boolean(reasons.vary) || isBusy()}
        onClick=${() => varied(item)}>${t("vary")}</button>
      ${(reasons.edit || reasons.vary) && html`<p class="faint">${reasons.edit || reasons.vary}</p>`}
    </div>
    ${isText && html`<div class="actions">
      <button type="button" disabled=${isBusy()} onClick=${same}>${t("again")}</button>
      <button type="button" disabled=${isBusy()} onClick=${other}>${t("otherSeed")}</button>
      <button type="button" onClick=${() => { recall(item); home(); toast(t("recalled")); }}>
        ${t("recallAll")}</button>
    </div>`}
    <div class="actions" role="group" aria-label=${t("downloads")}>
      <span class="faint">${t("downloads")}</span>
      ${formatsOf(item).map((format) => html`<button type="button"
        key=${format} aria-label=${t("download", { format: FORMATS[format] })}
        onClick=${() => download(item, format)}>${FORMATS[format]}</button>`)}
    </div>
    <div class="actions">
      <button type="button" class="quiet" onClick=${() => copyPicture(item)}>${t("copyPicture")}</button>
      <button type="button" class="quiet" onClick=${() => copyText(asCurl(item))}>${t("copyCurl")}</button>
      <button type="button" class="quiet" onClick=${() => copyText(asPython(item))}>${t("copyPython")}</button>
      <button type="button" class="quiet" onClick=${() => beginPicking(item)}>${t("compareWith")}</button>
    </div>`;
}
