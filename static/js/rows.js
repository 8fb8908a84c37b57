/* Rows of a list: moving through them by keys, and changing them without moving what is being looked at. */

import { onKey } from "./base.js";
import { isSame } from "./live.js";

const box = document.querySelector("[data-rows]");
const body = box?.querySelector("tbody");

export const rows = () => (body ? [...body.rows] : []);
export const selected = () => body?.querySelector('tr[aria-selected="true"]') ?? null;

/** Mark one row (or none) as the one that is looked at. */
export function select(row) {
  selected()?.removeAttribute("aria-selected");
  row?.setAttribute("aria-selected", "true");
}

/** `j` and `k` walk through the rows, `Enter` opens the row that was walked to. */
export function walkByKeys() {
  onKey("j", "next row", () => step(1));
  onKey("k", "previous row", () => step(-1));
  onKey("Enter", "open the row", (event) => {
    const target = event.target.closest("a, button, summary") ?? selected()?.querySelector("[data-open]");
    target?.click();
  });
}

function step(by) {
  const links = rows().map((row) => row.querySelector("[data-open]")).filter(Boolean);
  const held = links.findIndex((link) => link.closest("tr") === (document.activeElement.closest("tr") ?? selected()));
  const link = links[Math.max(0, Math.min(links.length - 1, held < 0 ? 0 : held + by))];
  if (!link) return;
  select(link.closest("tr"));
  link.focus({ preventScroll: true });
  keepVisible(link.closest("tr"));
}

/** Scroll the box, below its fixed head, and the window only as far as needed. */
function keepVisible(row) {
  const head = box.querySelector("thead").offsetHeight;
  if (row.offsetTop - head < box.scrollTop) box.scrollTop = row.offsetTop - head;
  const below = row.offsetTop + row.offsetHeight - box.clientHeight;
  if (below > box.scrollTop) box.scrollTop = below;
  row.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Bring our rows to the state of `fresh` rows by their ids, in their order; rows that say the same are left alone. */
export function patchRows(fresh) {
  holdStill(() => {
    const held = new Map(rows().map((row) => [row.dataset.id, row]));
    const focused = document.activeElement.closest?.("tr")?.dataset.id;
    fresh.forEach((row, place) => {
      const ours = held.get(row.dataset.id);
      const next = ours && isSame(ours, row) ? ours : document.adoptNode(row);
      if (ours && ours !== next) {
        if (ours.hasAttribute("aria-selected")) next.setAttribute("aria-selected", "true");
        if (ours.querySelector("[data-pick]")?.checked) next.querySelector("[data-pick]").checked = true;
        ours.replaceWith(next);
      }
      if (body.rows[place] !== next) body.insertBefore(next, body.rows[place] ?? null);
    });
    rows().slice(fresh.length).forEach((row) => row.remove());
    if (focused && !body.contains(document.activeElement)) {
      rows().find((row) => row.dataset.id === focused)?.querySelector("[data-open]")?.focus({ preventScroll: true });
    }
  });
}

/** Put fresh rows above ours. */
export function addAbove(fresh) {
  holdStill(() => body.prepend(...fresh.map((row) => document.adoptNode(row))));
}

/** True when the reader sees the head of the list and points at no row. */
export const isAtTop = () =>
  box.scrollTop === 0 && box.getBoundingClientRect().top >= 0 && !body.matches(":hover") && !body.contains(document.activeElement);

/** Change the rows while the first one in sight stays where it is, unless the list stands at its head. */
function holdStill(change) {
  const top = Math.max(0, box.getBoundingClientRect().top) + box.querySelector("thead").offsetHeight;
  const isMoved = box.scrollTop > 0 || box.getBoundingClientRect().top < 0;
  const anchor = isMoved ? rows().find((row) => row.getBoundingClientRect().bottom > top) : null;
  const [id, before] = [anchor?.dataset.id, anchor?.getBoundingClientRect().top];
  change();
  const now = id === undefined ? null : rows().find((row) => row.dataset.id === id);
  if (!now) return;
  const shift = now.getBoundingClientRect().top - before;
  if (box.scrollHeight > box.clientHeight) box.scrollTop += shift;
  else window.scrollBy(0, shift);
}
