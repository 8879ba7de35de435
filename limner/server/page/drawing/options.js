// How to draw: what stands in the fold below the prompt.
import { cell } from "../basics/html.js";

export const prompt = cell("");
export const DEFAULTS = {
  model: "", n: 1, shape: "square", side: 512, size: "", style: "", quality: "medium",
  background: "auto", format: "png", seed: "", mark: false, refine: false,
  things: [], // placed in boxes
  own: {}, // values of options that the model declares, by name
};
export const options = cell(DEFAULTS);

// Width and height in units of the shorter side.
export const SHAPES = {
  square: [1, 1], portrait: [1, 1.5], landscape: [1.5, 1], tall: [1, 2], wide: [2, 1],
};
export const SIDES = [256, 512, 1024];
export const NUMBERS = [1, 2, 3, 4, 6, 10];

// Files, by the name that the API has for them. The last two are drawn without previews.
export const FORMATS = { png: "PNG", webp: "WebP", jpeg: "JPEG", svg: "SVG", gif: "GIF" };
export const isStreamed = (format) => !["svg", "gif"].includes(format);

export function choose(values) { options.value = { ...options.value, ...values }; }

export function sizeOf({ shape, side, size }) {
  if (shape === "own") return size;
  const [width, height] = SHAPES[shape];
  return `${width * side}x${height * side}`;
}

// The shape and side that make `size`, or the size itself as one of its own.
export function fromSize(size) {
  for (const side of SIDES) {
    for (const shape of Object.keys(SHAPES)) {
      if (sizeOf({ shape, side }) === size) return { shape, side, size: "" };
    }
  }
  return { shape: "own", size };
}
