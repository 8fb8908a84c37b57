/* The list of detected and coordinated signals: current as bars close, walked through by keys. */

import { keepCurrent, patchParts } from "./live.js";
import { patchRows, walkByKeys } from "./rows.js";
import { listen } from "./stream.js";

const SECONDS = 5;

const check = keepCurrent(SECONDS, (page) => {
  const fresh = page.querySelector("[data-rows] tbody");
  // From an empty list to a first signal, or back, the page changes its shape.
  if (Boolean(fresh) !== Boolean(document.querySelector("[data-rows]"))) return location.reload();
  patchParts(page);
  if (fresh) patchRows([...fresh.rows]);
});

listen(() => check(), () => {}, ["analysis"]);
if (document.querySelector("[data-rows]")) walkByKeys();
