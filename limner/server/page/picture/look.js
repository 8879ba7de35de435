// What the model thinks it drew, asked for by a button: /v1/images/look.
import { call } from "../basics/api.js";
import { html, useState } from "../basics/html.js";
import { Trouble } from "../basics/components.js";
import { language, t } from "../basics/words.js";
import { rasterOf } from "../gallery/files.js";

async function lookAt({ prompt, ...item }) {
  const form = new FormData();
  form.append("image", await rasterOf(item), "picture");
  if (prompt) form.append("asked", prompt);
  return call("/v1/images/look", { method: "POST", body: form });
}

// A description for who cannot see the picture; it says so where it guesses.
export const altOf = (found) => (language.value === "zh" ? found.alt_zh : found.alt);

export function Look({ item, found, onFound }) {
  const [isLooking, setLooking] = useState(false);
  const [failure, setFailure] = useState(null);
  async function ask() {
    setLooking(true);
    setFailure(null);
    await lookAt(item).then(onFound, setFailure);
    setLooking(false);
  }
  if (found) return html`<${Found} found=${found} />`;
  return html`<div class="look">
    <button type="button" disabled=${isLooking} onClick=${ask}>${t("lookAsk")}</button>
    ${isLooking && html`<p class="faint" role="status">${t("looking")}</p>`}
    ${failure && html`<${Trouble} failure=${failure} />`}
  </div>`;
}

function Found({ found }) {
  const isChinese = language.value === "zh";
  const names = found.seen.map(({ label, chinese }) => (isChinese && chinese) || label);
  const rows = [
    ...found.checks.map((check) => [t(check.what), outcomeOf(check)]),
    [t("closest"), names.join(", ")],
    [t("unknownWords"), found.unknown_words.join(", ")],
    [t("tips"), found.advice.map(tipOf).join("; ")],
  ].filter(([, text]) => text);
  return html`<section class="look" role="status" aria-label=${t("lookTitle")}>
    <h3>${t("lookTitle")}</h3>
    <p>${altOf(found)}</p>
    ${found.good_enough !== null && html`<p>${t(found.good_enough ? "fits" : "fitsNot")}</p>`}
    <dl class="facts">${rows.map(([name, text]) => html`
      <div key=${name}><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>
  </section>`;
}

// A check in words: what is seen, whether that is sure, and what was asked if it differs.
function outcomeOf({ what, asked, seen, sure }) {
  if (seen === null) return t("notKnown");
  if (what === "subject") return maybe(t(seen ? "isThere" : "isNotThere"), sure);
  const found = maybe(seen, sure);
  return seen === asked ? found : t("askedFor", { seen: found, asked });
}

const maybe = (seen, sure) => (sure ? String(seen) : t("perhaps", { seen }));

function tipOf({ do: name, values }) {
  return t(name, { prompt: values.prompt });
}
