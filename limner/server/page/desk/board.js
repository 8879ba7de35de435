// The picture with the mask over it, and handles at its edges.
import { html, useLayoutEffect, useRef } from "../basics/html.js";
import { t } from "../basics/words.js";
import { can } from "../drawing/model.js";
import { Handle, STEP } from "./handle.js";
import { Mask } from "./mask.js";

export function Board({ image, size, mask, pads, tool, brush, painted, onChange, onPads }) {
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
      new Mask([...mask.steps, stroke.current]).paint(painted.current, pads, size);
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
    ${(width > size.width || height > size.height) && html`<i class="old" style=${{
    left: `${(pads.left / width) * 100}%`, right: `${(pads.right / width) * 100}%`,
    top: `${(pads.top / height) * 100}%`, bottom: `${(pads.bottom / height) * 100}%` }}></i>`}
    <i ref=${ring} class="ring"></i>
    ${["left", "right", "top", "bottom"].map((side) => html`<${Handle} key=${side} side=${side}
      pads=${pads} scale=${() => width / painted.current.getBoundingClientRect().width}
      onPads=${onPads} />`)}
  </div></div>`;
}
