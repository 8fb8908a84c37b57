/* Keeps the region [data-refresh="seconds"] of a page current, and says so when it is not. */

import { onKey, renderTimes } from "./base.js";

const region = document.querySelector("[data-refresh]");
let since = document.querySelector("[data-refreshed] time")?.dateTime;

/** Fetch this page again and put its region in place of ours; focus and scroll stay where they are. */
async function refresh() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(8000) });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    region.replaceChildren(...page.querySelector("[data-refresh]").children);
    since = region.querySelector("[data-refreshed] time")?.dateTime;
    renderTimes(region);
  } catch {
    showStale();
  }
}

function showStale() {
  const note = region.querySelector("[data-refreshed]");
  if (!note) return;
  const at = document.createElement("time");
  at.dateTime = since;
  at.dataset.show = "time";
  note.classList.add("stale");
  note.replaceChildren("stale: no answer since ", at);
  renderTimes(note);
}

onKey("r", "refresh now", refresh);
setInterval(() => document.hidden || refresh(), Number(region.dataset.refresh) * 1000);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
