/* The delivery log: one delivery beside the list, new ones on top as they come, quarantined ones replayed. */

import { formToken, onKey } from "./base.js";
import { offerCopies } from "./copy.js";
import { fetchPage, keepLive } from "./live.js";
import { addAbove, isAtTop, rows, select, walkByKeys } from "./rows.js";

const SECONDS = 5;
const OVERLAP = 40; // ids are given before rows are stored, so a smaller one may come a little later
const MOST_ROWS = 400;
const BACKFILL_SAID = "backfill said";

const split = document.querySelector("[data-split]");
const panel = document.querySelector("[data-panel]");
const live = document.querySelector("[data-live]");
const freshButton = document.querySelector("[data-fresh]");
const backfillButton = document.querySelector("#as-telemetry-backfill-btn");
let waiting = [];

const idOf = (row) => Number(row.dataset.id);

/** Show the delivery of an address beside the list, or none. */
async function show(address, { isNew = true } = {}) {
  const id = new URL(address, location.href).searchParams.get("delivery");
  try {
    const page = id ? await fetchPage(address) : null;
    panel.replaceChildren(...(page ? page.querySelector("[data-panel]").childNodes : []));
  } catch {
    location.href = address;
    return;
  }
  panel.scrollTop = 0;
  split.toggleAttribute("data-open", Boolean(id));
  select(rows().find((row) => row.dataset.id === id));
  if (isNew) history.pushState(null, "", address);
  offerCopies(panel);
}

function withoutDelivery() {
  const address = new URL(location.href);
  address.searchParams.delete("delivery");
  return address.pathname + address.search;
}

function close() {
  if (!split.hasAttribute("data-open")) return;
  const link = rows().find((row) => row.getAttribute("aria-selected"))?.querySelector("[data-open]");
  show(withoutDelivery()).then(() => link?.focus({ preventScroll: true }));
}

function onClick(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const row = event.target.closest?.("[data-rows] tbody tr");
  const link = row?.querySelector("[data-open]");
  if (link && !getSelection().toString()) {
    event.preventDefault();
    show(link.href);
  } else if (event.target.closest?.("[data-close]")) {
    event.preventDefault();
    close();
  }
}

/** The log since the newest row that is here, in the same filter. */
function addressOfNews() {
  const address = new URL(withoutDelivery(), location.href);
  const newest = Math.max(0, ...[...rows(), ...waiting].map(idOf));
  address.searchParams.set("after_id", String(Math.max(0, newest - OVERLAP)));
  return address.href;
}

function takeNews(page) {
  const found = [...page.querySelectorAll("[data-rows] tbody tr")];
  const known = new Set([...rows(), ...waiting].map(idOf));
  const fresh = found.filter((row) => !known.has(idOf(row)));
  if (!rows().length && fresh.length) return location.reload();
  if (fresh.length && fresh.length === found.length && page.querySelector("[data-older]")) return location.reload();
  waiting = [...fresh, ...waiting];
  if (isAtTop() && !split.hasAttribute("data-open")) return insert();
  freshButton.hidden = !waiting.length;
  freshButton.textContent = `${waiting.length} new`;
}

function insert() {
  addAbove(waiting.sort((one, other) => idOf(other) - idOf(one)));
  waiting = [];
  freshButton.hidden = true;
  rows().slice(MOST_ROWS).forEach((row) => row.remove());
  const older = document.querySelector("[data-older]");
  if (!older) return;
  const address = new URL(older.href);
  address.searchParams.set("before_id", rows().at(-1).dataset.id);
  older.href = address.href;
}

/** Ask for a replay, say what came of it, and show the page as it is now. */
async function replay(button) {
  const result = button.parentElement.querySelector("[data-replay-result]");
  button.disabled = true;
  result.textContent = "Working …";
  try {
    const answer = await fetch(button.dataset.replay, { method: "POST", headers: { "X-CSRFToken": formToken() } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    result.textContent = `${found.understood} of ${found.tried} understood now.`;
    if (found.understood) location.reload();
  } catch (error) {
    result.textContent = `Not replayed: ${error.message}`;
  }
  button.disabled = false;
}

/** Show this page of the log as it is now: its rows and the ways to the other pages. */
async function fetchTelemetryList() {
  const page = await fetchPage(withoutDelivery());
  const ours = document.querySelector(".split-list");
  const fresh = page.querySelector(".split-list");
  if (!ours || !fresh) return location.reload();
  waiting = [];
  freshButton.hidden = true;
  document.querySelector("[data-rows] tbody").replaceChildren(...page.querySelectorAll("[data-rows] tbody tr"));
  ours.querySelector("nav").replaceWith(fresh.querySelector("nav"));
  const id = new URL(location.href).searchParams.get("delivery");
  select(rows().find((row) => row.dataset.id === id));
}

/** Give events without a delivery their row in the log, say how many, and show the list anew. */
async function asRunTelemetryBackfill(limit = 1000) {
  const words = backfillButton.textContent;
  backfillButton.disabled = true;
  backfillButton.textContent = "Running backfill...";
  try {
    const answer = await fetch("/api/automated-signals/telemetry/backfill", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": formToken() },
      body: JSON.stringify({ limit }),
    });
    const report = await answer.json();
    if (!answer.ok || !report.success) throw new Error(report.error);
    sayBackfill(resultOf(report));
    await fetchTelemetryList();
  } catch (error) {
    sayBackfill(`Backfill failed: ${error.message}`);
  }
  backfillButton.textContent = words;
  backfillButton.disabled = false;
}

function resultOf({ inserted, scanned, failed, already_logged: known, limit }) {
  const parts = [`${inserted} inserted`, `${scanned} scanned`, `${known} already in the log`];
  if (failed) parts.push(`${failed} refused`);
  return parts.join(", ") + (scanned === limit ? "; run it again for the next ones" : "");
}

/** Say it now and, where the list can only be shown by a new page, once more there. */
function sayBackfill(text) {
  document.querySelector("[data-backfill-result]").textContent = text;
  if (!split) sessionStorage.setItem(BACKFILL_SAID, text);
}

if (backfillButton) {
  sayKept();
  backfillButton.addEventListener("click", () => asRunTelemetryBackfill());
}
document.querySelector("[data-refresh-list]").addEventListener("click", (event) => {
  event.preventDefault();
  fetchTelemetryList().catch(() => location.reload());
});

function sayKept() {
  const text = sessionStorage.getItem(BACKFILL_SAID);
  sessionStorage.removeItem(BACKFILL_SAID);
  if (text) document.querySelector("[data-backfill-result]").textContent = text;
}

if (split) {
  walkByKeys();
  onKey("Escape", "close the delivery", close);
  document.addEventListener("click", onClick);
  window.addEventListener("popstate", () => show(location.href, { isNew: false }));
  freshButton.addEventListener("click", () => {
    document.querySelector("[data-rows]").scrollTop = 0;
    insert();
  });
}
if (live) {
  // The stream tells of signals; deliveries that change none are asked for.
  keepLive(SECONDS, split ? takeNews : (page) => page.querySelector("[data-rows]") && location.reload(), { address: addressOfNews, safety: 0 });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-replay]");
  if (button) replay(button);
});
const filterButton = document.querySelector("[data-filters] button");
if (filterButton) filterButton.hidden = true;
offerCopies();
