// One tool link is open at a time. Opening always launches anew: a launch cannot be loaded twice.
const tool = document.currentScript.dataset.tool;

function launch(holder, address, title) {
  const frame = document.createElement("iframe");
  frame.src = address;
  frame.title = title;
  frame.allow = "fullscreen; autoplay; clipboard-write";
  holder.replaceChildren(frame);
}

for (const link of document.querySelectorAll("details.link")) {
  const holder = link.querySelector(".frame");
  const open = () => launch(holder, link.dataset.launch, link.dataset.title);
  link.addEventListener("toggle", () => {
    if (!link.open) {
      holder.replaceChildren();
      return;
    }
    for (const other of document.querySelectorAll("details.link[open]")) {
      if (other !== link) other.open = false;
    }
    open();
    history.replaceState(null, "", "#" + link.id);
  });
  link.querySelector(".again").addEventListener("click", open);
  if (location.hash === "#" + link.id) link.open = true;
}

for (const holder of document.querySelectorAll(".frame[data-launch]")) {
  launch(holder, holder.dataset.launch, holder.dataset.title);
}

// org.imsglobal.lti.close: the tool has registered itself; show it in the list.
const tools = document.currentScript.dataset.tools;
addEventListener("message", (event) => {
  const close = event.data?.subject === "org.imsglobal.lti.close";
  if (!tools || !close || event.origin !== new URL(tool).origin) return;
  const query = new URLSearchParams(location.search);
  query.delete("add");
  location.assign(`${tools.split("?")[0]}?${query}`);
});

// lti.frameResize: the tool says how high its page is. Only the open frame and the tool's origin count.
addEventListener("message", (event) => {
  let message = event.data;
  if (typeof message === "string") {
    try { message = JSON.parse(message); } catch { return; }
  }
  if (event.origin !== new URL(tool).origin || message?.subject !== "lti.frameResize") return;
  const height = Number.parseInt(message.height, 10);
  for (const frame of document.querySelectorAll(".frame iframe")) {
    if (frame.contentWindow === event.source && height > 0) {
      frame.style.height = Math.min(Math.max(height, 600), 20000) + "px";
    }
  }
});
