/**
 * Sends the form marked `data-post-now` as soon as the page is there: an answer that the browser carries to the
 * LMS. Its button stays for browsers without scripts, and for a second try when the network fails.
 *
 * Only on a first visit: who reloads this page, or comes back to it, must not send it again unasked.
 */
const [navigation] = performance.getEntriesByType("navigation");
const form = document.querySelector("form[data-post-now]");
if (form && navigation?.type === "navigate") form.submit();
