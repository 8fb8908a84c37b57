/* The picture of a trade: candles with its levels and events where bars are stored, and the paths of both legs in R. */

import { CandlestickSeries, LineStyle, createChart, createSeriesMarkers } from "../vendor/lightweight-charts-5.2.1/lightweight-charts.js";
import { count, instant, price, rMultiple } from "./format.js";
import { clockMark, color, plot } from "./plots.js";

const region = document.querySelector("[data-picture]");
const root = document.documentElement;
const [note, candleBox, candleNote] = ["[data-picture-note]", "[data-candles]", "[data-candle-note]"].map((name) => region?.querySelector(name));
const [pathPart, pathBox, pathNote, pathTable] = ["[data-path-part]", "[data-paths]", "[data-path-note]", "[data-path-table]"].map((name) => region?.querySelector(name));
const SHAPES = {
  SIGNAL_CREATED: ["circle", "--accent"], ENTRY: ["arrow", "--accent"], BE_TRIGGERED: ["square", "--warn"], EXIT_BE: ["square", "--warn"],
  EXIT_SL: ["square", "--fail"], EXIT_TP: ["square", "--pass"], CANCELLED: ["circle", "--muted"],
};
const LEVELS = { entry: ["--accent", LineStyle.Solid], stop: ["--fail", LineStyle.Solid], target: ["--pass", LineStyle.Dashed], reach: ["--muted", LineStyle.Dotted] };
const TABLE_ROWS = 60;
const RETRY_MS = 5000; // the page asks for a picture when it changes; one that failed to come must not wait for that
let [tag, told, candles, retry] = [null, null, null, null];

/** Ask for the picture and draw it if it has changed. */
export async function drawTrade() {
  if (!region) return;
  clearTimeout(retry);
  try {
    const answer = await fetch(region.dataset.picture, { headers: { Accept: "application/json" }, cache: "no-cache", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const found = answer.headers.get("ETag");
    if (found && found === tag) return sayBars();
    told = await answer.json();
    draw();
    tag = found; // only now: what could not be drawn is asked for again
    region.dataset.isReady = "yes";
  } catch {
    retry = setTimeout(drawTrade, RETRY_MS);
    note.hidden = false;
    note.textContent = told ? "The picture may be old: no answer from the service." : "The picture could not be loaded.";
  }
}

/** Whether there are bars, and if not, why. */
function sayBars() {
  note.hidden = Boolean(told.bars);
  note.textContent = told.no_bars ?? "";
}

function draw() {
  sayBars();
  candleBox.hidden = candleNote.hidden = !told.bars;
  if (told.bars) drawCandles();
  pathPart.hidden = !told.paths.time.length;
  if (told.paths.time.length) drawPaths();
}

function drawCandles() {
  candles ??= newChart();
  const { bars } = told;
  candles.series.setData(bars.time.map((time, at) => ({ time, open: bars.open[at], high: bars.high[at], low: bars.low[at], close: bars.close[at] })));
  candles.lines.forEach((line) => candles.series.removePriceLine(line));
  candles.lines = told.levels.map((level) => candles.series.createPriceLine(lineOf(level)));
  candles.markers.setMarkers(told.markers.filter(({ time }) => time >= bars.time[0] && time <= bars.time.at(-1)).map(markerOf));
  dress();
  if (!candles.isPlaced) candles.chart.timeScale().fitContent();
  candles.isPlaced = true;
  candleNote.textContent = describe();
}

function newChart() {
  const chart = createChart(candleBox, {
    autoSize: true,
    layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11 },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 18 },
  });
  const tick = Number(told.tick);
  const digits = (String(told.tick).split(".")[1] ?? "").length;
  const series = chart.addSeries(CandlestickSeries, {
    priceFormat: { type: "price", precision: digits, minMove: tick }, lastValueVisible: false, priceLineVisible: false, autoscaleInfoProvider: widened,
  });
  return { chart, series, lines: [], markers: createSeriesMarkers(series, []), isPlaced: false };
}

/** The price scale always shows entry, stop and +1R. */
function widened(original) {
  const found = original();
  const kept = told.levels.filter(({ kind, r }) => kind === "entry" || kind === "stop" || r === 1).map((level) => level.price);
  if (!found?.priceRange || !kept.length) return found;
  const { minValue, maxValue } = found.priceRange;
  return { ...found, priceRange: { minValue: Math.min(minValue, ...kept), maxValue: Math.max(maxValue, ...kept) } };
}

function lineOf({ name, price: at, r, kind }) {
  const [token, lineStyle] = LEVELS[kind];
  return { price: at, color: color(token), lineStyle, lineWidth: 1, title: kind === "entry" ? name : `${name} ${rMultiple(r)}`, axisLabelVisible: true };
}

function markerOf({ time, event_type: kind, text }) {
  const [shape, token] = SHAPES[kind];
  const isLong = told.direction !== "short";
  const isFavourable = kind !== "EXIT_SL" && kind !== "EXIT_BE";
  const isBelow = isLong === (kind === "ENTRY" || !isFavourable);
  return { time, text, color: color(token), position: isBelow ? "belowBar" : "aboveBar", shape: shape === "arrow" ? (isLong ? "arrowUp" : "arrowDown") : shape };
}

function dress() {
  const [up, down, line, muted] = ["--up", "--down", "--line", "--muted"].map(color);
  const clock = (time) => instant(new Date(time * 1000), root.dataset.zone, "minute");
  candles.chart.applyOptions({
    layout: { background: { color: color("--raised") }, textColor: muted },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    localization: { timeFormatter: clock },
    timeScale: { tickMarkFormatter: (time) => clockMark(time) },
  });
  candles.series.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
}

function describe() {
  const levels = told.levels.map(({ name, price: at }) => `${name} ${price(at, told.tick)}`).join(", ");
  const events = told.markers.map(({ text, time }) => `${text} ${instant(new Date(time * 1000), root.dataset.zone, "clock")}`).join(", ");
  return `${count(told.bars.time.length)} bars of ${told.timeframe}, ${told.contract.name}. Levels: ${levels || "none known"}. Events: ${events || "none"}.`;
}

function drawPaths() {
  const { time, no_be: noBe, be, mae, price: close } = told.paths;
  const r = (value) => rMultiple(value);
  pathBox.hidden = time.length < 2; // one minute is no path: the line below tells it
  if (!pathBox.hidden) plot(pathBox, {
    xs: time, isTime: true, xLabel: "Bar", height: 220, text: r, yValues: (_, values) => values.map(r),
    lines: [
      { label: "No-BE MFE", values: noBe, color: "--up", stepped: true },
      { label: "BE MFE", values: be, color: "--accent", dash: [6, 4], stepped: true },
      { label: "MAE", values: mae, color: "--down", stepped: true },
      { label: "Price", values: close, color: "--muted", dash: [1, 3] },
    ],
  });
  const last = (values) => values.findLast((value) => value !== null) ?? null;
  pathNote.textContent = `${count(time.length)} ${time.length === 1 ? "minute" : "minutes"} told. No-BE MFE ${r(last(noBe))}, BE MFE ${r(last(be))}, MAE ${r(last(mae))}.`;
  const step = Math.ceil(time.length / TABLE_ROWS);
  const rows = time.map((at, place) => [at, noBe[place], be[place], mae[place], close[place]]).filter((_, place) => place % step === 0 || place === time.length - 1);
  pathTable.replaceChildren(...rows.map(tableRow));
}

function tableRow([at, ...values]) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = instant(new Date(at * 1000), root.dataset.zone, "minute");
  const cells = values.map((value) => {
    const cell = document.createElement("td");
    cell.className = "number";
    cell.textContent = rMultiple(value);
    return cell;
  });
  row.append(head, ...cells);
  return row;
}

document.addEventListener("preference", () => told && draw());
