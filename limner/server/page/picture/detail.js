// One picture, large: what made it, what can be done with it, and the tree that it belongs to.
import { html, useCell, useLayoutEffect, useState } from "../basics/html.js";
import { CloseButton, Dialog, IconButton, Loading, Trouble } from "../basics/components.js";
import { addressOf, home, route } from "../basics/router.js";
import { dateOf, t } from "../basics/words.js";
import { models } from "../drawing/model.js";
import { useItem } from "../gallery/item.js";
import { all, keyOf, remove, sourceOf, star } from "../gallery/pictures.js";
import { Actions, ByAi } from "./actions.js";
import { Family } from "./edit_tree.js";
import { altOf, Look } from "./look.js";

export function Detail() {
  const [view, id, index] = useCell(route);
  useCell(models); // what can be done with it, they say, and they may come later
  const { item, failure } = useItem(view === "picture" && id, index);
  if (view !== "picture") return null;
  const body = item ? html`<${Picture} key=${keyOf(item)} item=${item} />`
    : failure ? html`<${Trouble} failure=${failure} />` : html`<${Loading} />`;
  return html`<${Dialog} label=${t("picture")} class="wide detail" onClose=${home}>
    ${body}<${CloseButton} onClick=${home} /></${Dialog}>`;
}

// The picture before or after, as the gallery has them.
function neighbour(item, step) {
  const items = all();
  return items[items.findIndex((one) => keyOf(one) === keyOf(item)) + step];
}

function step(item, by) {
  const other = neighbour(item, by);
  if (other) location.replace(addressOf("picture", other.id, other.index));
}

function takeAway(item) {
  const next = neighbour(item, 1) || neighbour(item, -1);
  if (next) location.replace(addressOf("picture", next.id, next.index));
  else home();
  remove(item, () => { // a window that is still open shows it again
    if (route.value[0] === "picture") location.replace(addressOf("picture", item.id, item.index));
  });
}

function Picture({ item }) {
  const [found, setFound] = useState(null); // what the model sees in it
  useLayoutEffect(() => {
    const walk = (event) => {
      if (event.target.matches("input, textarea, select") || event.altKey) return;
      if (event.key === "ArrowLeft") step(item, -1);
      if (event.key === "ArrowRight") step(item, 1);
    };
    addEventListener("keydown", walk);
    return () => removeEventListener("keydown", walk);
  }, [item]);
  const [width, height] = (item.size || "1x1").split("x").map(Number);
  const style = { aspectRatio: `${width} / ${height}`, width: `min(100%, ${(74 * width) / height}vh)` };
  return html`
    <figure class="large">
      <img src=${sourceOf(item)} style=${style}
        alt=${found ? altOf(found) : item.prompt || t("untitled")} />
      <figcaption class="row">
        <${IconButton} name="left" label=${t("previous")} disabled=${!neighbour(item, -1)}
          onClick=${() => step(item, -1)} />
        <span class="row">
          ${!item.src && html`<${IconButton} name="star" filled=${item.starred}
            aria-pressed=${Boolean(item.starred)} label=${t(item.starred ? "unstar" : "star")}
            onClick=${() => star(item)} />`}
          <${IconButton} name="trash" label=${t("remove")} onClick=${() => takeAway(item)} />
        </span>
        <${IconButton} name="right" label=${t("next")} disabled=${!neighbour(item, 1)}
          onClick=${() => step(item, 1)} />
      </figcaption>
    </figure>
    <div class="about">
      <div><h2>${item.prompt || t("untitled")}</h2><${ByAi} item=${item} /></div>
      <${Actions} item=${item} />
      <${Look} item=${item} found=${found} onFound=${setFound} />
      <${Family} item=${item} />
      <${Facts} item=${item} />
    </div>`;
}

function Facts({ item }) {
  const { parameters } = item;
  const rows = [
    ["model", item.model], ["kind", t(item.kind)], ["seed", item.seed],
    ["size", item.size?.replace("x", "×")],
    ["quality", parameters.quality && t(parameters.quality)],
    ["background", parameters.background && t(parameters.background)],
    ["score", item.score?.toFixed(2)],
    ["made", item.createdS && dateOf(item.createdS)],
    ["took", item.seconds && t("seconds", { n: item.seconds.toFixed(1) })],
    ["keyOwner", item.owner],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  return html`<dl class="facts">${rows.map(([name, value]) => html`
    <div key=${name}><dt>${t(name)}</dt><dd>${value}</dd></div>`)}</dl>`;
}
