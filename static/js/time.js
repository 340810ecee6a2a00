// Shows moments in the reader's time zone; the server's text, in UTC, becomes the tooltip.
"use strict";

(() => {
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const dated = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  });

  function localise() {
    const today = new Date().toDateString();
    for (const element of document.querySelectorAll("time:not([title])")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.title = element.textContent;
      element.textContent = (moment.toDateString() === today ? clock : dated).format(moment);
    }
  }

  document.addEventListener("glb:swapped", localise);
  localise();
})();
