// LTI postMessage Storage 0.1, the platform's side. With data-frame, that frame keeps the data and this page only says
// so. With data-foreign it is an impostor at another origin: it tells the tool's frames what they might wait for.
const { tool: toolUrl, frame, foreign } = document.currentScript.dataset;
const toolOrigin = new URL(toolUrl).origin;
const kept = new Map();
window.heard = [];

const messages = {
  "lti.capabilities": () => ({
    supported_messages: ["lti.put_data", "lti.get_data"].map((subject) => (frame ? { subject, frame } : { subject })),
  }),
  "lti.put_data": ({ key, value }) => {
    if (value === null) kept.delete(key);
    else kept.set(key, value);
    return { key, value };
  },
  "lti.get_data": ({ key }) => ({ key, value: kept.get(key) ?? null }),
};

addEventListener("message", (event) => {
  const { data } = event;
  if (!(data?.subject in messages) || event.origin !== toolOrigin) return;
  window.heard.push(data);
  if (frame && data.subject !== "lti.capabilities") return;
  const answer = { subject: `${data.subject}.response`, message_id: data.message_id };
  event.source.postMessage({ ...answer, ...messages[data.subject](data) }, event.origin);
});

if (foreign !== undefined) {
  setInterval(() => {
    for (let index = 0; index < parent.length; index += 1) {
      for (const subject of Object.keys(messages)) {
        parent[index].postMessage({ subject: `${subject}.response`, ...messages[subject]({ key: "k", value: "v" }) }, "*");
      }
    }
  }, 100);
}
