// Replaces elements of the page by newer ones of the same id, without taking the focus or closing
// what is unfolded. Used by live.js and reveal.js.
"use strict";

window.glb = {
  // Puts those elements of `html` whose id is in the page in place of the old ones.
  // `ids` limits it to some of them.
  swap(html, ids) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const fresh = ids
      ? ids.map((id) => template.content.querySelector(`#${CSS.escape(id)}`))
      : Array.from(template.content.children);
    for (const element of fresh) {
      const old = element && document.getElementById(element.id);
      if (old) window.glb.replace(old, element);
    }
  },

  replace(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    for (const details of [old, ...old.querySelectorAll("details[id]")]) {
      if (details.tagName !== "DETAILS") continue;
      const twin = details === old ? fresh : fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (twin) twin.open = details.open;
    }
    old.replaceWith(fresh);
    const target = focused && document.getElementById(focused);
    if (target) target.focus({ preventScroll: true });
    document.dispatchEvent(new CustomEvent("glb:swapped"));
    return fresh;
  },

  // Says something to who cannot see the change.
  announce(text) {
    const announcer = document.getElementById("announcer");
    if (announcer) announcer.textContent = text;
  },
};
