// Changes the colours at once, and lets the server remember them.
"use strict";

(() => {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    if (!form.matches("[data-theme-form]") || !button) return;
    event.preventDefault();
    document.documentElement.dataset.theme = button.value;
    for (const other of form.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    const body = new URLSearchParams(new FormData(form));
    body.set("theme", button.value);
    fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => {
      window.glb.announce("The choice could not be saved.");
    });
  });
})();
