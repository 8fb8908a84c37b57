/* Says how the outage drill goes. It asks /readyz, which answers without a database; this page itself cannot meanwhile. */

const says = document.querySelector("[data-drill-says]"); // is read aloud: changes with the phase only
const figures = document.querySelector("[data-drill-figures]");
const forms = [...document.querySelectorAll("[data-drill] form")];
const DETAIL = /^(.*?)(?: (for \d+ s more))?: (.*)$/;

const disable = (isOff) => forms.forEach((form) => { form.querySelector("button").disabled = isOff; });

function say(phase, ...counted) {
  if (says.textContent !== phase) says.textContent = phase;
  figures.textContent = counted.filter(Boolean).join(": ");
}

async function look() {
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(3000) });
    const drill = (await answer.json()).checks.drill;
    if (!drill || drill.detail === "none is running") return;
    say(...(DETAIL.exec(drill.detail)?.slice(1) ?? [drill.detail]));
    disable(drill.status === "warn");
  } catch {
    say("no answer from the service");
  }
}

/** Stay on this page: to load it anew would need the database that is taken away. */
async function begin(event) {
  event.preventDefault();
  disable(true);
  const body = new URLSearchParams(new FormData(event.target));
  try {
    const answer = await fetch(event.target.action, { method: "POST", body, redirect: "manual" });
    if (answer.type === "opaqueredirect") return look();
    const problem = await answer.json().catch(() => ({}));
    say(problem.detail ?? "The drill was refused; reload the page and try again.");
  } catch {
    say("No answer from the service; try again.");
  }
  disable(false);
}

forms.forEach((form) => form.addEventListener("submit", begin));
look();
setInterval(() => document.hidden || look(), 1000);
