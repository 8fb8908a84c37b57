/* Runs a Pine script on given bars with PineTS, a development tool, and prints the alerts it fires as JSON.
   In: {"source", "bars": [{openTime, closeTime, open, high, low, close, volume}], "everyBar": bool, "symbol": {...}} */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { PineTS } = await import(pathToFileURL(process.argv[2]).href);
const given = JSON.parse(readFileSync(0, "utf8"));

/** The bars of a timeframe in minutes, put together from those of one minute. */
function rolledUp(minutes) {
  const span = minutes * 60_000;
  const found = [];
  for (const bar of given.bars) {
    const openTime = Math.floor(bar.openTime / span) * span;
    const last = found.at(-1);
    if (last?.openTime === openTime) {
      last.high = Math.max(last.high, bar.high);
      last.low = Math.min(last.low, bar.low);
      last.close = bar.close;
      last.volume += bar.volume;
    } else {
      found.push({ ...bar, openTime, closeTime: openTime + span });
    }
  }
  return found;
}

const minutesOf = (timeframe) => ({ "1D": 1440, D: 1440 })[timeframe] ?? Number(timeframe);
const provider = {
  getMarketData: async (_ticker, timeframe) => rolledUp(minutesOf(timeframe)),
  getSymbolInfo: async () => given.symbol,
  configure: () => {},
};
const pine = new PineTS(provider, given.symbol.ticker, "1");
if (given.everyBar) pine.setAlertMode("all");
const { alerts } = await pine.run(given.source);
process.stdout.write(JSON.stringify(alerts.map(({ message, bar_index, time }) => ({ message, bar_index, time }))));
