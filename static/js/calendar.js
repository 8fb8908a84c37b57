/* The month of signals: current as changes come, months by keys. */

import { onKey } from "./base.js";
import { keepLive, patchParts } from "./live.js";

const SECONDS = 30;

keepLive(SECONDS, patchParts);
for (const link of document.querySelectorAll(".head-ways [data-key]")) {
  onKey(link.dataset.key, link.rel === "prev" ? "the month before" : "the month after", () => link.click());
}
