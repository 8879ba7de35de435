// Files of pictures: fetched, saved, copied.
import { request } from "../basics/api.js";
import { toast } from "../basics/toasts.js";
import { t } from "../basics/words.js";
import { pathOf, sourceOf } from "./pictures.js";

// The file of a picture as it is kept, or with `query` in another form.
export async function fileOf(item, query) {
  if (item.src) return blobOf(item.src);
  const path = pathOf(item);
  return (await request(query ? `${path}?${new URLSearchParams(query)}` : path)).blob();
}

// The pixels of a picture as a file that can be edited; an SVG is drawn, of a GIF the first frame.
export async function rasterOf(item, formats = ["png", "jpeg", "webp"]) {
  if (formats.includes(item.format)) return fileOf(item);
  if (item.format !== "svg" && !item.src) return fileOf(item, { format: "png" });
  const image = new Image();
  image.src = sourceOf(item);
  await image.decode();
  const [width, height] = item.size.split("x").map(Number);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// Of a data address, which the policy of the page lets nobody fetch.
function blobOf(address) {
  const [head, data] = address.split(",");
  const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}

// A name for a file: words of the prompt and the seed.
export function nameOf(item, format) {
  const words = item.prompt.normalize("NFC").match(/[\p{Letter}\p{Number}]+/gu) || ["picture"];
  return `${words.join("-").slice(0, 60)}-${item.seed ?? item.index}.${format}`;
}

export async function download(item, format) {
  try {
    const blob = await fileOf(item, item.src || format === item.format ? null : { format });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = nameOf(item, format);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (failure) {
    toast(failure.message || t("unreachable"), { isError: true });
  }
}

async function copy(make) {
  try {
    await make();
    toast(t("copied"));
  } catch {
    toast(t("notCopied"), { isError: true });
  }
}

export const copyText = (text) => copy(() => navigator.clipboard.writeText(text));
export const copyPicture = (item) => copy(() => navigator.clipboard.write([
  new ClipboardItem({ "image/png": rasterOf(item, ["png"]) }),
]));
