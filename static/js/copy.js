/* Buttons that copy the text of another element. */

const SAID_MS = 1600;

/** Show the copy buttons below `within`; those that come later without `hidden` work all the same. */
export function offerCopies(within = document) {
  for (const button of within.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
});

async function copy(button) {
  if (button.dataset.isSaying) return;
  const source = document.getElementById(button.dataset.copy);
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // No permission, or no secure context: mark the text, so that one key press copies it.
    getSelection().selectAllChildren(source);
    if (source !== button) button.textContent = "Press Ctrl+C";
  }
  button.dataset.isSaying = "yes"; // the button may itself be what is copied
  setTimeout(() => {
    button.textContent = words;
    delete button.dataset.isSaying;
  }, SAID_MS);
}
