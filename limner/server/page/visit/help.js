// Keys, and the address for programs.
import { BASE, PREFIX, VERSION } from "../basics/api.js";
import { html } from "../basics/html.js";
import { CloseButton, Dialog } from "../basics/components.js";
import { t } from "../basics/words.js";

const KEYS = [
  ["Ctrl+Enter", "kDraw"], ["Esc", "kStop"], ["← →", "kArrows"], ["/", "kPrompt"], ["?", "kHelp"],
  ["Ctrl+Z, Ctrl+Shift+Z", "kUndo"], ["[ ]", "kBrush"],
];

export function Help({ onClose }) {
  return html`<${Dialog} label=${t("help")} class="small" onClose=${onClose}>
    <div class="row"><h2>${t("help")}</h2><${CloseButton} onClick=${onClose} /></div>
    <h3>${t("shortcuts")}</h3>
    <dl class="facts">${KEYS.map(([key, words]) => html`<div key=${key}>
      <dt><kbd>${key}</kbd></dt><dd>${t(words)}</dd></div>`)}</dl>
    <h3>${t("programs")}</h3>
    <p>${t("programsHint")}</p>
    <p><code class="address">${`${BASE}/v1`}</code></p>
    <p><a href=${`${PREFIX}/docs`}>${t("callDocs")}</a></p>
    <p class="faint">limner ${VERSION} · ${t("aiNote")}</p>
  </${Dialog}>`;
}
