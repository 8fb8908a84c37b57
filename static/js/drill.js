/* Says how the outage drill goes. It asks /readyz, which answers without a database; this page itself cannot meanwhile. */

const says = document.querySelector("[data-drill-says]");
const forms = [...document.querySelectorAll("[data-drill] form")];

const disable = (isOff) => forms.forEach((form) => { form.querySelector("button").disabled = isOff; });

async function look() {
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(3000) });
    const drill = (await answer.json()).checks.drill;
    if (!drill || drill.detail === "none is running") return;
    if (says.textContent !== drill.detail) says.textContent = drill.detail;
    disable(drill.status === "warn");
  } catch {
    says.textContent = "no answer from the service";
  }
}

/** Stay on this page: to load it anew would need the database that is taken away. */
async function begin(event) {
  event.preventDefault();
  disable(true);
  const body = new URLSearchParams(new FormData(event.target));
  const answer = await fetch(event.target.action, { method: "POST", body, redirect: "manual" });
  if (answer.type === "opaqueredirect") return look();
  disable(false);
  const problem = await answer.json().catch(() => ({}));
  says.textContent = problem.detail ?? "The drill was refused; reload the page and try again.";
}

forms.forEach((form) => form.addEventListener("submit", begin));
look();
setInterval(() => document.hidden || look(), 1000);
