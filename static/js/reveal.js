// Shows the keys of a slot without loading the page anew, and hides them after a minute.
"use strict";

(() => {
  const SHOWN_MS = 60000;
  const timers = new Map();

  async function load(slot, query) {
    const answer = await fetch(`/live/card/${slot}${query}`, { redirect: "error" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.text();
  }

  // The keys leave the page first: hiding must not depend on the network.
  function erase(slot) {
    const addresses = document.getElementById(`addresses-${slot}`);
    if (!addresses) return;
    for (const value of addresses.querySelectorAll(".copy-value")) value.textContent = "••••••••";
    for (const button of addresses.querySelectorAll("[data-copy]")) button.remove();
  }

  async function reveal(slot, link) {
    try {
      window.glb.swap(await load(slot, "?reveal=1"), [`addresses-${slot}`]);
    } catch {
      window.location.assign(link.href);
      return;
    }
    const hide = document.getElementById(`hide-${slot}`);
    if (hide) hide.focus({ preventScroll: true });
    window.glb.announce("The keys are shown.");
    arm(slot);
  }

  async function hide(slot) {
    clearTimeout(timers.get(slot));
    timers.delete(slot);
    const hadFocus = document.activeElement && document.activeElement.id === `hide-${slot}`;
    erase(slot);
    window.glb.announce("The keys are hidden.");
    try {
      window.glb.swap(await load(slot, ""), [`addresses-${slot}`]);
    } catch {
      return;
    }
    const show = document.getElementById(`show-${slot}`);
    if (hadFocus && show) show.focus({ preventScroll: true });
  }

  function arm(slot) {
    clearTimeout(timers.get(slot));
    timers.set(slot, setTimeout(() => hide(slot), SHOWN_MS));
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-reveal], [data-hide]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.reveal) reveal(link.dataset.reveal, link);
    else hide(link.dataset.hide);
  });

  for (const element of document.querySelectorAll("[data-revealed]")) arm(element.dataset.revealed);
  // The page forgets how it was asked for: loading it anew hides the keys and repeats no message.
  if (window.location.search) {
    window.history.replaceState(null, "", window.location.pathname + window.location.hash);
  }
})();
