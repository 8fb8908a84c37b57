/* The market data API as the page asks it. */

const PATIENCE_MS = 8000;

/** The answer of `/api/market-data/<path>`; throws when there is none. */
export async function get(path, parameters = "") {
  const answer = await fetch(`/api/market-data/${path}?${parameters}`, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return answer.json();
}

/** Arrays of columns as one object a bar. */
export function rows(columns) {
  return columns.time.map((time, at) => ({
    time, open: columns.open[at], high: columns.high[at], low: columns.low[at], close: columns.close[at], volume: columns.volume[at],
  }));
}

/** The open bar, [time, open, high, low, close, volume], as an object. */
export function formingBar([time, open, high, low, close, volume]) {
  return { time, open, high, low, close, volume };
}
