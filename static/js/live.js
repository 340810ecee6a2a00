// Keeps the figures of the page "Live" fresh by server-sent events. While they do not come, it
// says so and fetches the figures every ten seconds.
"use strict";

(() => {
  const slots = document.querySelector("[data-live]");
  if (!slots || !window.EventSource) return;

  const GRACE_MS = 5000;
  const POLL_MS = 10000;
  const notice = document.getElementById("connection-notice");
  let source = null;
  let graceTimer = 0;
  let pollTimer = 0;

  function show(html) {
    window.glb.swap(html);
  }

  // Numbers change too often to be read out; a change of state is news.
  function announceChange(slot, before) {
    const after = document.getElementById(`figures-${slot}`);
    if (!before || !after || before === after.dataset.stateWord) return;
    const label = document.getElementById(`label-${slot}`);
    window.glb.announce(`${label ? label.textContent : "Slot"}: ${after.dataset.stateWord}`);
  }

  function onCard(event) {
    let card;
    try {
      card = JSON.parse(event.data);
    } catch {
      return;
    }
    const old = document.getElementById(`figures-${card.slot}`);
    if (!old) return;
    const before = old.dataset.stateWord;
    show(card.html);
    announceChange(card.slot, before);
  }

  async function poll() {
    for (const element of slots.querySelectorAll("[data-slot]")) {
      const slot = element.dataset.slot;
      try {
        const answer = await fetch(`/live/card/${slot}`, { redirect: "error" });
        // Signed out meanwhile: the page leads to the sign-in.
        if (answer.status === 401) window.location.reload();
        if (answer.ok) window.glb.swap(await answer.text(), [`figures-${slot}`]);
      } catch {
        // The notice is already shown; the next round tries again.
      }
    }
    if (source.readyState === EventSource.CLOSED) open();
  }

  function onLost() {
    if (graceTimer || pollTimer) return;
    graceTimer = setTimeout(() => {
      graceTimer = 0;
      notice.hidden = false;
      window.glb.announce("Connection lost.");
      pollTimer = setInterval(poll, POLL_MS);
    }, GRACE_MS);
  }

  function onBack() {
    if (pollTimer) window.glb.announce("Connection is back.");
    clearTimeout(graceTimer);
    clearInterval(pollTimer);
    graceTimer = 0;
    pollTimer = 0;
    notice.hidden = true;
  }

  function open() {
    if (source) source.close();
    source = new EventSource(slots.dataset.live);
    source.addEventListener("open", onBack);
    source.addEventListener("error", onLost);
    source.addEventListener("card", onCard);
  }

  // A browser allows six connections to a server: a tab that nobody looks at gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      open();
      return;
    }
    onBack();
    source.close();
  });

  open();
})();
