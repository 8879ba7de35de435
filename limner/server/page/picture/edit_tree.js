// The tree of edits: what a picture was made from, step by step, and what was made from it.
import { call } from "../basics/api.js";
import { html, useEffect, useState } from "../basics/html.js";
import { addressOf } from "../basics/router.js";
import { t } from "../basics/words.js";
import { itemsOf, keyOf, sourceOf } from "../gallery/pictures.js";
import { compare } from "./compare.js";

const MAX_ANCESTORS = 12;

// Pictures whose `name` (sha256 or parent) is `value`.
async function byHash(name, value, limit) {
  const { data } = await call(`/v1/images/history?${new URLSearchParams({ [name]: value, limit })}`);
  return data.flatMap(itemsOf).filter((item) => item[name] === value);
}

export function Family({ item }) {
  const [tree, setTree] = useState(null);
  useEffect(() => {
    if (!item.sha256) return undefined;
    let isGone = false;
    (async () => {
      const before = [];
      for (let one = item; one?.parent && before.length < MAX_ANCESTORS;) {
        [one] = await byHash("sha256", one.parent, 1);
        if (one) before.unshift(one);
      }
      const after = await byHash("parent", item.sha256, 50);
      if (!isGone) setTree({ before, after });
    })().catch(() => {});
    return () => { isGone = true; };
  }, [item.sha256]);
  if (!tree || !(tree.before.length + tree.after.length)) return null;
  const parent = tree.before.at(-1);
  const link = (one) => html`<a key=${keyOf(one)} href=${addressOf("picture", one.id, one.index)}>
    <img src=${sourceOf(one, 128)} alt=${one.prompt || t("untitled")} /></a>`;
  return html`<section class="family" aria-label=${t("family")}><h3>${t("family")}</h3>
    <div class="line">${tree.before.map(link)}
      <img class="this" src=${sourceOf(item, 128)} alt=${t("thisOne")} />
      ${tree.after.length > 0 && html`<span class="branches">${tree.after.map(link)}</span>`}</div>
    ${parent && html`<button type="button" onClick=${() => compare(parent, item)}>
      ${t("compareParent")}</button>`}
  </section>`;
}
