/**
 * The end of a dynamic registration: tells the LMS that opened this page, in a frame or in a new tab, that it may
 * go on (Dynamic Registration 1.0, 3.7). Not before somebody has read the next clicks and pressed the button:
 * an LMS removes the frame at once. The page itself stays, for an LMS that does not listen.
 *
 * The message goes to any origin: it says nothing, and the LMS's pages may stand on another host than its
 * configuration.
 */
const place = document.querySelector("[data-registration-done]");
const button = place.querySelector("button");
const others = [window.opener, window.parent].filter((other) => other && other !== window);

if (others.length === 0) button.hidden = true;
button.addEventListener("click", () => {
  for (const other of others) other.postMessage({ subject: "org.imsglobal.lti.close" }, "*");
});
