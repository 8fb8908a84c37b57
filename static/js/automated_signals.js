/* The list of signals: current as changes come, else every five seconds; walked through by keys. */

import { onKey } from "./base.js";
import { keepLive, patchParts } from "./live.js";
import { offerPicks } from "./picks.js";
import { patchRows, walkByKeys } from "./rows.js";

const SECONDS = 5;

keepLive(SECONDS, (page) => {
  const fresh = page.querySelector("[data-rows] tbody");
  // From an empty list to a first signal, or back, the page changes its shape.
  if (Boolean(fresh) !== Boolean(document.querySelector("[data-rows]"))) return location.reload();
  patchParts(page);
  document.title = page.title; // it begins with the number of open trades
  if (fresh) patchRows([...fresh.rows]);
  document.dispatchEvent(new Event("rows"));
});

if (document.querySelector("[data-rows]")) walkByKeys();
offerPicks();
for (const link of document.querySelectorAll(".tabs [data-key]")) {
  onKey(link.dataset.key, link.firstChild.textContent.trim(), () => {
    location.href = document.querySelector(`.tabs [data-key="${link.dataset.key}"]`).href;
  });
}
