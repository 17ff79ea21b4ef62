/**
 * Between /lti/login and the LMS: <div data-carry …> of launches/carry.html.
 *
 * Goes on to the LMS when the browser kept our cookie or the LMS keeps our secret; else to our own address that
 * offers a new tab or says which setting to change. The LMS's single-use hint is not spent before that.
 */
import { keep } from "./storage.js";

const { address, checked, key, secret, ...storage } = document.querySelector("[data-carry]").dataset;

async function cookieKept() {
  const answer = await fetch(checked, { headers: { Accept: "application/json" } });
  return answer.ok && (await answer.json()).kept;
}

try {
  if (!(await cookieKept().catch(() => false))) await keep(storage, key, secret);
  window.location.replace(address);
} catch {
  window.location.replace(checked);
}
