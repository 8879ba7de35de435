// Why something cannot be chosen with the model and the other options of now: the name of the
// words that say it, or "".
import { can, modelNow } from "./model.js";
import { isStreamed, options, SHAPES, SIDES, sizeOf } from "./options.js";

const MAX_GIF_PIXELS = 2_000_000; // docs/api.md, "SVG and GIF"

export function sizeTrouble(size, { format } = options.value) {
  if (!draws(size)) return "cannotSize";
  const [width, height] = size.split("x").map(Number);
  return format === "gif" && width * height > MAX_GIF_PIXELS ? "gifSize" : "";
}

// A shape is off if it is drawn at no side, a side if the chosen shape is not drawn at it.
export function shapeTrouble(shape) {
  const found = SIDES.map((side) => sizeTrouble(sizeOf({ shape, side })));
  return found.includes("") ? "" : found[0];
}

export function formatTrouble(format, now = options.value) {
  if (format === "jpeg" && now.background === "transparent") return "jpegGround";
  if (isStreamed(format)) return "";
  if (modelNow() && !can("flat_art")) return "notFlat";
  if (format === "svg") return now.n > 1 ? "svgAlone" : "";
  return sizeTrouble(sizeOf(now), { format });
}

export function numberTrouble(n, { format } = options.value) {
  return format === "svg" && n > 1 ? "svgAlone" : "";
}

export function groundTrouble(background, { format } = options.value) {
  if (background !== "transparent") return "";
  if (modelNow() && !can("transparent")) return "cannotGround";
  return format === "jpeg" ? "jpegGround" : "";
}

// By the rule of sizes that the model declares.
function draws(size) {
  const rule = modelNow()?.capabilities.sizes;
  if (!rule || rule.choices) return !rule || rule.choices.includes(size);
  const sides = size.split("x").map(Number);
  const [shorter, longer] = [Math.min(...sides), Math.max(...sides)];
  return shorter >= rule.min_side && longer <= rule.max_side &&
    longer <= rule.max_ratio * shorter && sides.every((side) => side % rule.step === 0);
}
