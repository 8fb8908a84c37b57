/* The coverage map, hour by hour, and the button that fills what is missing. */

import { formToken } from "./base.js";
import { count } from "./format.js";
import { get } from "./market_api.js";

const DAYS = 14;

/** Draw the map of a series into `table`. */
export async function showCoverage(table, series) {
  const { hours } = await get("coverage", new URLSearchParams([...series, ["days", DAYS]]));
  const days = new Map();
  for (const { time, state } of hours) {
    const at = new Date(time * 1000).toISOString();
    if (!days.has(at.slice(0, 10))) days.set(at.slice(0, 10), new Map());
    days.get(at.slice(0, 10)).set(Number(at.slice(11, 13)), state);
  }
  const head = line(["UTC", ...Array.from({ length: 24 }, (_, hour) => (hour % 3 ? "" : String(hour)))]);
  const body = [...days].reverse().map(([day, states]) => {
    const row = line([day]);
    for (let hour = 0; hour < 24; hour += 1) row.append(cell(states.get(hour), `${day} ${String(hour).padStart(2, "0")}:00 UTC`));
    return row;
  });
  const [thead, tbody] = ["thead", "tbody"].map((name) => document.createElement(name));
  thead.append(head);
  tbody.append(...body);
  table.replaceChildren(table.caption, thead, tbody);
}

/** Have the gateway's history fill a series; `result` says what it brought. True when there was an answer. */
export async function fill(button, result, contract, timeframe) {
  button.disabled = true;
  result.textContent = "Asking the gateway…";
  try {
    const answer = await fetch("/api/market-data/fill", {
      method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": formToken() },
      body: JSON.stringify({ contract, timeframe, days: DAYS }),
    });
    const found = await answer.json();
    result.textContent = answer.ok ? `${count(found.bars)} bars received, ${count(found.changed)} stored.` : found.detail;
    return answer.ok;
  } catch {
    result.textContent = "No answer; try again.";
    return false;
  } finally {
    button.disabled = false;
  }
}

function cell(state, hour) {
  const found = document.createElement("td");
  if (state) {
    found.className = `cell-${state}`;
    found.title = `${hour}: ${state}`;
  }
  return found;
}

function line(texts) {
  const row = document.createElement("tr");
  for (const text of texts) {
    const found = document.createElement(text ? "th" : "td");
    found.textContent = text;
    row.append(found);
  }
  return row;
}
