/* Charts of figures: uPlot in the colours, the clock and the width of the page. uPlot itself comes as a classic script. */

import { instant } from "./format.js";

const root = document.documentElement;
const HEIGHT = 240;
const [MINUTE, HOUR, DAY] = [60, 3600, 86400];
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE), ...[1, 2, 3, 4, 6, 8, 12].map((each) => each * HOUR),
  ...[1, 2, 3, 7, 14, 30, 60, 90, 180, 365].map((each) => each * DAY),
]; // bars are minutes: no mark lies between two of them
const ZONES = { ny: "America/New_York", utc: "Etc/UTC" };
const plots = new Set();

export const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

/** Draw into `box`. `lines`: {label, values, color (a token), dash, bars, stepped}; `xs` are numbers, or Unix seconds with `isTime`. */
export function plot(box, spec) {
  const held = [...plots].find((each) => each.box === box);
  if (held) {
    held.spec = spec;
    return draw(held);
  }
  const made = { box, spec, chart: null };
  plots.add(made);
  draw(made);
  new ResizeObserver(() => resize(made)).observe(box);
}

function draw(made) {
  made.chart?.destroy();
  const { xs, lines } = made.spec;
  made.chart = new uPlot(options(made), [xs, ...lines.map((line) => line.values)], made.box);
}

function resize({ box, chart, spec }) {
  const width = Math.floor(box.clientWidth);
  if (width > 0 && width !== chart.width) chart.setSize({ width, height: spec.height ?? HEIGHT });
}

function options({ box, spec }) {
  const zone = ZONES[root.dataset.zone];
  return {
    width: Math.floor(box.clientWidth) || 320,
    height: spec.height ?? HEIGHT,
    ...(zone ? { tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone) } : {}),
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: true, live: true },
    scales: { x: { time: Boolean(spec.isTime), ...(spec.xRange ? { range: spec.xRange } : {}) }, y: spec.yRange ? { range: spec.yRange } : {} },
    axes: [axis({ ...(spec.xValues || spec.isTime ? { values: spec.xValues ?? clockMarks } : {}), ...(spec.xSplits ? { splits: () => spec.xSplits } : {}), ...(spec.isTime ? { incrs: TIME_STEPS } : {}) }), axis({ size: 58, ...(spec.yValues ? { values: spec.yValues } : {}) })],
    series: [{ label: spec.xLabel ?? "", value: spec.xText ?? ((_, at) => (at === null ? "—" : spec.isTime ? instant(new Date(at * 1000), root.dataset.zone, "minute") : String(at))) }, ...spec.lines.map((line) => series(line, spec))],
  };
}

/** The marks of a time axis: the clock, and the day where one begins. */
function clockMarks(_chart, splits, _axis, _space, step) {
  return splits.map((at) => clockMark(at, step >= DAY));
}

/** The mark at Unix seconds: the clock, or the day where one begins. */
export function clockMark(at, isDay = false) {
  const text = instant(new Date(at * 1000), root.dataset.zone, "minute");
  return isDay || text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
}

function series(line, spec) {
  const stroke = color(line.color);
  return {
    label: line.label,
    stroke,
    width: line.bars ? 1 : 1.6,
    dash: line.dash,
    spanGaps: false,
    fill: line.bars || line.fill ? `${stroke}${line.bars ? "99" : "22"}` : undefined,
    paths: line.bars ? uPlot.paths.bars({ size: [line.align ? 0.38 : 0.8, 60], align: line.align ?? 0 }) : line.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
    points: { show: false },
    value: (_, value) => (value === null || value === undefined ? "—" : (spec.text ?? String)(value)),
  };
}

function axis(given) {
  return {
    stroke: color("--muted"),
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: color("--line"), width: 1 },
    ticks: { stroke: color("--line"), width: 1, size: 4 },
    ...given,
  };
}

document.addEventListener("preference", () => plots.forEach(draw));
