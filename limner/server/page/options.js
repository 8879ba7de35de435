// How to draw: what stands in the fold below the prompt, and the request that it makes.
import { cell } from "./html.js";

export const prompt = cell("");
export const models = cell([]); // of this server's own, with what each can do
export const DEFAULTS = {
  model: "", n: 1, shape: "square", side: 512, size: "", style: "", quality: "medium",
  background: "auto", format: "png", seed: "", mark: false,
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
function fromSize(size) {
  for (const side of SIDES) {
    for (const shape of Object.keys(SHAPES)) {
      if (sizeOf({ shape, side }) === size) return { shape, side, size: "" };
    }
  }
  return { shape: "own", size };
}

export function modelNow() {
  const all = models.value;
  return all.find(({ id }) => id === options.value.model) ||
    all.find(({ limner }) => limner.is_default) || all[0] || null;
}

// What the chosen model can do: "edit", "vary", "mask", "transparent".
export function can(ability) {
  return Boolean(modelNow()?.capabilities[ability]);
}

// `text` with the chosen style said after it, as the model knows it.
export function styled(text, style = options.value.style) {
  const known = modelNow()?.limner.styles.find(({ en }) => en === style);
  if (!known) return text;
  return /[\u3400-\u9fff]/.test(text) ? `${text}，${known.zh}` : `${text}, ${known.en}`;
}

// The prompt without a style that `styled` said after it, and that style.
function unstyled(text) {
  for (const { en, zh } of modelNow()?.limner.styles || []) {
    for (const end of [`, ${en}`, `，${zh}`]) {
      if (text.endsWith(end)) return { text: text.slice(0, -end.length), style: en };
    }
  }
  return { text, style: "" };
}

export function bodyNow() {
  return bodyOf(prompt.value, sizeOf(options.value));
}

// The request for `text` at `size` with all other options of now.
export function bodyOf(text, size) {
  const { n, quality, background, format, seed, mark } = options.value;
  const body = { model: modelNow()?.id, prompt: styled(text.trim()), n, size, quality, background,
    output_format: format };
  if (mark) body.mark = true;
  // A seed may have 63 bits, more than a number of JavaScript; it goes into the text as it is.
  return seed === "" ? body : { ...body, seed: BigInt(seed) };
}

export function toJson(body) {
  const { seed, ...rest } = body;
  const text = JSON.stringify(rest);
  return seed === undefined ? text : `${text.slice(0, -1)},"seed":${seed}}`;
}

// Take prompt and parameters from a drawn picture, the seed if wanted.
export function recall(item, { keepSeed = true } = {}) {
  const { parameters = {} } = item;
  if (models.value.some(({ id }) => id === item.model)) choose({ model: item.model });
  const { text, style } = unstyled(item.prompt);
  if (text) prompt.value = text; // a file may say nothing of it
  choose({
    ...DEFAULTS, model: options.value.model, style, ...fromSize(parameters.size || item.size),
    n: parameters.n || 1, quality: parameters.quality || "medium",
    background: parameters.background || "auto",
    format: item.format in FORMATS ? item.format : "png", mark: Boolean(parameters.mark),
    seed: keepSeed ? String(item.seed ?? "") : "",
  });
}
