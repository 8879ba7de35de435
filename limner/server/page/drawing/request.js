// The request that prompt and options make, and the way back from a picture to them.
import { fromText, toText } from "../placing/boxes.js";
import { canPlace, modelNow, models, styleNow, styles, takes } from "./model.js";
import { choose, DEFAULTS, FORMATS, fromSize, options, prompt, sizeOf } from "./options.js";

const boxesNow = () => (canPlace() ? toText(options.value.things) : "");

// What is drawn: the prompt, or, where it is empty, the words of the things in their boxes.
export const promptNow = () => prompt.value.trim() || (boxesNow() &&
  options.value.things.map(({ words }) => words.trim()).filter(Boolean).join(", "));

// The request for a picture from text alone.
export function bodyNow() {
  const body = bodyOf(promptNow(), sizeOf(options.value));
  const boxes = boxesNow();
  if (boxes) body.boxes = boxes;
  if (options.value.refine) body.refine = true;
  return body;
}

// The request for `text` at `size` with the options that hold for changed pictures, too.
export function bodyOf(text, size) {
  const { n, quality, background, format, seed, mark, own } = options.value;
  const body = { model: modelNow()?.id, prompt: styled(text.trim()), n, size, quality, background,
    output_format: format };
  if (mark) body.mark = true;
  for (const [name, value] of Object.entries(own)) if (takes(name)) body[name] = value;
  // A seed may have 63 bits, more than a number of JavaScript; it goes into the text as it is.
  return seed === "" ? body : { ...body, seed: BigInt(seed) };
}

export function toJson(body) {
  const { seed, ...rest } = body;
  const text = JSON.stringify(rest);
  return seed === undefined ? text : `${text.slice(0, -1)},"seed":${seed}}`;
}

// `text` with the chosen style said after it, as the model knows it.
function styled(text) {
  const style = styleNow();
  if (!style) return text;
  return /[\u3400-\u9fff]/.test(text) ? `${text}，${style.zh}` : `${text}, ${style.en}`;
}

// The prompt without a style that `styled` said after it, and that style.
function unstyled(text) {
  for (const { en, zh } of styles()) {
    for (const end of [`, ${en}`, `，${zh}`]) {
      if (text.endsWith(end)) return { text: text.slice(0, -end.length), style: en };
    }
  }
  return { text, style: "" };
}

// Take prompt and parameters from a drawn picture, the seed if wanted.
export function recall(item, { keepSeed = true } = {}) {
  const { parameters = {} } = item;
  if (models.value.some(({ id }) => id === item.model)) choose({ model: item.model });
  const { text, style } = unstyled(item.prompt);
  if (text) prompt.value = text; // a file may say nothing of it
  const { best_of, retry_below, options: { boxes, ...rest } = {} } = parameters;
  choose({
    ...DEFAULTS, model: options.value.model, style, ...fromSize(parameters.size || item.size),
    n: parameters.n || 1, quality: parameters.quality || "medium",
    background: parameters.background || "auto",
    format: item.format in FORMATS ? item.format : "png", mark: Boolean(parameters.mark),
    refine: Boolean(parameters.refine), things: fromText(boxes),
    own: given({ best_of, retry_below, ...rest }),
    seed: keepSeed ? String(item.seed ?? "") : "",
  });
}

const given = (values) => Object.fromEntries(Object.entries(values)
  .filter(([, value]) => value !== undefined && value !== null));
