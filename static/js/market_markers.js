/* Detected and coordinated signals as marks on the candles of the market data page. */

import { createSeriesMarkers } from "../vendor/lightweight-charts-5.2.1/lightweight-charts.js";

const EVERY_MS = 5000;
const LIMIT = 1000;
const root = document.documentElement;
const region = document.querySelector("[data-market]");
const box = region?.querySelector("[data-chart]");
let markers = null;
let signals = [];
let shown = "";

async function get(path, parameters) {
  const answer = await fetch(`/api/analysis/${path}?${parameters}`, {
    headers: { Accept: "application/json" }, signal: AbortSignal.timeout(8000),
  });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return answer.json();
}

/** What stands on this series: starts by their bar, decisions whose primary signal is of this timeframe. */
async function load() {
  const { contract, timeframe } = region.dataset;
  const [detected, coordinated] = await Promise.all([
    get("signals", new URLSearchParams({ contract, timeframe, limit: LIMIT })),
    get("coordinated", new URLSearchParams({ contract, limit: LIMIT })),
  ]);
  const decided = coordinated.coordinated.filter((each) => each.primary.timeframe === timeframe);
  signals = [
    ...detected.signals.map((each) => ({ time: each.bar_time, trend: each.trend, isDecision: false })),
    ...decided.map((each) => ({ time: Math.floor(new Date(each.primary.bar_at) / 1000), trend: each.trend, isDecision: true })),
  ];
}

/** Marks on bars that are loaded: an arrow for a start, a square beside it where timeframes agree. */
function draw() {
  if (!box.candles) return;
  markers ??= createSeriesMarkers(box.candles, []);
  const loaded = new Set(box.candles.data().map((bar) => bar.time));
  const style = getComputedStyle(root);
  const marks = signals.filter((each) => loaded.has(each.time)).sort((one, other) => one.time - other.time).map((each) => {
    const isUp = each.trend === "bullish";
    return {
      time: each.time,
      position: isUp ? "belowBar" : "aboveBar",
      shape: each.isDecision ? "square" : isUp ? "arrowUp" : "arrowDown",
      color: style.getPropertyValue(each.isDecision ? "--accent" : isUp ? "--up" : "--down").trim(),
    };
  });
  const told = JSON.stringify(marks);
  if (told === shown) return;
  shown = told;
  markers.setMarkers(marks);
  region.dataset.marks = String(marks.length);
}

async function refresh() {
  try {
    await load();
    draw();
  } catch {
    // The page itself says when the service does not answer; the marks stay as they are.
  }
}

if (box) {
  await refresh();
  document.addEventListener("preference", draw);
  setInterval(() => document.hidden || draw(), 1000);
  setInterval(() => document.hidden || refresh(), EVERY_MS);
}
