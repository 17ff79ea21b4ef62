/**
 * Makes a quiz form kind: <form data-draft-key="…"> (see the macro `quiz_form` in _ui.html).
 *
 * Keeps chosen answers in this tab until they are submitted, warns once of unanswered questions (a second press
 * submits), never submits twice. Without script the form is an ordinary form.
 */
const PREFIX = "gongyu.quiz.";

function store(key) {
  // Storage is forbidden in some third-party frames; then there is simply no draft.
  return {
    read() { try { return JSON.parse(sessionStorage.getItem(PREFIX + key)) || []; } catch { return []; } },
    write(entries) { try { sessionStorage.setItem(PREFIX + key, JSON.stringify(entries)); } catch { /* no draft */ } },
    clear() { try { sessionStorage.removeItem(PREFIX + key); } catch { /* no draft */ } },
  };
}

function restore(form, entries) {
  for (const [name, value] of entries) {
    for (const input of form.querySelectorAll("input[type=radio], input[type=checkbox], textarea")) {
      if (input.name !== name || input.disabled) continue;
      if (input.type === "textarea") input.value = value;
      else if (input.value === value) input.checked = true;
    }
  }
}

const isAnswered = (question) =>
  question.querySelector("input:checked") !== null ||
  [...question.querySelectorAll("textarea, input[type=text]")].some((input) => input.value.trim() !== "");

function attach(form) {
  const draft = store(form.dataset.draftKey);
  const box = form.querySelector("[data-quiz-message]");
  const button = form.querySelector("button[type=submit]");
  const label = button.querySelector("span");
  const words = label.textContent;
  let warned = false;
  let submitting = false;

  const tell = (text) => {
    box.querySelector("[data-quiz-message-text]").textContent = text;
    box.hidden = false;
    box.focus(); // moving the focus reads it out and brings it into view
  };

  const unanswered = () => [...form.querySelectorAll("[data-question]")].filter((question) => !isAnswered(question));

  const mark = (questions) => {
    form.querySelectorAll("[data-question]").forEach((question) => {
      question.classList.toggle("is-missing", questions.includes(question));
    });
  };

  const warn = (questions) => {
    warned = true;
    mark(questions);
    const list = questions.map((question) => question.dataset.question).join(", ");
    tell(form.dataset.textUnanswered.replace("{count}", questions.length).replace("{list}", list));
  };

  const setBusy = (busy) => {
    submitting = busy;
    // aria-disabled keeps the focus where it is; a disabled button would drop it and its name/value.
    button.setAttribute("aria-busy", String(busy));
    button.setAttribute("aria-disabled", String(busy));
    label.textContent = busy ? button.dataset.busyText || words : words;
  };

  restore(form, draft.read());

  form.addEventListener("change", () => {
    draft.write([...new FormData(form)].filter(([, value]) => typeof value === "string"));
    if (warned) mark(unanswered());
  });

  form.addEventListener("submit", (event) => {
    const missing = unanswered();
    if (submitting) {
      event.preventDefault();
    } else if (!navigator.onLine) {
      event.preventDefault();
      tell(form.dataset.textOffline);
    } else if (missing.length > 0 && !warned) {
      event.preventDefault();
      warn(missing);
    } else {
      setBusy(true);
      draft.clear();
    }
  });

  // Back from the result by the browser's back button: the same page, which must work again.
  window.addEventListener("pageshow", (event) => { if (event.persisted) setBusy(false); });
}

document.querySelectorAll("form[data-draft-key]").forEach(attach);
