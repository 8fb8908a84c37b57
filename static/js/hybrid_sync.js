/* The page of hybrid sync: current as changes come; a cycle, an import or a revocation on demand. */

import { formToken } from "./base.js";
import { keepLive, patchParts } from "./live.js";

const SECONDS = 20;
const said = document.querySelector("[data-said]");
const progress = document.querySelector("[data-progress]");
const drop = document.querySelector("[data-drop]");
const file = document.querySelector("[data-file]");

const refresh = keepLive(SECONDS, patchParts);

/** Send work to the service, with progress, all work buttons off meanwhile; the answer, or null when it was refused. */
async function work(path, body, headers = {}) {
  const buttons = document.querySelectorAll("[data-run], [data-file], [data-revoke]");
  buttons.forEach((button) => (button.disabled = true));
  if (progress) progress.hidden = false;
  try {
    const answer = await fetch(path, { method: "POST", body, headers: { "X-CSRFToken": formToken(), Accept: "application/json", ...headers } });
    const told = await answer.json();
    if (answer.ok) {
      refresh(); // a cycle that changes nothing is told by no stream
      return told;
    }
    say(told.detail ?? `answered ${answer.status}`, true);
  } catch {
    say("No answer from the service; nothing is lost by trying again.", true);
  } finally {
    buttons.forEach((button) => (button.disabled = false));
    if (progress) progress.hidden = true;
  }
  return null;
}

function say(text, isBad = false) {
  said.textContent = text;
  said.classList.toggle("stale", isBad);
}

const postJson = (path, value) => work(path, JSON.stringify(value), { "Content-Type": "application/json" });

async function run(isDry) {
  const told = await postJson("/api/hybrid-sync/run", { dry_run: isDry });
  if (told) say(describe(told.report));
}

function describe(report) {
  const head = report.dry_run ? "Dry run, nothing written: " : "";
  const health = `health ${report.health_before ?? "—"} → ${report.health_after ?? "—"}`;
  return `${head}gaps ${report.gaps_before} → ${report.gaps_after}, ${report.minutes_healed} minutes healed, ${health}.`;
}

/** An export is longer than a request may be, so it goes packed. */
async function importLog(log) {
  const stream = encodeURIComponent(document.querySelector("#sync-stream").value.trim() || "main");
  const packed = await new Response(log.stream().pipeThrough(new CompressionStream("gzip"))).blob();
  const told = await work(`/api/automated-signals/import?stream=${stream}`, packed, { "Content-Type": "application/gzip" });
  if (!told) return;
  const more = told.capped ? " The file has 2,000 rows: export the days before it, too." : "";
  say(`${told.rows} rows: ${told.new} new, ${told.known} known, ${told.quarantined} not understood.${more}`);
}

async function revoke(button) {
  const stream = new URLSearchParams(location.search).get("stream") || document.querySelector("#sync-stream").value;
  const told = await postJson("/api/hybrid-sync/revoke", { trade_id: button.dataset.revoke, stream });
  if (told) say(`${told.revoked} repairs revoked; the signal stands as it was sent.`);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-run], [data-revoke]");
  if (button?.dataset.revoke) revoke(button);
  else if (button) run(button.dataset.run === "dry");
});
file?.addEventListener("change", () => file.files[0] && importLog(file.files[0]).then(() => (file.value = "")));
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop?.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.toggleAttribute("data-over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) importLog(event.dataTransfer.files[0]);
  });
}
