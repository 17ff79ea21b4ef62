/**
 * <form data-open-in-tab> (macro `open_in_tab`): the page opens in a new tab by a one-time link, which is made here,
 * in the frame, because the tab does not see the frame's cookie.
 *
 * The tab is opened at once, within the click, or browsers take it for an unwanted one. Where none can be opened
 * (apps, strict frames), the form goes its way without script: a page with the link.
 */
async function open(form) {
  const tab = window.open("about:blank", "_blank");
  if (!tab) return form.submit();
  tab.opener = null;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { Accept: "application/json" },
    });
    if (!answer.ok) throw new Error(answer.status);
    tab.location.replace(new URL((await answer.json()).address, window.location.href));
  } catch {
    tab.close();
    form.submit(); // the answer says what is wrong
  }
}

document.querySelectorAll("form[data-open-in-tab]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open(form);
  });
});
