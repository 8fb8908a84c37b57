/* The charts of the analytics page; their figures stand in the tables beside them. */

import { count, rMultiple } from "./format.js";
import { plot } from "./plots.js";

const region = document.querySelector("[data-analytics]");
const boxOf = (name) => region.querySelector(`[data-plot="${name}"]`);

function bars(name, rows, lines) {
  const xs = rows.map((_, place) => place);
  plot(boxOf(name), {
    xs, height: 190, text: count, lines,
    xRange: [-0.6, Math.max(rows.length - 0.4, 0.6)],
    xSplits: xs,
    xValues: (_, splits) => splits.map((at) => (rows.length > 14 && at % 2 ? "" : rows[at]?.bucket.split("–")[0] ?? "")),
    xText: (_, at) => (at === null ? "—" : rows[at]?.bucket ?? "—"),
    yRange: (_, _low, high) => [0, Math.max(1, high * 1.1)],
    yValues: (_, values) => values.map((value) => (Number.isInteger(value) ? count(value) : "")),
  });
}

const trades = (rows, color) => [{ label: "Trades", values: rows.map((row) => row.trades), color, bars: true }];

function equity({ be, no_be: noBe }) {
  const xs = [...new Set([...be.history.times, ...noBe.history.times])].sort((one, other) => one - other);
  const along = ({ times, equity: values }) => {
    const known = new Map(times.map((at, place) => [at, values[place]]));
    let last = null;
    return xs.map((at) => (last = known.get(at) ?? last));
  };
  plot(boxOf("equity"), {
    xs, isTime: true, xLabel: "Exit", height: 260, text: rMultiple, yValues: (_, values) => values.map((value) => rMultiple(value)),
    lines: [
      { label: "No-BE", values: along(noBe.history), color: "--up", stepped: true },
      { label: "BE", values: along(be.history), color: "--accent", dash: [6, 4], stepped: true },
    ],
  });
}

function targets(rows) {
  const xs = rows.map((row) => row.target);
  const line = (leg, part) => rows.map((row) => row[leg][part]);
  plot(boxOf("targets"), {
    xs, xLabel: "Target", height: 260, text: rMultiple, xSplits: xs, xRange: [0.5, 20.5],
    xValues: (chart, splits) => splits.map((at) => (chart.width < 520 && at % 5 ? "" : `${at}R`)), xText: (_, at) => (at === null ? "—" : `${at}R`),
    yValues: (_, values) => values.map((value) => rMultiple(value)),
    lines: [
      { label: "No-BE", values: line("no_be", "mean"), color: "--up" },
      { label: "No-BE low", values: line("no_be", "low"), color: "--up", dash: [2, 4] },
      { label: "No-BE high", values: line("no_be", "high"), color: "--up", dash: [2, 4] },
      { label: "BE", values: line("be", "mean"), color: "--accent", dash: [8, 4] },
    ],
  });
}

async function draw() {
  const answer = await fetch(region.dataset.analytics, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20_000) });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  const { analytics } = await answer.json();
  equity(analytics.legs);
  for (const [name, color] of [["be", "--accent"], ["no_be", "--up"]]) {
    bars(`results-${name}`, analytics.legs[name].results, trades(analytics.legs[name].results, color));
    bars(`mfe-${name}`, analytics.legs[name].mfe, trades(analytics.legs[name].mfe, color));
  }
  bars("mae", analytics.mae, [
    { label: "Went to +1R", values: analytics.mae.map((row) => row.went_1r), color: "--up", bars: true, align: -1 },
    { label: "Did not", values: analytics.mae.map((row) => row.did_not), color: "--down", bars: true, align: 1 },
  ]);
  targets(analytics.targets);
  region.dataset.isReady = "yes";
}

if (region) {
  await draw().catch(() => {
    for (const box of region.querySelectorAll("[data-plot]")) box.textContent = "The chart could not be loaded; the figures stand in the tables.";
  });
}
