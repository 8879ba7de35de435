// One picture by its address: from the gallery, or else from the history.
import { call } from "../basics/api.js";
import { useCell, useEffect, useState } from "../basics/html.js";
import { home } from "../basics/router.js";
import { all, gallery, itemsOf, keyOf } from "./pictures.js";

// {item}, {failure}, or {} while it is being asked for. Leaves the view if there is no such picture.
export function useItem(id, index) {
  useCell(gallery);
  const [found, setFound] = useState({});
  const key = `${id}/${index}`;
  const item = all().find((one) => keyOf(one) === key);
  const isAsked = Boolean(id) && !item && found.key !== key;
  useEffect(() => {
    if (!isAsked) return;
    call(`/v1/images/history/${encodeURIComponent(id)}`)
      .then((row) => itemsOf(row).find((one) => String(one.index) === index))
      .then((one) => (one ? setFound({ key, item: one }) : home()))
      .catch((failure) => setFound({ key, failure }));
  }, [isAsked, key]);
  if (item) return { item };
  return found.key === key ? found : {};
}
