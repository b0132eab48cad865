// Pages that are watched are drawn anew by the server; without this they are as they were when loaded.
'use strict';
(() => {
  const live = document.getElementById('live');
  if (!live || !window.EventSource) {
    return;
  }
  const note = document.querySelector('.live');
  let waiting = null;
  // Whoever is about to press a button, or marks some text, is not disturbed.
  const busy = () => live.contains(document.activeElement) && document.activeElement.matches('button, input, select, a')
    || (window.getSelection() && !window.getSelection().isCollapsed && live.contains(window.getSelection().anchorNode));
  const draw = () => {
    if (waiting === null || busy()) {
      return;
    }
    const places = [...live.querySelectorAll('.wide')].map((e) => e.scrollLeft);
    live.innerHTML = waiting; // from our own origin, escaped there
    [...live.querySelectorAll('.wide')].forEach((e, i) => { e.scrollLeft = places[i] || 0; });
    waiting = null;
  };
  const say = (text) => {
    note.textContent = text;
    note.hidden = false;
  };
  const watch = () => {
    const source = new EventSource(live.dataset.live);
    source.addEventListener('page', (event) => {
      waiting = event.data;
      draw();
    });
    source.onopen = () => say('Live');
    source.onerror = () => {
      say('Not live: the service does not answer');
      // Browsers try again by themselves only where no answer came, not where it was a refusal.
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(watch, 5000);
      }
    };
  };
  watch();
  document.addEventListener('focusout', () => setTimeout(draw, 0));
  document.addEventListener('selectionchange', () => setTimeout(draw, 0));
})();
