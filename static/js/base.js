/* What every page does: clock and time zone, how the reader likes to look, keys and their help. */

import { age, instant } from "./format.js";

const YEAR_SECONDS = 365 * 24 * 3600;
const ZONE_ORDER = ["ny", "local", "utc"];
const root = document.documentElement;
const keys = new Map();

/** Write every <time> below `within` on the clock of the chosen zone. Call it for rows that arrive later, too. */
export function renderTimes(within = document) {
  for (const element of within.querySelectorAll("time[datetime]")) {
    element.textContent = instant(element.dateTime, root.dataset.zone, element.dataset.show || "full");
  }
}

/** Let `key` do something on this page; the help names it. */
export function onKey(key, description, action) {
  keys.set(key, { description, action });
}

/** What a request that changes something sends along as X-CSRFToken. */
export function formToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

/** Keep a choice in its cookie and show it at once. */
function choose(name, value) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${root.dataset.cookies}view_${name}=${value}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${secure}`;
  root.dataset[name] = value;
  for (const button of document.querySelectorAll(`[data-preferences] button[name="${name}"]`)) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
  if (name === "zone") {
    renderTimes();
    tick();
  }
  if (name === "theme") document.querySelector('meta[name="color-scheme"]').content = value;
  document.dispatchEvent(new CustomEvent("preference", { detail: { name, value } }));
}

function tick() {
  const clock = document.querySelector("[data-clock]");
  if (clock) clock.textContent = instant(new Date(), root.dataset.zone, "time");
}

/** The ISO instant and its age, asked for when the pointer comes, so that the age is true. */
function explainTime(event) {
  const element = event.target.closest?.("time[datetime]");
  if (!element) return;
  const seconds = (Date.now() - new Date(element.dateTime).valueOf()) / 1000;
  element.title = `${element.dateTime} · ${seconds < 0 ? `in ${age(-seconds)}` : `${age(seconds)} ago`}`;
}

function onPreference(event) {
  const button = event.target.closest?.("[data-preferences] button[name]");
  if (!button) return;
  event.preventDefault();
  choose(button.name, button.value);
}

function onKeyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape") closeMenus();
  if (event.target.closest?.("input, select, textarea, [contenteditable]") || document.querySelector("dialog[open]")) return;
  const bound = keys.get(event.key);
  if (!bound) return;
  event.preventDefault();
  bound.action(event);
}

function closeMenus(except = null) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
}

function showHelp() {
  const list = document.querySelector("#help .keys");
  list.replaceChildren(
    ...[...keys].flatMap(([key, { description }]) => {
      const [term, name, text] = ["dt", "kbd", "dd"].map((tag) => document.createElement(tag));
      name.textContent = key;
      term.append(name);
      text.textContent = description;
      return [term, text];
    }),
  );
  document.querySelector("#help").showModal();
}

onKey("t", "next time zone: New York, local, UTC", () => {
  choose("zone", ZONE_ORDER[(ZONE_ORDER.indexOf(root.dataset.zone) + 1) % ZONE_ORDER.length]);
});
onKey("?", "this help", showHelp);
if (document.querySelector("[data-filter]")) {
  onKey("/", "filter", () => document.querySelector("[data-filter]").focus());
}

document.addEventListener("click", onPreference);
document.addEventListener("click", (event) => closeMenus(event.target.closest?.("details.menu")));
document.addEventListener("keydown", onKeyDown);
document.addEventListener("change", (event) => event.target.matches("[data-filters] select") && event.target.form.requestSubmit());
document.addEventListener("pointerover", explainTime);
const helpButton = document.querySelector("[data-help]");
if (helpButton) {
  helpButton.hidden = false;
  helpButton.addEventListener("click", showHelp);
}
renderTimes();
tick();
setInterval(tick, 1000);
