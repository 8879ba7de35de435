// What a picture file says of itself, if limner drew it: prompt, seed, model and more.
import { parsed } from "../basics/api.js";

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const MAX_TEXT_BYTES = 200_000;

// {prompt, seed, index, model, parameters}, or null for a picture that is not of limner. A file may
// say nothing of its prompt, which is "" then.
export async function readOwn(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const said = label(bytes);
  const texts = PNG.every((byte, at) => bytes[at] === byte) ? pngTexts(bytes) : comment(bytes);
  if (!said && !texts.Software?.startsWith("limner ")) return null;
  const { prompt = "", seed = "", index = 0, model } = { ...texts, ...said };
  return {
    prompt: String(prompt), seed: /^\d{1,19}$/.test(seed) ? String(seed) : "", index: Number(index) || 0,
    model, parameters: said || {},
  };
}

// The parameters in the label, an XMP packet that lies in the file as it is (docs/labels.md).
function label(bytes) {
  const text = new TextDecoder().decode(bytes);
  const found = /<limner:Parameters>([^<]*)<\/limner:Parameters>/.exec(text)?.[1];
  const json = found?.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  try { return json ? parsed(json) : null; } catch { return null; }
}

// tEXt and iTXt chunks (PNG 1.2, sections 4.2.3.1 and 4.2.3.3).
function pngTexts(bytes) {
  const view = new DataView(bytes.buffer);
  const texts = {};
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if ((kind === "tEXt" || kind === "iTXt") && length < MAX_TEXT_BYTES) {
      const end = data.indexOf(0);
      const name = new TextDecoder("latin1").decode(data.subarray(0, end));
      if (kind === "tEXt") {
        texts[name] = new TextDecoder("latin1").decode(data.subarray(end + 1));
      } else if (data[end + 1] === 0) { // not compressed; then language and translated keyword
        const language = data.indexOf(0, end + 3);
        const keyword = data.indexOf(0, language + 1);
        texts[name] = new TextDecoder().decode(data.subarray(keyword + 1));
      }
    }
    at += 12 + length;
  }
  return texts;
}

// The EXIF user comment of JPEG and WebP, which holds them as JSON in ASCII.
function comment(bytes) {
  const text = new TextDecoder("latin1").decode(bytes);
  const start = text.indexOf("ASCII\0\0\0{");
  if (start < 0) return {};
  const json = text.slice(start + 8, start + 8 + MAX_TEXT_BYTES);
  const found = /^\{(?:"(?:[^"\\]|\\.)*"|[^"}])*\}/.exec(json);
  try { return JSON.parse(found[0]); } catch { return {}; }
}
