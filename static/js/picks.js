/* Ticked rows of the list: how many there are, and `x` to tick the row that was walked to. */

import { onKey } from "./base.js";
import { selected } from "./rows.js";

const menu = document.querySelector("[data-deleting]");

/** Count the ticked rows beside the button that would delete them; it works only when there are some. */
export function offerPicks() {
  if (!menu) return;
  document.addEventListener("change", (event) => event.target.matches("[data-pick]") && tell());
  document.addEventListener("rows", tell);
  onKey("x", "tick the row", () => {
    const box = selected()?.querySelector("[data-pick]");
    if (!box) return;
    box.checked = !box.checked;
    tell();
  });
  tell();
}

function tell() {
  const ticked = document.querySelectorAll("[data-pick]:checked").length;
  menu.querySelector("[data-picked]").textContent = ticked ? String(ticked) : "";
  menu.querySelector("button").disabled = ticked === 0;
}
