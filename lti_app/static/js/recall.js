/**
 * Between the LMS's post and the first page: <form data-recall …> of launches/recall.html.
 *
 * Gets the secret of this login out of the LMS's storage and posts the launch again, with it. Without it the page
 * says what to do; nothing has been spent.
 */
import { recall } from "./storage.js";

const form = document.querySelector("[data-recall]");
const { key, ...storage } = form.dataset;

try {
  form.elements.storage_proof.value = await recall(storage, key);
  form.submit();
} catch {
  const problem = document.querySelector("[data-problem]");
  form.hidden = true;
  problem.hidden = false;
  problem.focus();
}
