/* The market data page: candles that move with the stream, the last quote, the feed's figures, the coverage map. */

import { onKey } from "./base.js";
import { age, count, price } from "./format.js";
import { formingBar, get, rows } from "./market_api.js";
import { marketChart } from "./market_chart.js";
import { fill, showCoverage } from "./market_coverage.js";
import { listen } from "./stream.js";

const region = document.querySelector("[data-market]");
const { contract, timeframe, tick } = region.dataset;
const PAGE = 600;
const LOOK_MS = 1000;
const SAFETY_MS = 30_000; // a dead stream can look alive for long
const FEED_MS = 5000;
const COVERAGE_MS = 30_000;
const WAYS = { live: "live", reconnecting: "reconnecting, asking meanwhile", away: "asking every second" };

const part = (name) => document.querySelector(`[data-${name}]`);
const chart = marketChart(part("chart"), Number(region.dataset.seconds), tick);
const series = new URLSearchParams({ contract, timeframe });
let [bars, asked, oldest] = [[], 0, null];
let [isAsking, isAskedAgain, isLoadingOlder] = [false, false, false];
let forming = null; // what has come since the last frame was drawn
let drawn = 0; // forming bars of the stream so far
let way = "away";
let [checkedAt, feedAt, coverageAt] = [0, 0, 0];
let facts = null;
let clockAhead = 0; // the service's clock against the browser's, in seconds

// --- bars ---------------------------------------------------------------------------------------------------------

function merge(fresh) {
  const byTime = new Map(bars.map((bar) => [bar.time, bar]));
  for (const bar of fresh) byTime.set(bar.time, bar);
  bars = [...byTime.values()].sort((one, other) => one.time - other.time);
}

/** Take bars in; the newest are drawn one by one, so that nothing jumps, older ones with all the others. */
function take(fresh) {
  const newest = bars.at(-1)?.time ?? Infinity;
  const isAtEnd = fresh.every((bar) => bar.time >= newest);
  if (isAtEnd && fresh.length === 1 && fresh[0].time === newest) bars[bars.length - 1] = fresh[0];
  else merge(fresh);
  if (isAtEnd) fresh.forEach(chart.update);
  else if (fresh.length) chart.draw(bars);
}

/** The newest page at first, then what has changed, and always the bar that is forming. */
async function refresh() {
  isAskedAgain = isAsking;
  if (isAsking) return;
  isAsking = true;
  try {
    const parameters = new URLSearchParams(series);
    const drawnBefore = drawn;
    if (asked) parameters.set("changed_since", asked - 2);
    parameters.set("limit", asked ? 5000 : PAGE);
    const answer = await get("bars", parameters);
    const first = bars[0]?.time ?? 0;
    const fresh = rows(answer.bars).filter((bar) => bar.time >= first);
    // An answer that was on its way while the stream brought a newer price must not take that back.
    if (answer.forming && drawn === drawnBefore) fresh.push(formingBar(answer.forming));
    take(fresh);
    asked = answer.now;
    checkedAt = Date.now();
    oldest ??= bars[0]?.time ?? null;
    describe();
  } catch {
    part("summary").textContent = "No answer from the service; what is shown may be old.";
    part("summary").classList.add("stale");
  } finally {
    isAsking = false;
    if (isAskedAgain) setTimeout(refresh, LOOK_MS / 2);
  }
}

async function loadOlder(range) {
  if (!range || range.from > 40 || isLoadingOlder || !oldest) return;
  isLoadingOlder = true;
  try {
    const { bars: found } = await get("bars", new URLSearchParams([...series, ["before", oldest], ["limit", PAGE]]));
    if (!found.time.length) return;
    oldest = found.time[0];
    merge(rows(found));
    chart.draw(bars);
  } catch {
    part("summary").textContent = "Older bars could not be loaded.";
  } finally {
    isLoadingOlder = false;
  }
}

function describe() {
  const [summary, last] = [part("summary"), bars.at(-1)];
  summary.classList.remove("stale");
  part("last").textContent = price(last?.close ?? null, tick);
  summary.textContent = last
    ? `${count(bars.length)} bars. Newest ${chart.label(last.time)}: open ${price(last.open, tick)}, high ${price(last.high, tick)}, low ${price(last.low, tick)}, close ${price(last.close, tick)}, volume ${count(last.volume)}.`
    : "No bars of this timeframe are stored yet.";
}

// --- the stream ---------------------------------------------------------------------------------------------------

function onChange(topic, data) {
  if (topic === "forming") {
    if (data.contract_id === contract) onForming(data);
  } else if (topic !== "bars" || data.bars?.some(([frame]) => frame === timeframe)) refresh();
}

/** At most one drawing a frame, whatever comes. */
function onForming(data) {
  if (forming === null) requestAnimationFrame(showForming);
  forming = data;
}

function showForming() {
  const { forming: open, quote } = forming;
  forming = null;
  if (asked && open[timeframe]) {
    const bar = formingBar(open[timeframe]);
    if (bar.time >= (bars.at(-1)?.time ?? 0)) take([bar]);
    drawn += 1;
    describe();
  }
  showQuote(quote);
  if (facts && quote.at) facts.figures.last_tick_at = quote.at;
}

function showQuote(quote) {
  for (const side of ["bid", "ask"]) part(side).textContent = price(quote?.[side] ?? null, tick);
}

function onState(state) {
  way = state;
  const note = part("way");
  note.textContent = WAYS[way];
  note.classList.toggle("is-live", way === "live");
  note.classList.toggle("stale", way === "reconnecting");
}

// --- the feed -----------------------------------------------------------------------------------------------------

async function showFeed() {
  feedAt = Date.now();
  try {
    facts = await get("feed");
    clockAhead = facts.now - Date.now() / 1000;
    showQuote(facts.figures.quotes?.[contract]);
    sayFeed(facts.status, facts.detail);
  } catch {
    facts = null;
    sayFeed("fail", "No answer from the service.");
  }
  showFigures();
}

function sayFeed(status, detail) {
  const state = part("feed-state");
  const word = ["pass", "warn", "fail"].includes(status) ? status : null;
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  state.className = `page-head-end ${word ? `state state-${word}` : "muted"}`;
  if (state.dataset.text === text) return;
  state.dataset.text = text;
  const shape = document.createElement("span");
  shape.className = "state-mark";
  shape.setAttribute("aria-hidden", "true");
  state.replaceChildren(...(word ? [shape] : []), text);
}

function showFigures() {
  const now = Date.now() / 1000 + clockAhead;
  for (const cell of region.querySelectorAll("[data-figure]")) {
    const text = figure(facts?.figures[cell.dataset.figure], now);
    if (cell.textContent !== text) cell.textContent = text;
  }
}

function figure(value, now) {
  if (typeof value !== "string") return count(value ?? null);
  const seconds = now - new Date(value).valueOf() / 1000;
  return seconds < -1 ? `in ${age(-seconds)}` : `${age(Math.max(0, seconds))} ago`;
}

// --- what runs ----------------------------------------------------------------------------------------------------

function look() {
  if (document.hidden) return;
  showFigures();
  const isStill = Date.now() - checkedAt >= (way === "live" ? SAFETY_MS : LOOK_MS / 2);
  if (isStill) refresh();
  if (Date.now() - feedAt >= FEED_MS) showFeed();
  if (Date.now() - coverageAt >= COVERAGE_MS) cover();
}

function cover() {
  coverageAt = Date.now();
  return showCoverage(part("coverage"), series).catch(() => {}); // asked again soon
}

async function onFill(event) {
  const isFilled = await fill(event.currentTarget, part("fill-result"), contract, timeframe);
  await cover();
  if (!isFilled) return;
  [asked, oldest, bars] = [0, null, []];
  await refresh();
  chart.showNewest(bars.length);
}

document.addEventListener("preference", () => { chart.dress(); chart.draw(bars); describe(); });
document.addEventListener("visibilitychange", look);
region.querySelector("#contract").addEventListener("change", (event) => event.target.form.submit());
part("fill")?.addEventListener("click", onFill);
chart.onRange(loadOlder);
onKey("e", "to the newest bar", chart.scrollToNewest);
chart.dress();
await refresh();
chart.showNewest(bars.length);
await Promise.allSettled([showFeed(), cover()]);
listen(onChange, onState, [`bars:${contract}`, `forming:${contract}`]);
region.dataset.isReady = "yes";
setInterval(look, LOOK_MS);
