/**
 * Remembers how far a video was watched: <video data-heartbeat-url="…"> (see the macro `video` in _ui.html).
 *
 * POSTs {position, duration, watched} in seconds every 10 s of play, on pause and end, and when the page is left.
 * `watched` = data-watched-seconds (what the server knew when it made the page) + the distinct seconds played
 * since; seeking adds nothing. Values are totals, so a lost message is made good by the next one.
 * An answer {"completed": true} shows every [data-when-complete] and hides every [data-until-complete].
 */
const BEAT = 10; // seconds of play between two messages
const FIRST_RETRY = 5_000; // milliseconds, doubled up to LAST_RETRY
const LAST_RETRY = 60_000;

function playedSeconds(video) {
  let sum = 0;
  for (let i = 0; i < video.played.length; i += 1) sum += video.played.end(i) - video.played.start(i);
  return sum;
}

function attach(video) {
  const { heartbeatUrl, textSaved, textOffline, textReopen, textResumed } = video.dataset;
  const before = Number(video.dataset.watchedSeconds) || 0;
  const status = video.closest(".player")?.querySelector("[data-heartbeat-status]");
  let lastSent = { position: -1, watched: -1 };
  let sentAt = 0; // played seconds at the last message
  let sending = false;
  let dirty = false; // something changed while a message was under way
  let over = false; // this page may not save any more
  let retry = FIRST_RETRY;
  let timer = 0;

  const say = (text) => {
    // The same words again would be read out again.
    if (status && text && status.textContent !== text) status.textContent = text;
  };

  const report = () => ({
    position: Math.round(video.currentTime * 10) / 10,
    duration: Math.round(video.duration * 10) / 10,
    watched: Math.round(Math.min(video.duration, before + playedSeconds(video)) * 10) / 10,
  });

  const answered = async (response) => {
    retry = FIRST_RETRY;
    say(textSaved);
    const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
    if (answer.completed === true) {
      document.querySelectorAll("[data-when-complete]").forEach((element) => { element.hidden = false; });
      document.querySelectorAll("[data-until-complete]").forEach((element) => { element.hidden = true; });
    }
  };

  const failed = () => {
    lastSent = { position: -1, watched: -1 };
    say(textOffline);
    clearTimeout(timer);
    timer = setTimeout(send, retry);
    retry = Math.min(retry * 2, LAST_RETRY);
  };

  async function send() {
    if (over || !Number.isFinite(video.duration) || video.duration <= 0) return;
    if (sending) { dirty = true; return; }
    const now = report();
    if (now.position === lastSent.position && now.watched === lastSent.watched) return;
    sending = true;
    dirty = false;
    lastSent = now;
    sentAt = playedSeconds(video);
    try {
      const response = await fetch(heartbeatUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(now),
        credentials: "same-origin",
        keepalive: true, // outlives the page, unlike a plain fetch
      });
      if (response.ok) await answered(response);
      else if (response.status >= 500 || response.status === 429) failed();
      else { over = true; say(textReopen); } // the launch session has ended; asking again cannot help
    } catch {
      failed();
    } finally {
      sending = false;
    }
    if (dirty) send();
  }

  const leave = () => {
    if (over || video.played.length === 0 || !Number.isFinite(video.duration)) return;
    const body = new Blob([JSON.stringify(report())], { type: "application/json" });
    navigator.sendBeacon(heartbeatUrl, body);
  };

  const resume = () => {
    const at = Number(video.dataset.resumeSeconds) || 0;
    // At the very end there is nothing to go on with: start anew.
    if (at < 3 || at > video.duration - 3) return;
    video.currentTime = at;
    say(textResumed);
  };

  if (video.readyState >= 1) resume();
  else video.addEventListener("loadedmetadata", resume, { once: true });
  video.addEventListener("timeupdate", () => {
    if (!video.paused && playedSeconds(video) - sentAt >= BEAT) send();
  });
  video.addEventListener("pause", send);
  video.addEventListener("ended", send);
  window.addEventListener("online", send);
  window.addEventListener("pagehide", leave);
}

document.querySelectorAll("video[data-heartbeat-url]").forEach(attach);
