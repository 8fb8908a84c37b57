/* Keeps a page current by asking for it again, and says when it was last current. */

import { age } from "./format.js";
import { onKey, renderTimes } from "./base.js";
import { listen } from "./stream.js";

const PATIENCE_MS = 8000;
const PAUSE_MS = 1000;
const SAFETY_MS = 30_000; // a dead connection can look alive for long
const FORM_TOKEN = 'input[name="csrf_token"]';
const FOCUSABLE = "a, button, input, select, summary, [tabindex]";
const WAYS = {
  live: () => "live · checked ",
  reconnecting: () => "reconnecting · checked ",
  away: () => `asks every ${period} s · checked `,
};
let way = "away";
let period = 0;
let checkedAt = Date.now();
let held = { address: "", tag: "" }; // the page that was shown last, for "has it changed?"

/** Fetch a page of ours and parse it. Follows the way to the login when the session has ended. */
export async function fetchPage(address) {
  return parsed(await ask(address));
}

/** Hand the page of an address to `apply`, unless it says what it said the last time: then nothing but headers is sent.
    It is held only once it is shown: one that was cut off or could not be shown is sent again. */
async function applyChanged(address, apply) {
  const answer = await ask(address, address === held.address && held.tag ? { "If-None-Match": held.tag } : {});
  if (answer.status === 304) return;
  const page = await parsed(answer);
  apply(page);
  renewForms(page);
  held = { address, tag: answer.headers.get("ETag") ?? "" };
}

async function ask(address, headers = {}) {
  const asked = { headers: { Accept: "text/html", ...headers }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  const answer = await fetch(address, asked);
  if (answer.redirected && new URL(answer.url).pathname === "/login") location.reload();
  if (!answer.ok && answer.status !== 304) throw new Error(`answered ${answer.status}`);
  return answer;
}

async function parsed(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  renderTimes(page);
  return page;
}

/** Every `seconds`, while the page can be seen, fetch `address()` and hand it to `apply` if it has changed. Returns the
    check itself. */
export function keepCurrent(seconds, apply, address = () => location.href, safety = SAFETY_MS) {
  let [isRunning, isMissed] = [false, false];
  period = seconds;
  async function check() {
    isMissed = isRunning;
    if (isRunning || document.hidden) return;
    isRunning = true;
    try {
      await applyChanged(address(), apply);
      sayFresh();
    } catch {
      sayStale();
    } finally {
      isRunning = false;
      if (isMissed) setTimeout(check, PAUSE_MS);
    }
  }
  onKey("r", "refresh now", check);
  setInterval(() => (way !== "live" || Date.now() - checkedAt >= safety) && check(), seconds * 1000);
  document.addEventListener("visibilitychange", check);
  return check;
}

/** As `keepCurrent`, and as soon as the stream tells of a change, at most once a second. While it is live the page asks
    all the same every `safety` milliseconds, for what the stream does not tell of. Gives what asks at once. */
export function keepLive(seconds, apply, { address, safety = SAFETY_MS } = {}) {
  const check = keepCurrent(seconds, apply, address, safety);
  let [timer, lastAt] = [null, 0];
  listen(() => {
    timer ??= setTimeout(() => {
      [timer, lastAt] = [null, Date.now()];
      check();
    }, Math.max(0, lastAt + PAUSE_MS - Date.now()));
  }, (state) => {
    way = state;
    if (!document.querySelector("[data-freshness].stale")) sayChecked();
  });
  return check;
}

/** Give the forms of this page the token of a later one: the session may be another by now. */
function renewForms(page) {
  const token = page.querySelector('meta[name="csrf-token"]').content;
  document.querySelector('meta[name="csrf-token"]').content = token;
  document.querySelectorAll(FORM_TOKEN).forEach((field) => { field.value = token; });
}

/** Put the parts of `page` that have changed in the place of ours; what is unfolded stays so, and what has the focus keeps it. */
export function patchParts(page) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!fresh || isSame(part, fresh)) continue;
    const unfolded = new Set([...part.querySelectorAll("details[data-key][open]")].map((each) => each.dataset.key));
    const focused = part.contains(document.activeElement) ? nameOf(document.activeElement) : "";
    part.replaceChildren(...fresh.childNodes);
    for (const each of part.querySelectorAll("details[data-key]")) each.open = unfolded.has(each.dataset.key);
    if (focused) [...part.querySelectorAll(FOCUSABLE)].find((each) => nameOf(each) === focused)?.focus({ preventScroll: true });
  }
}

/** What tells one link, button or box from the others. */
function nameOf(element) {
  return [element.localName, element.id || element.getAttribute("aria-label") || element.getAttribute("href") || element.textContent].join(" ");
}

/** True if two elements say the same; titles of times differ by what was pointed at, form tokens by each rendering. */
export function isSame(one, other) {
  const [ours, theirs] = [one.cloneNode(true), other.cloneNode(true)];
  for (const copy of [ours, theirs]) {
    copy.querySelectorAll("time").forEach((time) => time.removeAttribute("title"));
    copy.querySelectorAll("details[data-key]").forEach((each) => each.removeAttribute("open"));
    copy.querySelectorAll(FORM_TOKEN).forEach((field) => field.removeAttribute("value"));
    copy.querySelectorAll("[data-freshness]").forEach((note) => note.replaceChildren());
    copy.removeAttribute("aria-selected");
  }
  return ours.isEqualNode(theirs);
}

function sayFresh() {
  checkedAt = Date.now();
  sayChecked();
}

/** When the page was last current, and whether changes come by themselves. */
function sayChecked() {
  const note = document.querySelector("[data-freshness]");
  const time = note?.querySelector("time");
  if (!time) return;
  time.dateTime = new Date(checkedAt).toISOString();
  note.classList.remove("stale");
  note.classList.toggle("is-live", way === "live");
  note.replaceChildren(WAYS[way](), time);
  renderTimes(note);
}

function sayStale() {
  const note = document.querySelector("[data-freshness]");
  const time = note?.querySelector("time");
  if (!time) return;
  note.classList.add("stale");
  note.replaceChildren("stale since ", time);
}

function tellAges() {
  for (const element of document.querySelectorAll("[data-age]")) {
    const text = `${age(Math.max(0, (Date.now() - new Date(element.dataset.age).valueOf()) / 1000))} ago`;
    if (element.textContent !== text) element.textContent = text;
  }
}

setInterval(tellAges, 1000);
