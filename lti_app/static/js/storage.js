/**
 * Keeps a value in the LMS's page, for launches in browsers that refuse cookies in frames.
 *
 * LTI Client Side postMessages 0.1 and LTI postMessage Storage 0.1: messages {subject, message_id, …} to a frame of
 * the LMS, answered by {subject + ".response", message_id, …}. The value goes only to windows of `origin` (that of the
 * OIDC authorization address): the browser delivers it to no other, and answers of others are not heard. "*" is
 * used for one question only, where to send it (`lti.capabilities`), because the page around us may be at another
 * address than the authorization endpoint.
 */
const PREFIXES = ["", "org.imsglobal."]; // the drafts' names, which some platforms still speak
const AGAIN = 250; // a frame that is still loading loses what comes too early
const ANSWER = 1000;
const DISCOVER = 1500;
const PATIENCE = 3500; // all in all: somebody is waiting, and some apps never answer

/** The window that holds us: the frame's parent or, in a tab that the LMS opened, its opener. */
const host = window.parent === window ? window.opener : window.parent;

function frameNamed(name) {
  if (!host || !name || name === "_parent") return host;
  try { return host.frames[name] || null; } catch { return null; } // no frame of that name, across origins
}

const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Post until answered. Rejects on an error of the platform and after `milliseconds`. */
function ask(frame, origin, message, milliseconds) {
  return new Promise((resolve, reject) => {
    const id = newId();
    const post = () => frame.postMessage({ ...message, message_id: id }, origin);
    const listen = (event) => {
      const answer = event.data;
      if (origin === "*" ? event.source !== frame : event.origin !== origin) return;
      if (answer?.subject !== `${message.subject}.response` || answer.message_id !== id) return;
      finish(() => (answer.error ? reject(new Error(answer.error.code)) : resolve(answer)));
    };
    const finish = (settle) => {
      clearInterval(again);
      clearTimeout(late);
      window.removeEventListener("message", listen);
      settle();
    };
    window.addEventListener("message", listen);
    const again = setInterval(post, AGAIN);
    const late = setTimeout(() => finish(() => reject(new Error("no answer"))), milliseconds);
    post();
  });
}

/** The place that a platform's list of messages names; throws when it keeps nothing. */
function placeIn(answer, asked) {
  const find = (name) =>
    answer.supported_messages.find((one) => PREFIXES.some((prefix) => one.subject === prefix + name));
  const put = find("lti.put_data");
  const get = find("lti.get_data");
  return { frame: put.frame ? frameNamed(put.frame) : asked, put: put.subject, get: get.subject };
}

async function discovered(target, origin) {
  const announced = frameNamed(target);
  const questions = PREFIXES.flatMap((prefix) => {
    const message = { subject: `${prefix}lti.capabilities` };
    const asked = [[host, "*"]];
    if (announced && announced !== host) asked.push([announced, origin]);
    return asked.map(([frame, to]) => ask(frame, to, message, DISCOVER).then((answer) => placeIn(answer, frame)));
  });
  try { return [await Promise.any(questions)]; } catch { return []; }
}

/** Where to try, best first: what the platform says now, what it announced, and the window around us. */
async function places(target, origin) {
  const usual = { put: "lti.put_data", get: "lti.get_data" };
  const all = [
    ...(await discovered(target, origin)),
    { frame: frameNamed(target), ...usual },
    { frame: host, ...usual },
  ];
  return all.filter((one, index) =>
    one.frame && all.findIndex((other) => other.frame === one.frame && other.put === one.put) === index);
}

async function firstThat({ target, origin }, work) {
  if (!host || !origin) throw new Error("no platform around");
  const end = performance.now() + PATIENCE;
  for (const place of await places(target, origin)) {
    const left = end - performance.now();
    if (left <= 0) break;
    const send = (subject, message) => ask(place.frame, origin, { subject, ...message }, Math.min(ANSWER, left));
    try { return await work(place, send); } catch { /* the next place */ }
  }
  throw new Error("no platform storage");
}

/** Keep `value` under `key`, and read it back. Rejects when no place does both. */
export const keep = (storage, key, value) =>
  firstThat(storage, async (place, send) => {
    await send(place.put, { key, value });
    const answer = await send(place.get, { key });
    if (answer.value !== value) throw new Error("another value");
  });

/** The value under `key`, which is then forgotten there. Rejects when no place has one. */
export const recall = (storage, key) =>
  firstThat(storage, async (place, send) => {
    const { value } = await send(place.get, { key });
    if (typeof value !== "string" || value === "") throw new Error("no value");
    send(place.put, { key, value: null }).catch(() => {}); // it is of use only once: nobody waits for this
    return value;
  });
