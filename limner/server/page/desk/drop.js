// Pictures that are dropped, pasted or opened: one of limner's own brings its settings back,
// another can be changed.
import { html, useLayoutEffect, useRef, useState } from "../basics/html.js";
import { Icon } from "../basics/components.js";
import { go, home } from "../basics/router.js";
import { toast } from "../basics/toasts.js";
import { t } from "../basics/words.js";
import { recall } from "../drawing/request.js";
import { opened } from "./editor.js";
import { readOwn } from "./metadata.js";

const KINDS = ["image/png", "image/jpeg", "image/webp"];
const OWN_KINDS = [...KINDS, "image/svg+xml", "image/gif"]; // of limner's own, to recall only

export async function take(file) {
  const url = URL.createObjectURL(file);
  try {
    if (!OWN_KINDS.includes(file.type)) throw new TypeError(file.type);
    const image = await sizeOf(url);
    const own = await readOwn(file);
    if (own) {
      const size = `${image.naturalWidth}x${image.naturalHeight}`;
      const kind = file.type.slice("image/".length).replace("+xml", "");
      const format = kind === "svg" && own.index ? "png" : kind; // SVG is drawn alone
      recall({ ...own, size, format, parameters: { size, ...own.parameters, n: own.index + 1 } });
      URL.revokeObjectURL(url);
      home();
      const change = { action: t("change"), onAction: () => show(file, URL.createObjectURL(file)) };
      toast(t("recalled"), KINDS.includes(file.type) ? change : {});
    } else if (KINDS.includes(file.type)) show(file, url);
    else throw new TypeError(file.type);
  } catch {
    URL.revokeObjectURL(url);
    toast(t("notPicture", { name: file.name }), { isError: true });
  }
}

function show(file, url) {
  opened.value = { file, url, name: file.name };
  go("edit", "file");
}

async function sizeOf(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

const pictureIn = (data) => [...data?.files || []][0];

export function Drop() {
  const [isOver, setOver] = useState(false);
  useLayoutEffect(() => { // at once: a picture may come before the first paint
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    const over = (event) => { if (hasFile(event)) { event.preventDefault(); setOver(true); } };
    const leave = (event) => { if (!event.relatedTarget) setOver(false); };
    const drop = (event) => {
      setOver(false);
      const file = pictureIn(event.dataTransfer);
      if (!file) return;
      event.preventDefault();
      take(file);
    };
    const paste = (event) => {
      const file = pictureIn(event.clipboardData);
      if (file) { event.preventDefault(); take(file); }
    };
    const all = { dragover: over, dragleave: leave, drop, paste };
    for (const [name, listener] of Object.entries(all)) addEventListener(name, listener);
    return () => {
      for (const [name, listener] of Object.entries(all)) removeEventListener(name, listener);
    };
  }, []);
  return isOver && html`<div class="drop"><p>${t("dropHere")}</p></div>`;
}

export function OpenButton() {
  const input = useRef();
  return html`<button type="button" class="bare" aria-label=${t("open")} title=${t("open")}
      onClick=${() => input.current.click()}><${Icon} name="open" /></button>
    <input ref=${input} type="file" accept=${OWN_KINDS.join(",")} hidden
      onChange=${({ target }) => { if (target.files[0]) take(target.files[0]); target.value = ""; }} />`;
}
