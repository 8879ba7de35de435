// The drawing under way, and what came of it.
import { html, useCell, useEffect, useRef, useState } from "../basics/html.js";
import { CloseButton, Trouble } from "../basics/components.js";
import { addressOf } from "../basics/router.js";
import { t } from "../basics/words.js";
import { sourceOf, keyOf } from "../gallery/pictures.js";
import { ByAi, Next } from "../picture/actions.js";
import { again, dismiss, isBusy, job } from "./job.js";

// In words, for those who see it and those who hear it.
function said(now) {
  if (now.state === "waiting") return t("waiting", { n: now.position });
  if (now.state === "drawing" && now.n > 1) {
    if (now.isWhole) return t("drawingAll", { n: now.n });
    return t("drawingOf", { i: Math.min(now.n, (now.fresh?.length || 0) + 1), n: now.n });
  }
  if (now.state === "done" && now.n > 1) return t("doneN", { n: now.n });
  return t(now.state);
}

export function Stage() {
  const now = useCell(job);
  const room = useRef();
  // Who asks for a drawing from far down in the gallery is shown it.
  useEffect(() => { room.current?.scrollIntoView({ block: "nearest" }); }, [now?.task]);
  if (!now) return html`<div role="status" class="hidden"></div>`;
  const busy = isBusy();
  return html`<section ref=${room} class="stage" aria-label=${t("picture")} aria-busy=${busy}>
    <div class="row">
      <p role="status" class="said">${said(now)}</p>
      ${!busy && html`<span class="row">${now.items[0] && html`<${ByAi} item=${now.items[0]} />`}
        <${CloseButton} onClick=${dismiss} /></span>`}
    </div>
    ${busy && html`<${Progress} now=${now} />`}
    <${Result} now=${now} />
    ${now.failure && html`<${Trouble} failure=${now.failure} onAgain=${again} />`}
  </section>`;
}

function Progress({ now }) {
  const known = now.total > 0;
  return html`<progress aria-label=${said(now)} max=${known ? now.total : undefined}
    value=${known ? now.done : undefined}></progress>`;
}

function Result({ now }) {
  const [chosen, setChosen] = useState(0);
  useEffect(() => setChosen(0), [now.task]);
  const items = now.items.length ? now.items : (now.fresh || []).map((src) => ({ src }));
  const item = items[Math.min(chosen, items.length - 1)];
  const [width, height] = (now.size || item?.size || "1x1").split("x").map(Number);
  const style = { aspectRatio: `${width} / ${height}`, maxWidth: `${(60 * width) / height}vh` };
  if (now.preview || (isBusy() && !item)) {
    return html`<div class="sheet" style=${style}>${now.preview
      ? html`<img class="preview" src=${now.preview} alt="" />` : html`<div class="blank"></div>`}
    </div>`;
  }
  if (!item) return null;
  const isClear = now.task.body.background === "transparent";
  const isKept = item.id && !isBusy();
  const picture = html`<img src=${sourceOf(item)} alt=${now.prompt || t("untitled")} />`;
  return html`<div class=${isClear ? "sheet clear" : "sheet"} style=${style}>${item.id
    ? html`<a href=${addressOf("picture", item.id, item.index)}>${picture}</a>` : picture}</div>
    ${items.length > 1 && html`<div class="strip">${items.map((one, at) => html`
      <button type="button" key=${one.id ? keyOf(one) : at} aria-pressed=${one === item}
        aria-label=${`${t("picture")} ${at + 1}`} onClick=${() => setChosen(at)}>
        <img src=${sourceOf(one, 160)} alt="" /></button>`)}</div>`}
    ${isKept && html`<div class="next"><${Next} item=${item} /></div>`}`;
}
