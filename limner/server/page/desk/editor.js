// Change a picture: paint what is to be drawn anew, draw boxes, pull its edges further out.
import { cell, html, useCell, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../basics/html.js";
import { Choice, CloseButton, Dialog, Loading, Trouble } from "../basics/components.js";
import { go, home, route } from "../basics/router.js";
import { toast } from "../basics/toasts.js";
import { t } from "../basics/words.js";
import { edit, isBusy } from "../drawing/job.js";
import { can, modelNow, models } from "../drawing/model.js";
import { options } from "../drawing/options.js";
import { bodyOf } from "../drawing/request.js";
import { rasterOf } from "../gallery/files.js";
import { useItem } from "../gallery/item.js";
import { sourceOf } from "../gallery/pictures.js";
import { Board } from "./board.js";
import { Mask, maskFile, widened } from "./mask.js";

const sizeOf = ({ width, height }, { left, right, top, bottom }) =>
  `${width + left + right}×${height + top + bottom}`;

export const opened = cell(null); // a picture of the visitor's own: {file, url, name}

export function Editor() {
  const [view, id, index] = useCell(route);
  const own = useCell(opened);
  useCell(models);
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
  const [image, setImage] = useState(null); // "broken" if it could not be loaded
  const [text, setText] = useState("");
  const [, redraw] = useState(0);
  const painted = useRef();
  const again = () => redraw((n) => n + 1);
  const { pads } = mask;
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

  useLayoutEffect(() => { // wherever the focus is: a button that was pressed may be off by now
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });

  return html`<form class="desk" onSubmit=${draw}>
    ${isHere ? html`<${Board} image=${image} size=${size} mask=${mask} pads=${pads} tool=${tool}
      brush=${brush} painted=${painted} onChange=${again} onPads=${(next, pull) => { mask.widen(next, pull); again(); }} />`
    : html`<div class="board-room">${image ? html`<p class="bad" role="alert">${t("notLoaded")}</p>`
      : html`<${Loading} />`}</div>`}
    <div class="about">
      <h2>${t("changeTitle")}</h2>
      <p class="faint" id="paint-hint">${t("paintHere")} ${isWider
    ? t("willWiden", { size: sizeOf(size, pads) }) : mask.isEmpty && t("paintNothing")}</p>
      <div class="tools"><${Choice} label=${t("tool")} name="tool" value=${tool} onChoose=${setTool}
        values=${["brush", "eraser", "box"].map((name) => [name, t(name), "",
    can("mask") || !modelNow() ? "" : t("cannotMask", { model: modelNow().id })])} />
      <label class="field"><span>${t("brushSize")}</span><input type="range" min="8" max="256"
        step="8" value=${brush} onInput=${(event) => setBrush(+event.target.value)} /></label></div>
      <div class="actions steps">
        <button type="button" disabled=${!mask.steps.length} onClick=${() => { mask.undo(); again(); }}>
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
