/* Candles of one series, kept current; the feed's figures; the coverage map with its fill button. */

import { CandlestickSeries, HistogramSeries, createChart } from "../vendor/lightweight-charts-5.2.1/lightweight-charts.js";
import { onKey, renderTimes } from "./base.js";
import { age, count, instant, price } from "./format.js";

const region = document.querySelector("[data-market]");
const { contract, timeframe, tick } = region.dataset;
const PAGE = 600;
const REFRESH_MS = 1000;
const COVERAGE_MS = 30_000;
const root = document.documentElement;
const summary = region.querySelector("[data-summary]");
const series = new URLSearchParams({ contract, timeframe });
let asked = 0;
let oldest = null;
let isLoadingOlder = false;
let bars = [];

const isDaily = Number(region.dataset.seconds) >= 86400;

const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

const chart = createChart(region.querySelector("[data-chart]"), {
  autoSize: true,
  layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11 },
  rightPriceScale: { borderVisible: false },
  timeScale: { borderVisible: false, timeVisible: !isDaily, secondsVisible: Number(region.dataset.seconds) < 60, rightOffset: 6 },
});
const digits = (String(tick).split(".")[1] ?? "").length;
const candles = chart.addSeries(CandlestickSeries, { priceFormat: { type: "price", precision: digits, minMove: Number(tick) } });
region.querySelector("[data-chart]").candles = candles; // for the marks
const volume = chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false });
volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });

/** Colours and clock of the chart, as the reader has chosen them. */
function dress() {
  const [up, down, line, muted] = ["--up", "--down", "--line", "--muted"].map(color);
  chart.applyOptions({
    layout: { background: { color: color("--raised") }, textColor: muted },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    localization: { timeFormatter: label },
    timeScale: { tickMarkFormatter: (time) => mark(time) },
  });
  candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
  draw();
}

/** A bar's label: days and longer ones are named by a date, which is the exchange's and no instant. */
function label(time) {
  return isDaily ? instant(new Date(time * 1000), "utc", "date") : instant(new Date(time * 1000), root.dataset.zone, "minute");
}

function mark(time) {
  const text = instant(new Date(time * 1000), isDaily ? "utc" : root.dataset.zone, isDaily ? "date" : "minute");
  return isDaily ? text.slice(5) : text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
}

function draw() {
  const [up, down] = ["--up", "--down"].map(color);
  candles.setData(bars);
  volume.setData(bars.map((bar) => ({ time: bar.time, value: bar.volume, color: `${bar.close >= bar.open ? up : down}66` })));
}

/** Arrays of columns as one object a bar. */
function rows(columns) {
  return columns.time.map((time, at) => ({
    time, open: columns.open[at], high: columns.high[at], low: columns.low[at], close: columns.close[at], volume: columns.volume[at],
  }));
}

async function get(path, parameters) {
  const answer = await fetch(`/api/market-data/${path}?${parameters}`, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(8000) });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return answer.json();
}

function merge(fresh) {
  const byTime = new Map(bars.map((bar) => [bar.time, bar]));
  for (const bar of fresh) byTime.set(bar.time, bar);
  bars = [...byTime.values()].sort((one, other) => one.time - other.time);
}

/** The newest page at first, then what has changed, and always the bar that is forming. */
async function refresh() {
  try {
    const parameters = new URLSearchParams(series);
    if (asked) parameters.set("changed_since", asked - 2);
    parameters.set("limit", asked ? 5000 : PAGE);
    const answer = await get("bars", parameters);
    const fresh = rows(answer.bars);
    const newest = bars.at(-1)?.time ?? 0;
    const first = bars[0]?.time ?? 0;
    const relevant = fresh.filter((bar) => bar.time >= first);
    if (answer.forming) {
      const [time, open, high, low, close, size] = answer.forming;
      relevant.push({ time, open, high, low, close, volume: size });
    }
    merge(relevant);
    if (relevant.every((bar) => bar.time >= newest) && asked) relevant.forEach(update);
    else if (relevant.length) draw();
    asked = answer.now;
    oldest ??= bars[0]?.time ?? null;
    describe();
  } catch {
    summary.textContent = "No answer from the service; what is shown may be old.";
    summary.classList.add("stale");
  }
}

function update(bar) {
  candles.update(bar);
  volume.update({ time: bar.time, value: bar.volume, color: `${color(bar.close >= bar.open ? "--up" : "--down")}66` });
}

function showNewest() {
  chart.timeScale().setVisibleLogicalRange({ from: Math.max(-2, bars.length - 140), to: Math.max(40, bars.length + 6) });
}

function describe() {
  summary.classList.remove("stale");
  const last = bars.at(-1);
  region.querySelector("[data-last]").textContent = price(last?.close ?? null, tick);
  if (!last) {
    summary.textContent = "No bars of this timeframe are stored yet.";
    return;
  }
  summary.textContent = `${count(bars.length)} bars. Newest ${label(last.time)}: open ${price(last.open, tick)}, high ${price(last.high, tick)}, low ${price(last.low, tick)}, close ${price(last.close, tick)}, volume ${count(last.volume)}.`;
}

async function loadOlder(range) {
  if (!range || range.from > 40 || isLoadingOlder || !oldest) return;
  isLoadingOlder = true;
  try {
    const answer = await get("bars", new URLSearchParams([...series, ["before", oldest], ["limit", PAGE]]));
    const found = rows(answer.bars);
    if (!found.length) return;
    oldest = found[0].time;
    merge(found);
    draw();
  } catch {
    summary.textContent = "Older bars could not be loaded.";
  } finally {
    isLoadingOlder = oldest === null;
  }
}

async function showFeed() {
  const state = document.querySelector("[data-feed-state]");
  try {
    const facts = await get("feed", "");
    const word = { pass: "pass", warn: "warn", fail: "fail" }[facts.status];
    state.className = `page-head-end ${word ? `state state-${word}` : "muted"}`;
    const text = facts.detail.charAt(0).toUpperCase() + facts.detail.slice(1);
    if (state.dataset.text !== text) {
      state.dataset.text = text;
      const shape = document.createElement("span");
      shape.className = "state-mark";
      shape.setAttribute("aria-hidden", "true");
      state.replaceChildren(...(word ? [shape] : []), text);
    }
    for (const cell of region.querySelectorAll("[data-figure]")) {
      cell.textContent = figure(facts.figures[cell.dataset.figure], facts.now);
    }
  } catch {
    state.className = "page-head-end state state-fail";
    state.textContent = "No answer from the service.";
    delete state.dataset.text;
  }
}

function figure(value, now) {
  if (typeof value !== "string") return count(value ?? null);
  const seconds = now - new Date(value).valueOf() / 1000;
  return seconds < 0 ? `in ${age(-seconds)}` : `${age(seconds)} ago`;
}

async function showCoverage() {
  const { hours } = await get("coverage", new URLSearchParams([...series, ["days", 14]]));
  const days = new Map();
  for (const { time, state } of hours) {
    const at = new Date(time * 1000).toISOString();
    if (!days.has(at.slice(0, 10))) days.set(at.slice(0, 10), new Map());
    days.get(at.slice(0, 10)).set(Number(at.slice(11, 13)), state);
  }
  const table = region.querySelector("[data-coverage]");
  const head = line("th", ["UTC", ...Array.from({ length: 24 }, (_, hour) => (hour % 3 ? "" : String(hour)))]);
  const body = [...days].reverse().map(([day, states]) => {
    const row = line("th", [day]);
    for (let hour = 0; hour < 24; hour += 1) {
      const cell = document.createElement("td");
      const state = states.get(hour);
      if (state) cell.className = `cell-${state}`;
      cell.title = state ? `${day} ${String(hour).padStart(2, "0")}:00 UTC: ${state}` : "";
      row.append(cell);
    }
    return row;
  });
  const [thead, tbody] = ["thead", "tbody"].map((name) => document.createElement(name));
  thead.append(head);
  tbody.append(...body);
  table.replaceChildren(table.caption, thead, tbody);
}

function line(tag, texts) {
  const row = document.createElement("tr");
  for (const text of texts) {
    const cell = document.createElement(text || tag === "td" ? tag : "td");
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

async function fill(event) {
  const button = event.currentTarget;
  const result = region.querySelector("[data-fill-result]");
  button.disabled = true;
  result.textContent = "Asking the gateway…";
  try {
    const token = document.querySelector('meta[name="csrf-token"]').content;
    const answer = await fetch("/api/market-data/fill", {
      method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify({ contract, timeframe, days: 14 }),
    });
    const found = await answer.json();
    result.textContent = answer.ok ? `${count(found.bars)} bars received, ${count(found.changed)} stored.` : found.detail;
    await showCoverage();
    [asked, oldest, bars] = [0, null, []];
    await refresh();
    showNewest();
  } catch {
    result.textContent = "No answer; try again.";
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("preference", () => { dress(); describe(); renderTimes(region); });
region.querySelector("#contract").addEventListener("change", (event) => event.target.form.submit());
region.querySelector("[data-fill]")?.addEventListener("click", fill);
chart.timeScale().subscribeVisibleLogicalRangeChange(loadOlder);
onKey("e", "to the newest bar", () => chart.timeScale().scrollToRealTime());
dress();
await refresh();
showNewest();
await Promise.allSettled([showFeed(), showCoverage()]);
region.dataset.isReady = "yes";
setInterval(() => document.hidden || Promise.all([refresh(), showFeed()]), REFRESH_MS);
setInterval(() => document.hidden || showCoverage().catch(() => {}), COVERAGE_MS);
