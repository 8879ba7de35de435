// What stands where in a picture: things and their boxes, as the API reads them (docs/api.md, "boxes").
export const MAX_THINGS = 12;
const LEAST_SIDE = 4; // per cent
const NUMBER = "\\s*([0-9.]+)\\s*";
const ONE = new RegExp(`^(.+?)[:：]${[NUMBER, NUMBER, NUMBER, NUMBER].join("[,，]")}$`, "s");

// A thing: {id, words, left, top, width, height}, whole per cent of the picture.
let n = 0;
export const thing = (values) => ({ id: ++n, words: "", ...fitted(values) });

const clamp = (value, low, high) => Math.min(high, Math.max(low, Math.round(value)));

// A box that lies wholly on the picture and is not too small.
export function fitted({ left, top, width, height, ...rest }) {
  const [w, h] = [clamp(width, LEAST_SIDE, 100), clamp(height, LEAST_SIDE, 100)];
  return { ...rest, left: clamp(left, 0, 100 - w), top: clamp(top, 0, 100 - h), width: w, height: h };
}

// The box between two corners, in per cent.
export const between = ([x0, y0], [x1, y1]) => fitted({
  left: Math.min(x0, x1), top: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0),
});

// The things that have words; ":" and ";" part things in the text, so words lose them.
export function toText(things) {
  return things.map(({ words, left, top, width, height }) =>
    [words.replace(/[:：;；\s]+/g, " ").trim(), [left, top, width, height].join(",")])
    .filter(([words]) => words).map((parts) => parts.join(": ")).join("; ");
}

export function fromText(text) {
  return String(text || "").split(/[;；\n]/).map((part) => ONE.exec(part.trim())).filter(Boolean)
    .map(([, words, ...sides]) => {
      const [left, top, width, height] = sides.map(Number);
      return thing({ words: words.trim(), left, top, width, height });
    });
}
