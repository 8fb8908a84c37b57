/* The connection page: copy the address, wait for the first alert, ask before an address is revoked. */

import { age } from "./format.js";
import { offerCopies } from "./copy.js";

const POLL_MS = 2000;
const hearing = document.querySelector("[data-hearing]");
const dialog = document.querySelector("#revoke");

async function listen() {
  if (document.hidden) return;
  const { stream, since } = hearing.dataset;
  try {
    const query = new URLSearchParams({ stream, since });
    const answer = await fetch(`/api/automated-signals/connection?${query}`, { signal: AbortSignal.timeout(POLL_MS * 2) });
    const { alert } = await answer.json();
    if (alert) sayHeard(alert, stream);
  } catch {
    // The next poll tries again; the page goes on waiting.
  }
}

/** Turn the waiting line into the good news, with how long it took. */
function sayHeard(alert, stream) {
  clearInterval(timer);
  const [state, mark, detail, link] = ["span", "span", "span", "a"].map((tag) => document.createElement(tag));
  state.className = "state state-pass";
  mark.className = "state-mark";
  mark.ariaHidden = "true";
  state.append(mark, "The first alert is here.");
  const stored = `stored ${Math.round(alert.stored_after_seconds * 1000)} ms after it came`;
  const waited = Number(hearing.dataset.since) ? `${age(alert.after_seconds)} after the address was made, ` : "";
  detail.textContent = `Stream ${stream}: ${waited}${stored}.`;
  link.href = `/automated-signals-telemetry?delivery=${alert.id}`;
  link.textContent = "Look at it";
  hearing.replaceChildren(state, detail, link);
  hearing.dataset.heard = "";
}

function onSubmit(event) {
  const form = event.target.closest?.("form[data-revoke]");
  if (!form || form.dataset.isConfirmed) return;
  event.preventDefault();
  dialog.querySelector("[data-revoke-name]").textContent = form.dataset.revoke;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "revoke") return;
    form.dataset.isConfirmed = "yes";
    form.requestSubmit();
  }, { once: true });
  dialog.showModal();
}

const isKnown = "heard" in hearing.dataset || "silent" in hearing.dataset;
const timer = isKnown ? null : setInterval(listen, POLL_MS);
if (timer) listen();
document.addEventListener("submit", onSubmit);
offerCopies();
