/* One stream of events for all tabs of a browser: one tab leads and shares what it hears, the others listen to it.

   A browser opens few connections to one host, over all its tabs, so a stream a tab would soon starve the pages. */

const HIDDEN_MS = 60_000;
const REFUSED_MS = 30_000;

let topics = ["signals"];
let name = "signalbook-stream";
let channel = null;
let [onChange, onState] = [() => {}, () => {}];
let state = ""; // until it is known whether the stream opens
let lastId = "";
let source = null;
let stay = null; // aborted when this tab no longer wants to hear
let timer = null;

/** Call `changed(topic, data)` when something may have changed, without arguments when it is not known what, and
    `stated("live" | "reconnecting" | "away")` when the stream's state does. Tabs of the same topics share a stream. */
export function listen(changed, stated, wanted = topics) {
  [onChange, onState, topics] = [changed, stated, wanted];
  name = `signalbook-stream ${topics.join(" ")}`;
  channel = navigator.locks && "BroadcastChannel" in window ? new BroadcastChannel(name) : null; // not over plain http
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
  navigator.locks.request(name, { signal }, () => new Promise((release) => {
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
  const asked = new URLSearchParams({ topics: topics.join(",") });
  if (lastId) asked.set("last_event_id", lastId);
  source = new EventSource(`/api/stream?${asked}`);
  source.onopen = () => share({ state: "live", isChange: true }); // what came before it opened is not known
  source.onerror = onError;
  source.addEventListener("resync", (event) => share({ state: "live", isChange: true, id: event.lastEventId }));
  for (const topic of new Set(topics.map((each) => each.split(":")[0]))) {
    source.addEventListener(topic, (event) => {
      share({ state: "live", isChange: true, id: event.lastEventId, topic, data: JSON.parse(event.data) });
    });
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
  if (message.isChange) onChange(message.topic, message.data);
}
