// The search above the gallery: words, stars, and in a fold dates and models.
import { html, useCell, useLayoutEffect, useRef } from "../basics/html.js";
import { t } from "../basics/words.js";
import { models } from "../drawing/model.js";
import { filters, search } from "./pictures.js";

const WAIT_MS = 250; // after the last letter

export function Search() {
  const now = useCell(filters);
  useCell(models);
  const timer = useRef(0);
  const type = (event) => {
    clearTimeout(timer.current);
    const { value } = event.target;
    timer.current = setTimeout(() => search({ q: value.trim() }), WAIT_MS);
  };
  return html`<div class="search" role="search">
    <input type="search" aria-label=${t("search")} placeholder=${t("searchHint")}
      defaultValue=${now.q} maxlength="200" onInput=${type} />
    <label class="check"><input type="checkbox" checked=${now.starred === "true"}
      onChange=${(event) => search({ starred: event.target.checked ? "true" : "" })} />
      <span>${t("starredOnly")}</span></label>
    <${Filters} now=${now} />
  </div>`;
}

// They lie over the page, so that nothing moves when they open.
function Filters({ now }) {
  const fold = useRef();
  useLayoutEffect(() => {
    const close = (event) => { if (!fold.current.contains(event.target)) fold.current.open = false; };
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, []);
  const leave = (event) => {
    if (event.key !== "Escape" || !fold.current.open) return;
    event.stopPropagation();
    fold.current.open = false;
    fold.current.firstElementChild.focus();
  };
  const field = (name) => (event) => search({ [name]: event.target.value });
  const n = [now.since, now.until, now.model].filter(Boolean).length;
  return html`<details ref=${fold} class="more" onKeyDown=${leave}>
    <summary>${t("more")}${n > 0 && ` (${n})`}</summary><div class="fields">
      <label class="field"><span>${t("since")}</span><input type="date" value=${now.since}
        onChange=${field("since")} /></label>
      <label class="field"><span>${t("until")}</span><input type="date" value=${now.until}
        onChange=${field("until")} /></label>
      <label class="field"><span>${t("model")}</span><select value=${now.model}
        onChange=${field("model")}><option value="">${t("anyModel")}</option>
        ${models.value.map(({ id }) => html`<option key=${id} value=${id}>${id}</option>`)}
      </select></label>
    </div></details>`;
}
