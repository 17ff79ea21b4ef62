/**
 * Inside an LMS frame: tells the parent how tall this page is, so that there is one scroll bar, not two.
 *
 * Message: {subject: "lti.frameResize", height} (pixels) as JSON text, which old listeners need and new ones
 * accept; an LMS without a listener ignores it. It goes to any parent origin because a height is no secret and
 * the LMS's origin is not ours to guess.
 */
if (window.parent !== window) {
  document.documentElement.classList.add("framed");
  let sent = 0;

  const send = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    // A pixel more or less is rounding; answering it could make parent and page chase each other.
    if (Math.abs(height - sent) < 2) return;
    sent = height;
    window.parent.postMessage(JSON.stringify({ subject: "lti.frameResize", height }), "*");
  };

  new ResizeObserver(send).observe(document.body);
  window.addEventListener("load", send);

  // After a click inside the frame the LMS stays where it was, somewhere below: show the new page's top. Not
  // after the launch itself, when the person may be reading something else of the LMS's page.
  if (!window.location.hash && document.referrer.startsWith(window.location.origin)) {
    window.addEventListener("load", () => {
      window.parent.postMessage(JSON.stringify({ subject: "lti.scrollToTop" }), "*");
      document.documentElement.scrollIntoView();
    });
  }
}
