/* One stream of events for all tabs of a browser: one tab leads and shares what it hears, the others listen to it.

   A browser opens few connections to one host, over all its tabs, so a stream a tab would soon starve the pages. */

const ADDRESS = "/api/stream?topics=signals";
const TOPICS = ["signals", "resync"];
const NAME = "signalbook-stream";
const HIDDEN_MS = 60_000;
const REFUSED_MS = 30_000;

const channel = navigator.locks && "BroadcastChannel" in window ? new BroadcastChannel(NAME) : null; // not over plain http
let [onChange, onState] = [() => {}, () => {}];
let state = "away";
let lastId = "";
let source = null;
let stay = null; // aborted when this tab no longer wants to hear
let timer = null;

/** Call `changed()` when something may have changed, `stated("live" | "reconnecting" | "away")` when the stream's state does. */
export function listen(changed, stated) {
  [onChange, onState] = [changed, stated];
  channel?.addEventListener("message", ({ data }) => (data.ask ? source && channel.postMessage({ state }) : hear(data)));
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(stop, HIDDEN_MS);
    else start();
  });
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", () => document.hidden || start());
  if (!document.hidden) start();
}

/** Queue for the lead; whoever has it keeps it until its tab closes or is hidden for long. */
function start() {
  if (stay) return;
  stay = new AbortController();
  const { signal } = stay;
  if (!channel) return lead();
  channel.postMessage({ ask: true });
  navigator.locks.request(NAME, { signal }, () => new Promise((release) => {
    signal.addEventListener("abort", release);
    lead();
  })).catch(() => {}); // the queue was left before the lead came
}

function stop() {
  stay?.abort();
  stay = null;
  if (source) channel?.postMessage({ state: "reconnecting" });
  source?.close();
  source = null;
  hear({ state: "away" });
}

function lead() {
  source = new EventSource(lastId ? `${ADDRESS}&last_event_id=${encodeURIComponent(lastId)}` : ADDRESS);
  source.onopen = () => share({ state: "live", isChange: true }); // what came before it opened is not known
  source.onerror = onError;
  for (const topic of TOPICS) {
    source.addEventListener(topic, (event) => share({ state: "live", isChange: true, id: event.lastEventId }));
  }
}

/** The browser connects again by itself after a cut, not after a refusal. */
function onError() {
  if (source.readyState !== EventSource.CLOSED) return share({ state: "reconnecting" });
  share({ state: "away" });
  const refused = source;
  setTimeout(() => source === refused && lead(), REFUSED_MS);
}

function share(message) {
  channel?.postMessage(message);
  hear(message);
}

function hear(message) {
  if (message.id) lastId = message.id;
  if (message.state !== state) {
    state = message.state;
    onState(state);
  }
  if (message.isChange) onChange();
}
