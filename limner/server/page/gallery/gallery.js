// The gallery: all pictures, the latest first, searched and loaded as one scrolls.
import { html, useCell, useEffect, useMemo, useRef } from "../basics/html.js";
import { IconButton, Trouble } from "../basics/components.js";
import { addressOf } from "../basics/router.js";
import { language, t } from "../basics/words.js";
import { job } from "../drawing/job.js";
import { prompt } from "../drawing/options.js";
import { picking, pick } from "../picture/compare.js";
import {
  all, filters, gallery, hasHistory, keyOf, more, remove, sourceOf, star,
} from "./pictures.js";
import { Search } from "./search.js";

const EXAMPLES = ["exampleFox", "exampleTea", "exampleTwo", "exampleHouse"]; // prompts to begin with
const TILE_PX = 320; // of the copies that are shown, for screens of two pixels a point

export function Gallery() {
  const { chunks, hasMore, isLoading, failure } = useCell(gallery);
  const isKept = useCell(hasHistory);
  const isPicking = useCell(picking);
  const isSearch = Object.values(useCell(filters)).some(Boolean);
  const picker = useRef();
  useEffect(() => { // who chose "Compare with" is shown the pictures to choose from
    if (isPicking) picker.current?.scrollIntoView({ block: "start" });
  }, [isPicking]);
  const count = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return html`<section class="gallery" aria-labelledby="gallery">
    <div class="row"><h2 id="gallery">${t("gallery")}</h2>${isKept && html`<${Search} />`}</div>
    ${isPicking && html`<p ref=${picker} class="notice" role="status">${t("pickOther")} <button
      type="button" class="quiet" onClick=${() => { picking.value = null; }}>
      ${t("cancel")}</button></p>`}
    ${!isKept && html`<p class="notice">${t("noHistory")}</p>`}
    ${count > 0 && html`<ul class="tiles" onKeyDown=${walk}>
      ${chunks.map((chunk) => html`<${Chunk} key=${chunk[0] && keyOf(chunk[0])} chunk=${chunk} />`)}
    </ul>`}
    ${failure && html`<${Trouble} failure=${failure} onAgain=${more} />`}
    ${!count && !isLoading && !failure && html`<${Empty} isSearch=${isSearch} />`}
    ${isKept && hasMore && html`<${Sentinel} n=${count} />`}
    ${isLoading && html`<p class="faint" role="status">${t("loading")}</p>`}
  </section>`;
}

// Says what to do, unless it is being done: above, the first picture forms.
function Empty({ isSearch }) {
  const isBegun = useCell(job);
  if (isSearch) return html`<p class="empty">${t("nothingFound")}</p>`;
  if (isBegun) return null;
  const take = (text) => {
    prompt.value = text;
    document.getElementById("prompt").focus();
  };
  return html`<div class="empty"><p>${t("empty")}</p>
    <p class="examples">${EXAMPLES.map((name) => html`<button type="button" key=${name}
      onClick=${() => take(t(name))}>${t(name)}</button>`)}</p></div>`;
}

// Tiles that have not changed are the same nodes as before, and cost nothing.
function Chunk({ chunk }) {
  const words = useCell(language);
  const first = useCell(picking);
  const chosen = chunk.find((item) => first && keyOf(item) === keyOf(first));
  return useMemo(() => chunk.map((item) => html`<${Tile} key=${keyOf(item)} item=${item}
    isChosen=${item === chosen} />`), [chunk, words, chosen]);
}

function Tile({ item, isChosen }) {
  const name = item.prompt || t("untitled");
  const open = (event) => {
    if (!picking.value) return;
    event.preventDefault();
    pick(item);
  };
  return html`<li class=${isChosen ? "tile chosen" : "tile"} aria-current=${isChosen}>
    <a href=${addressOf("picture", item.id, item.index)} onClick=${open} title=${name}>
      <img src=${sourceOf(item, TILE_PX)} alt=${name} loading="lazy" decoding="async" /></a>
    ${!item.src && html`<span class=${item.starred ? "over shown" : "over"}>
      <${IconButton} name="star" filled=${item.starred} aria-pressed=${Boolean(item.starred)}
        label=${t(item.starred ? "unstar" : "star")} onClick=${() => star(item)} />
    </span>`}
  </li>`;
}

// Arrow keys go from tile to tile, Delete takes one away.
function walk(event) {
  const tile = event.target.closest("li");
  const tiles = [...event.currentTarget.children];
  const across = tiles.findIndex(({ offsetTop }) => offsetTop > tiles[0].offsetTop);
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
  const at = tiles.indexOf(tile);
  const next = tiles[at + steps[event.key]] || tiles[at + 1] || tiles[at - 1];
  if (event.key in steps) next?.querySelector("a").focus();
  else if (event.key === "Delete") {
    next?.querySelector("a").focus();
    remove(all()[at]);
  } else return;
  event.preventDefault();
}

function Sentinel({ n }) {
  const ref = useRef();
  useEffect(() => {
    const watcher = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) more();
    }, { rootMargin: "1200px" });
    watcher.observe(ref.current);
    return () => watcher.disconnect();
  }, [n]);
  return html`<div ref=${ref} class="sentinel"></div>`;
}
