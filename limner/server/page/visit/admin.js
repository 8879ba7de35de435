// For the scope admin: what is under way, keys, usage, models, and training runs.
import { call, PREFIX } from "../basics/api.js";
import { html, useCell, useEffect, useState } from "../basics/html.js";
import { CloseButton, Dialog, Trouble } from "../basics/components.js";
import { home, route } from "../basics/router.js";
import { dateOf, language, t } from "../basics/words.js";
import { models } from "../drawing/model.js";

const EVERY_MS = 5000;
const DAYS = 30;
const ABILITIES = ["edit", "vary", "mask", "transparent", "previews", "score"];
const DAY_MS = 86_400_000;

export function Admin() {
  const [view] = useCell(route);
  const [now, setNow] = useState(null);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    if (view !== "admin") return undefined;
    const look = () => Promise.all(["jobs", "keys", `usage?days=${DAYS}`, "training"].map((name) =>
      call(`/v1/admin/${name}`).then(({ data }) => data)))
      .then(([jobs, keys, usage, training]) => {
        setNow({ jobs, keys, usage, training });
        setFailure(null);
      }, setFailure);
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => clearInterval(timer);
  }, [view]);
  if (view !== "admin") return null;
  return html`<${Dialog} label=${t("admin")} class="wide admin" onClose=${home}>
    <div class="row"><h2>${t("admin")}</h2><${CloseButton} onClick=${home} /></div>
    ${failure && html`<${Trouble} failure=${failure} />`}
    ${now && html`
      <${Part} title=${t("underWay")} none=${!now.jobs.length && t("nothingUnderWay")}>
        <${Jobs} jobs=${now.jobs} /></${Part}>
      <${Part} title=${t("usage")} none=${!now.usage.length && t("noUsage")}>
        <${Usage} rows=${now.usage} /></${Part}>
      <${Part} title=${t("keys")} none=${!now.keys.length && t("noKeys")}>
        <${Keys} keys=${now.keys} /></${Part}>
      <${Part} title=${t("loadedModels")}><p>${models.value.map(({ id, limner, capabilities }) =>
    `${id} (${limner.engine}: ${ABILITIES.filter((name) => capabilities[name]).join(", ")})`).join(" · ")}</p></${Part}>
      <${Part} title=${t("training")} none=${!now.training.length && t("noRuns")}>
        <div class="runs">${now.training.map((one) => html`<${Run} key=${one.run + one.stage}
          one=${one} />`)}</div></${Part}>`}
  </${Dialog}>`;
}

function Part({ title, none, children }) {
  return html`<section class="part"><h3>${title}</h3>
    ${none ? html`<p>${none}</p>` : children}</section>`;
}

const Table = ({ heads, rows }) => html`<div class="table" tabindex="0" role="group"
  aria-label=${heads.join(", ")}><table>
  <thead><tr>${heads.map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
  <tbody>${rows.map((cells, at) => html`<tr key=${at}>${cells.map((text, i) =>
    html`<td key=${i}>${text}</td>`)}</tr>`)}</tbody></table></div>`;

const ownerOf = (name) => name || t("withoutKey");

function Jobs({ jobs }) {
  const how = ({ status, position, progress }) => {
    if (status === "queued") return t("waiting", { n: position ?? 1 });
    return progress ? `${Math.round((100 * progress.done) / progress.total)} %` : t("drawing");
  };
  return html`<${Table} heads=${[t("made"), t("key"), t("number"), t("state")]}
    rows=${jobs.map((job) => [dateOf(job.created_at), ownerOf(job.key), job.n, how(job)])} />`;
}

function Keys({ keys }) {
  const limits = (of) => Object.entries(of).filter(([, value]) => value !== null)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ") || "–";
  return html`<${Table} heads=${[t("key"), t("scopes"), t("keyLimits"), t("created"), t("state")]}
    rows=${keys.map((key) => [key.name, key.scopes.join(", "), limits(key.limits),
    dateOf(key.created_at), t(key.revoked_at ? "revoked" : "works")])} />`;
}

// A row of bars a key, a bar a day.
function Usage({ rows }) {
  const today = Math.floor(Date.now() / DAY_MS);
  const names = [...new Set(rows.map(({ key }) => key))].sort();
  const most = Math.max(...rows.map(({ pictures }) => pictures));
  return html`<ul class="usage">${names.map((name) => {
    const counts = new Array(DAYS).fill(0);
    for (const { key, day, pictures } of rows) {
      const at = DAYS - 1 - (today - Date.parse(day) / DAY_MS);
      if (key === name && at >= 0 && at < DAYS) counts[at] = pictures;
    }
    const sum = counts.reduce((all, one) => all + one, 0);
    return html`<li key=${name}><span>${ownerOf(name)}</span>
      <svg viewBox="0 0 ${DAYS * 4} 24" preserveAspectRatio="none" role="img"
        aria-label=${`${ownerOf(name)}: ${counts.join(" ")}`}>
        ${counts.map((n, at) => n > 0 && html`<rect key=${at} x=${at * 4} width="3"
          y=${24 - (24 * n) / most} height=${(24 * n) / most} />`)}</svg>
      <span>${t("inAll", { n: sum })}</span></li>`;
  })}</ul>`;
}

// Hours and minutes, in the words of the language.
function timeOf(seconds) {
  const [unit, size] = [["hour", 3600], ["minute", 60], ["second", 1]].find(([, s]) => seconds >= s)
    || ["second", 1];
  return new Intl.NumberFormat(language.value === "zh" ? "zh-CN" : "en",
    { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 }).format(seconds / size);
}

function Run({ one }) {
  const sheet = `${PREFIX}/v1/admin/training/${encodeURIComponent(one.run)}/${encodeURIComponent(one.stage)}/sheet`;
  const last = one.loss.at(-1);
  const facts = [
    [t("step"), one.steps ? `${one.step} / ${one.steps}` : one.step],
    [t("loss"), last?.loss.toPrecision(4)],
    [t("rate"), one.steps_per_s && t("perSecond", { n: one.steps_per_s.toPrecision(3) })],
    [t("timeLeft"), one.seconds_left && timeOf(one.seconds_left)],
    [t("lastSeen"), dateOf(one.changed_at)],
  ].filter(([, value]) => value);
  return html`<article class="run"><h4>${one.run} · ${one.stage}</h4>
    ${one.loss.length > 1 && html`<${Curve} points=${one.loss} />`}
    <dl class="facts">${facts.map(([name, value]) => html`
      <div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${one.sheet && html`<a href=${sheet} target="_blank" rel="noreferrer">
      <img src=${`${sheet}?${one.sheet}`} alt=${t("sheet")} loading="lazy" /></a>`}
  </article>`;
}

function Curve({ points }) {
  const losses = points.map(({ loss }) => loss);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const [first, last] = [points[0].step, points.at(-1).step];
  const place = ({ step, loss }) => `${(100 * (step - first)) / (last - first || 1)},${
    38 - (36 * (loss - low)) / (high - low || 1)}`;
  return html`<svg class="curve" viewBox="0 0 100 40" preserveAspectRatio="none" role="img"
    aria-label=${`${t("loss")}: ${losses[0].toPrecision(3)} – ${losses.at(-1).toPrecision(3)}`}>
    <polyline points=${points.map(place).join(" ")} /></svg>`;
}
