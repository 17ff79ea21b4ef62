/**
 * <div data-wait-url>: something is being done elsewhere. The address answers {"done": false, "text": "…"};
 * the text goes into [data-wait-text], and when it is done the page is loaded again.
 * Without script, the page has a link that loads it again.
 */
const EVERY = 2000;
const LONGEST = 15 * 60 * 1000;

const GOING = 5000;
let went = -GOING;
// Whoever has just pressed something else, or is writing, is not interrupted.
window.addEventListener("beforeunload", () => { went = performance.now(); });
const isBusy = () => performance.now() - went < GOING || Boolean(document.activeElement?.matches("input, select, textarea"));

function wait(box) {
  const text = box.querySelector("[data-wait-text]");
  const until = Date.now() + LONGEST;
  async function look() {
    try {
      const answer = await fetch(box.dataset.waitUrl, { headers: { Accept: "application/json" } });
      if (answer.status >= 400 && answer.status < 500) return; // the page has expired: nothing to wait for
      const { done, text: words } = await answer.json();
      if (done && !isBusy()) return window.location.reload();
      if (text && text.textContent !== words) text.textContent = words;
    } catch {
      // no network now: look again
    }
    if (Date.now() < until) window.setTimeout(look, EVERY);
  }
  window.setTimeout(look, EVERY);
}

document.querySelectorAll("[data-wait-url]").forEach(wait);
