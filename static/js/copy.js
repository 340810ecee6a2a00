// Copies a value. `navigator.clipboard` exists on protected lines only, so plain http selects the
// value and uses the older command.
"use strict";

(() => {
  const SHOWN_MS = 2000;

  function show() {
    for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  }

  function copyBySelection(source) {
    const selection = window.getSelection();
    const range = document.createRange();
    range.selectNodeContents(source);
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }

  async function copy(source) {
    if (window.isSecureContext && navigator.clipboard) {
      try {
        await navigator.clipboard.writeText(source.textContent);
        return true;
      } catch {
        // The browser refused; selecting the value may still be allowed.
      }
    }
    return copyBySelection(source);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (!source) return;
    const word = (await copy(source)) ? "Copied" : "Select and copy it";
    const label = button.querySelector("span");
    label.textContent = word;
    window.glb.announce(word);
    setTimeout(() => {
      label.textContent = "Copy";
      window.glb.announce("");
    }, SHOWN_MS);
  });

  document.addEventListener("glb:swapped", show);
  show();
})();
