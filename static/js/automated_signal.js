/* The life of one signal: current as changes come, else every five seconds, neighbours by keys. */

import { onKey } from "./base.js";
import { offerCopies } from "./copy.js";
import { keepLive, patchParts } from "./live.js";
import { patchRows, walkByKeys } from "./rows.js";
import { drawTrade } from "./trade_chart.js";

const SECONDS = 5;

keepLive(SECONDS, (page) => {
  patchParts(page);
  patchRows([...page.querySelector("[data-rows] tbody").rows]);
  drawTrade();
});

walkByKeys();
offerCopies();
for (const link of document.querySelectorAll(".head-ways [data-key]")) {
  const words = link.rel === "prev" ? "the signal before" : "the signal after";
  onKey(link.dataset.key, words, () => link.click());
}
onKey("Escape", "all signals", () => document.querySelector("[data-up]").click());
await drawTrade();
