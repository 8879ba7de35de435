// Which view is open, by the part of the address after "#": links, back and forward work.
import { cell } from "./html.js";

const read = () => location.hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);

export const route = cell(read());
addEventListener("hashchange", () => { route.value = read(); });

export const addressOf = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
export function go(...parts) { location.hash = addressOf(...parts); }
export function home() { go(); }
