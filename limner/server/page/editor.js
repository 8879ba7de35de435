// Change a picture: paint what is to be drawn anew, draw boxes, pull its edges further out.
import { rasterOf } from "./files.js";
import { sourceOf } from "./gallery-data.js";
import { cell, html, useCell, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { useItem } from "./item.js";
import { edit, isBusy } from "./job.js";
import { bodyOf, can, modelNow, options } from "./options.js";
import { Mask, maskFile, widened } from "./mask.js";
import { Choice, CloseButton, Dialog, Loading, Trouble } from "./parts.js";
import { go, home, route } from "./router.js";
import { toast } from "./toasts.js";
import { t } from "./words.js";

const STEP = 16; // sides are multiples of it
const MAX_PAD = 1024;
const NO_PADS = { left: 0, right: 0, top: 0, bottom: 0 };

export const opened = cell(null); // a picture of the visitor's own: {file, url, name}

export function Editor() {
  const [view, id, index] = useCell(route);
  const own = useCell(opened);
  const isFile = id === "file";
  const { item, failure } = useItem(view === "edit" && !isFile && id, index);
  if (view !== "edit") return null;
  if (isFile && !own) { home(); return null; }
  const source = isFile ? own : item && { url: sourceOf(item), item };
  const close = () => (isFile ? home() : go("picture", id, index));
  const body = source ? html`<${Desk} key=${source.url} source=${source} />`
    : failure ? html`<${Trouble} failure=${failure} />` : html`<${Loading} />`;
  return html`<${Dialog} label=${t("changeTitle")} class="wide editor" onClose=${close}>
    ${body}<${CloseButton} onClick=${close} /></${Dialog}>`;
}

function Desk({ source }) {
  const mask = useMemo(() => new Mask(), []);
  const [tool, setTool] = useState("brush");
  const [brush, setBrush] = useState(48);
  const [pads, setPads] = useState(NO_PADS);
  const [image, setImage] = useState(null); // "broken" if it could not be loaded
  const [text, setText] = useState("");
  const [, redraw] = useState(0);
  const painted = useRef();
  const again = () => redraw((n) => n + 1);
  useEffect(() => {
    const loading = new Image();
    loading.onload = () => setImage(loading);
    loading.onerror = () => setImage("broken");
    loading.src = source.url;
  }, []);
  const isHere = image instanceof Image;
  const size = isHere && { width: image.naturalWidth, height: image.naturalHeight };

  const isWider = Object.values(pads).some(Boolean);
  const { format } = options.value;
  const isGifMask = format === "gif" && (isWider || !mask.isEmpty);
  const isReady = text.trim() && isHere && !isBusy() && can("edit") && !isGifMask;

  async function draw(event) {
    event.preventDefault();
    if (!isReady) return;
    const canvas = painted.current; // the window may close: what is on it stays
    home();
    try {
      const file = isWider ? await widened(image, pads, size)
        : source.file || await rasterOf(source.item);
      const maskPng = can("mask") ? await maskFile(canvas, pads, size) : null;
      const body = { ...bodyOf(text, `${canvas.width}x${canvas.height}`),
        parent: source.item?.sha256 };
      edit(body, new File([file], isWider ? "picture.png" : source.file?.name || "picture.png",
        { type: file.type }), maskPng);
    } catch (failure) {
      toast(failure.message || t("unreachable"), { isError: true });
    }
  }

  const change = (stroke) => { mask.add(stroke); again(); };
  function keys(event) {
    if (event.target.matches("textarea, input")) return;
    const isZ = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey);
    if (isZ && event.shiftKey) mask.redo();
    else if (isZ) mask.undo();
    else if (event.key === "[") setBrush(Math.max(8, brush - 8));
    else if (event.key === "]") setBrush(Math.min(256, brush + 8));
    else return;
    event.preventDefault();
    again();
  }

  useEffect(() => { // wherever the focus is: a button that was pressed may be off by now
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });

  return html`<form class="desk" onSubmit=${draw}>
    ${isHere ? html`<${Board} image=${image} size=${size} mask=${mask} pads=${pads} tool=${tool}
      brush=${brush} painted=${painted} onChange=${again} onPads=${setPads} />`
    : html`<div class="board-room">${image ? html`<p class="bad" role="alert">${t("notLoaded")}</p>`
      : html`<${Loading} />`}</div>`}
    <div class="about">
      <h2>${t("changeTitle")}</h2>
      <p class="faint" id="paint-hint">${t("paintHere")}</p>
      <${Choice} label=${t("tool")} name="tool" value=${tool} onChoose=${setTool}
        values=${["brush", "eraser", "box"].map((name) => [name, t(name), "",
    can("mask") || !modelNow() ? "" : t("cannotMask", { model: modelNow().id })])} />
      <label class="field"><span>${t("brushSize")}</span><input type="range" min="8" max="256"
        step="8" value=${brush} onInput=${(event) => setBrush(+event.target.value)} /></label>
      <div class="actions">
        <button type="button" disabled=${mask.isEmpty} onClick=${() => { mask.undo(); again(); }}>
          ${t("undo")}</button>
        <button type="button" disabled=${!mask.undone.length}
          onClick=${() => { mask.redo(); again(); }}>${t("redo")}</button>
        <button type="button" disabled=${!can("mask")} onClick=${() => change({ kind: "invert" })}>${t("invert")}</button>
        <button type="button" disabled=${mask.isEmpty} onClick=${() => change({ kind: "clear" })}>
          ${t("clear")}</button>
      </div>
      <label class="field"><span>${t("changePrompt")}</span><textarea rows="2" value=${text}
        placeholder=${t("changeHint")} onInput=${(event) => setText(event.target.value)}
        onKeyDown=${(event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) draw(event);
  }}></textarea></label>
      ${!can("edit") && modelNow() && html`<p class="bad">
        ${t("cannotEdit", { model: modelNow().id })}</p>`}
      ${isGifMask && html`<p class="bad">${t("gifMask")}</p>`}
      <button class="main" disabled=${!isReady}>
        ${t("draw")}</button>
    </div>
  </form>`;
}

// The picture with the mask over it, and handles at its edges.
function Board({ image, size, mask, pads, tool, brush, painted, onChange, onPads }) {
  const ground = useRef();
  const ring = useRef();
  const stroke = useRef(null);
  const cursor = useRef([size.width / 2, size.height / 2]);
  const width = size.width + pads.left + pads.right;
  const height = size.height + pads.top + pads.bottom;

  useLayoutEffect(() => {
    Object.assign(ground.current, { width, height });
    ground.current.getContext("2d").drawImage(image, pads.left, pads.top);
    Object.assign(painted.current, { width, height });
  }, [width, height, pads]);
  useLayoutEffect(() => paint());

  function paint() {
    mask.paint(painted.current, pads, size);
    if (stroke.current) {
      const live = new Mask();
      live.strokes = [...mask.strokes, stroke.current];
      live.paint(painted.current, pads, size);
    }
  }

  function at(event) {
    const room = painted.current.getBoundingClientRect();
    return [((event.clientX - room.left) / room.width) * width - pads.left,
      ((event.clientY - room.top) / room.height) * height - pads.top];
  }

  function down(event) {
    if (event.button || !can("mask")) return;
    painted.current.setPointerCapture(event.pointerId);
    const point = at(event);
    stroke.current = tool === "box" ? { kind: "box", from: point, to: point }
      : { kind: "line", points: [point], size: brush, erases: tool === "eraser" };
    paint();
  }

  function move(event) {
    show(at(event));
    if (!stroke.current) return;
    if (tool === "box") stroke.current.to = at(event);
    else stroke.current.points.push(...event.getCoalescedEvents?.().map(at) || [], at(event));
    paint();
  }

  function up() {
    if (!stroke.current) return;
    mask.add(stroke.current);
    stroke.current = null;
    onChange();
  }

  // The brush under the pointer, or where the arrow keys took it.
  function show([x, y]) {
    cursor.current = [x, y];
    Object.assign(ring.current.style, {
      left: `${((x + pads.left) / width) * 100}%`, top: `${((y + pads.top) / height) * 100}%`,
      width: `${(brush / width) * 100}%`, display: tool === "box" ? "none" : "block",
    });
  }

  function keys(event) {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP] };
    const [x, y] = cursor.current;
    if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      show([Math.min(size.width, Math.max(0, x + dx)), Math.min(size.height, Math.max(0, y + dy))]);
    } else if (event.key === " " && can("mask")) {
      mask.add({ kind: "line", points: [[x, y]], size: brush, erases: tool === "eraser" });
      onChange();
    } else return;
    event.preventDefault();
  }

  const style = { aspectRatio: `${width} / ${height}`, width: `min(100%, ${(70 * width) / height}vh)` };
  return html`<div class="board-room"><div class="board" style=${style}>
    <canvas ref=${ground}></canvas>
    <canvas ref=${painted} class="painted" tabindex="0" role="application" aria-label=${t("canvas")}
      aria-describedby="paint-hint" onPointerDown=${down} onPointerMove=${move} onPointerUp=${up}
      onPointerCancel=${up} onKeyDown=${keys}></canvas>
    <i ref=${ring} class="ring"></i>
    ${["left", "right", "top", "bottom"].map((side) => html`<${Handle} key=${side} side=${side}
      pads=${pads} scale=${() => width / painted.current.getBoundingClientRect().width}
      onPads=${onPads} />`)}
  </div></div>`;
}

const NAMES = { left: "widenLeft", right: "widenRight", top: "widenTop", bottom: "widenBottom" };

// Pulls one edge of the picture out, by pointer or by arrow keys.
function Handle({ side, pads, scale, onPads }) {
  const start = useRef(null);
  const isAcross = side === "left" || side === "right";
  const sign = side === "left" || side === "top" ? -1 : 1;
  const set = (value) => {
    const pad = Math.min(MAX_PAD, Math.max(0, Math.round(value / STEP) * STEP));
    if (pad !== pads[side]) onPads({ ...pads, [side]: pad });
  };
  const place = (event) => (isAcross ? event.clientX : event.clientY);
  function down(event) {
    event.target.setPointerCapture(event.pointerId);
    start.current = { at: place(event), pad: pads[side], scale: scale() };
  }
  function move(event) {
    const from = start.current;
    if (from) set(from.pad + sign * (place(event) - from.at) * from.scale);
  }
  function keys(event) {
    const by = { ArrowRight: STEP, ArrowUp: STEP, ArrowLeft: -STEP, ArrowDown: -STEP,
      PageUp: 8 * STEP, PageDown: -8 * STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    set(pads[side] + by);
  }
  return html`<span class=${`handle ${side}`} role="slider" tabindex="0" aria-label=${t(NAMES[side])}
    aria-valuemin="0" aria-valuemax=${MAX_PAD} aria-valuenow=${pads[side]}
    aria-orientation=${isAcross ? "horizontal" : "vertical"} onPointerDown=${down}
    onPointerMove=${move} onPointerUp=${() => { start.current = null; }} onKeyDown=${keys}></span>`;
}
