// The live console. It keeps the conversation and sends only what is new; what the
// server answers is drawn by the server. Text of a conversation is put into the page
// as text, never as HTML.
"use strict";
(() => {
  const page = document.getElementById("console");
  if (!page) return;
  const find = (id) => document.getElementById(id);
  const [bubbles, empty, form, text] = ["bubbles", "empty", "say", "text"].map(find);
  const [panel, announce, failure] = ["panel", "announce", "failure"].map(find);
  const panelWhenEmpty = panel.innerHTML;
  // A pasted conversation is replayed in at most so many steps.
  const STEPS = 40;
  let conversation = null;
  let run = 0;

  async function ask(path, body) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Mindrail-Form": page.dataset.form },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error ? said.error.message : String(answer.status));
    return said;
  }

  function bubble(turn) {
    const item = document.createElement("li");
    item.className = turn.role;
    const by = document.createElement("span");
    by.className = "by";
    const name = { user: page.dataset.person, assistant: page.dataset.assistant }[turn.role] || turn.role;
    by.textContent = turn.unread === "unknown_speaker" ? `${name} (${page.dataset.unknown})` : name;
    item.append(by, turn.text);
    bubbles.append(item);
    empty.hidden = true;
    bubbles.scrollTop = bubbles.scrollHeight;
  }

  function show(judged) {
    conversation = judged.conversation;
    panel.innerHTML = judged.panel;
    window.mindrailLocalTimes(panel);
    announce.textContent = judged.announce;
    const evidence = new Set(judged.evidence);
    Array.from(bubbles.children).forEach((item, place) => item.classList.toggle("evidence", evidence.has(place)));
  }

  async function judge(turns, mine) {
    turns.forEach(bubble);
    const judged = await ask("/desk/console/judge", { conversation, turns });
    if (mine === run) show(judged);
  }

  // Each of the person's turns is a step of its own, as it would be in a service.
  function steps(turns) {
    const found = [];
    let step = [];
    for (const turn of turns) {
      step.push(turn);
      if (turn.role === "user") {
        found.push(step);
        step = [];
      }
    }
    if (step.length > 0) found.push(step);
    const size = Math.ceil(found.length / STEPS);
    const joined = [];
    for (let at = 0; at < found.length; at += size) joined.push(found.slice(at, at + size).flat());
    return joined;
  }

  function anew() {
    run += 1;
    conversation = null;
    bubbles.replaceChildren();
    empty.hidden = false;
    failure.hidden = true;
    panel.innerHTML = panelWhenEmpty;
    announce.textContent = "";
    page.setAttribute("data-idle", "");
  }

  async function busy(work) {
    failure.hidden = true;
    const buttons = form.querySelectorAll("button[type=submit], #paste, #demo");
    buttons.forEach((button) => { button.disabled = true; });
    panel.setAttribute("aria-busy", "true");
    page.removeAttribute("data-idle");
    try {
      await work();
    } catch (error) {
      failure.textContent = `${page.dataset.failed} ${error.message}`;
      failure.hidden = false;
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
      panel.removeAttribute("aria-busy");
      page.setAttribute("data-idle", "");
    }
  }

  function say() {
    const said = text.value.trim();
    if (said === "") return;
    const role = new FormData(form).get("role");
    busy(async () => {
      await judge([{ role, text: said }], run);
      text.value = "";
      text.focus();
    });
  }

  function paste(whole) {
    if (whole.trim() === "") return;
    busy(async () => {
      const read = await ask("/desk/console/read", { text: whole });
      anew();
      page.removeAttribute("data-idle");
      const mine = run;
      text.value = "";
      if (read.more) announce.textContent = page.dataset.more;
      for (const step of steps(read.turns)) {
        if (mine !== run) return;
        await judge(step, mine);
      }
    });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  find("paste").addEventListener("click", () => paste(text.value));
  find("demo").addEventListener("click", () => paste(find("demo-text").content.textContent));
  find("anew").addEventListener("click", () => {
    anew();
    text.focus();
  });
  page.setAttribute("data-idle", "");
})();
