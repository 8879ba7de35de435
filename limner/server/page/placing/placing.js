// The sheet on which things are placed: boxes drawn by hand, and the words of what stands in each.
import { html, useCell, useEffect, useLayoutEffect, useRef, useState } from "../basics/html.js";
import { CloseButton, Dialog, IconButton } from "../basics/components.js";
import { home, route } from "../basics/router.js";
import { t } from "../basics/words.js";
import { drawNow } from "../drawing/composer.js";
import { canPlace, modelNow, models } from "../drawing/model.js";
import { choose, options, sizeOf } from "../drawing/options.js";
import { promptNow } from "../drawing/request.js";
import { between, fitted, MAX_THINGS, thing } from "./boxes.js";

const STEP = 2; // per cent that an arrow key moves

const set = (things) => choose({ things });
const change = (id, values) => set(options.value.things.map((one) =>
  (one.id === id ? fitted({ ...one, ...values }) : one)));
const remove = (id) => set(options.value.things.filter((one) => one.id !== id));
const isFull = () => options.value.things.length >= MAX_THINGS;

function add(values) {
  const made = thing(values);
  set([...options.value.things, made]);
  return made.id;
}

export function Placing() {
  const [view] = useCell(route);
  const now = useCell(options);
  useCell(models);
  const [latest, setLatest] = useState(0); // whose words are asked for
  const isOpen = view === "place" && Boolean(modelNow());
  useEffect(() => { if (isOpen && !canPlace()) home(); }, [isOpen]);
  if (!isOpen || !canPlace()) return null;
  const shift = 8 * (now.things.length % 6);
  const another = () => setLatest(add({ left: 10 + shift, top: 10 + shift, width: 40, height: 40 }));
  return html`<${Dialog} label=${t("place")} class="wide editor" onClose=${home}>
    <form class="desk" onSubmit=${(event) => { event.preventDefault(); home(); drawNow(); }}>
      <${Sheet} now=${now} onMade=${setLatest} />
      <div class="about">
        <h2>${t("place")}</h2>
        <p class="faint">${t("placeHint")}</p>
        <ol class="things">${now.things.map((one, at) => html`<${Words} key=${one.id} one=${one}
          number=${at + 1} isNew=${one.id === latest} />`)}</ol>
        <div class="actions">
          <button type="button" disabled=${isFull()} onClick=${another}>${t("addThing")}</button>
          ${now.things.length > 0 && html`<button type="button" onClick=${() => set([])}>
            ${t("clear")}</button>`}
        </div>
        <button class="main" disabled=${!promptNow()}>${t("draw")}</button>
        ${now.things.length > 0 && html`<p class="faint" id="place-keys">${t("placeKeys")}</p>`}
      </div>
    </form><${CloseButton} onClick=${home} /></${Dialog}>`;
}

function Words({ one, number, isNew }) {
  const input = useRef();
  useLayoutEffect(() => { if (isNew) input.current.focus(); }, [isNew]);
  return html`<li><label><span class="number">${number}</span>
    <input ref=${input} value=${one.words} maxlength="200" placeholder=${t("thingHint")}
      aria-label=${t("thing", { n: number })}
      onInput=${(event) => change(one.id, { words: event.target.value })} /></label>
    <${IconButton} name="trash" label=${t("removeThing", { n: number })}
      onClick=${() => remove(one.id)} /></li>`;
}

// The picture to be, in its shape: drag on it for a new box, drag a box to move it.
function Sheet({ now, onMade }) {
  const sheet = useRef();
  const drag = useRef(null); // {from, one, isCorner}; one: the box that is moved or widened
  const [live, setLive] = useState(null);
  const [width, height] = sizeOf(now).split("x").map(Number);

  function at(event) {
    const room = sheet.current.getBoundingClientRect();
    return [(100 * (event.clientX - room.left)) / room.width,
      (100 * (event.clientY - room.top)) / room.height];
  }

  function down(event) {
    if (event.button) return;
    const id = Number(event.target.closest("[data-id]")?.dataset.id);
    const one = now.things.find((its) => its.id === id);
    if (!one && isFull()) return;
    sheet.current.setPointerCapture(event.pointerId);
    drag.current = { from: at(event), one, isCorner: event.target.matches(".corner") };
  }

  function move(event) {
    if (!drag.current) return;
    const { from, one, isCorner } = drag.current;
    const to = at(event);
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    if (!one) setLive(between(from, to));
    else if (isCorner) change(one.id, grown(one, dx, dy));
    else change(one.id, { left: one.left + dx, top: one.top + dy });
  }

  function up() {
    if (live) onMade(add(live));
    setLive(null);
    drag.current = null;
  }

  const style = { aspectRatio: `${width} / ${height}`, width: `min(100%, ${(70 * width) / height}vh)` };
  return html`<div class="board-room"><div ref=${sheet} class="board placing" style=${style}
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up}>
    ${!now.things.length && !live && html`<p class="faint">${t("dragHere")}</p>`}
    ${now.things.map((one, i) => html`<${Box} key=${one.id} one=${one} number=${i + 1} />`)}
    ${live && html`<i class="given" style=${placeOf(live)}></i>`}
  </div></div>`;
}

const placeOf = ({ left, top, width, height }) =>
  ({ left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });

// `one` wider and higher, as far as the edge of the picture.
const grown = ({ left, top, width, height }, dx, dy) =>
  ({ width: Math.min(100 - left, width + dx), height: Math.min(100 - top, height + dy) });

function Box({ one, number }) {
  const keys = (event) => {
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP] }[event.key];
    if (by && event.shiftKey) change(one.id, grown(one, ...by));
    else if (by) change(one.id, { left: one.left + by[0], top: one.top + by[1] });
    else if (event.key === "Delete") remove(one.id);
    else return;
    event.preventDefault();
  };
  const { left, top, width, height, words } = one;
  const where = { left, top, width, height };
  return html`<button type="button" class="given" data-id=${one.id} style=${placeOf(one)}
      aria-label=${t("boxOf", { n: number, words: words || t("nothingYet"), ...where })}
      aria-describedby="place-keys" onKeyDown=${keys}>
    <span>${number}${words && ` · ${words}`}</span><i class="corner"></i></button>`;
}
