/* Buttons that copy the text of another element. */

const SAID_MS = 1600;

/** Show the copy buttons below `within`, where the browser lets us write to the clipboard. */
export function offerCopies(within = document) {
  for (const button of within.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // No permission, or no secure context: mark the text, so that one key press copies it.
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = words), SAID_MS);
}
