// What every page of the desk gets beyond its HTML: times in the reader's own time
// zone, clocks that run, keys, and locks that stay while a page is open. Everything
// works without it, more slowly.
"use strict";
(() => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const language = document.documentElement.lang;

  function localTimes(root) {
    const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
    for (const time of root.querySelectorAll("time[datetime]")) {
      time.title = time.textContent;
      time.textContent = format.format(new Date(time.dateTime));
    }
  }

  // The same words as the server's: the two largest units.
  function length(ms, day) {
    const minutes = Math.floor(ms / 60000);
    const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
    if (days > 0) return `${days} ${day} ${hours} h`;
    if (hours > 0) return `${hours} h ${rest} min`;
    return rest > 0 ? `${rest} min` : `${Math.floor(ms / 1000)} s`;
  }

  // Clocks run by the server's time, whatever this machine's says.
  function clocks() {
    const began = performance.now();
    const running = all(".clock[data-due]");
    const show = () => {
      for (const clock of running) {
        const left = Number(clock.dataset.due) - Number(clock.dataset.now) - (performance.now() - began);
        const words = left > 0 ? clock.dataset.in : clock.dataset.over;
        clock.textContent = words.replace("{}", length(Math.abs(left), clock.dataset.day));
        clock.classList.toggle("late", left <= 0);
      }
    };
    if (running.length > 0) setInterval(show, 1000);
  }

  function lock() {
    const held = document.getElementById("lock");
    if (!held) return;
    const keep = async () => {
      const answer = await fetch(held.dataset.keep, {
        method: "POST",
        headers: { "X-Mindrail-Form": held.dataset.form },
      }).catch(() => null);
      if (answer && !answer.ok) {
        const lost = document.getElementById("lock-lost");
        lost.textContent = held.dataset.lost;
        lost.hidden = false;
        held.hidden = true;
        clearInterval(timer);
      }
    };
    const timer = setInterval(keep, 120000);
  }

  // The queue is read anew now and then, unless somebody is about to do something.
  function reload() {
    const queue = document.querySelector("[data-reload]");
    if (!queue && !document.querySelector("main > .empty")) return;
    const seconds = queue ? Number(queue.dataset.reload) : 30;
    setInterval(() => {
      const busy = document.activeElement && document.activeElement.closest("main form, main a");
      if (!busy && !document.hidden && location.pathname === "/desk/queue") location.reload();
    }, seconds * 1000);
  }

  function step(by) {
    const links = all(".queue .review");
    if (links.length === 0) return;
    const at = links.findIndex((link) => link.closest("li").contains(document.activeElement));
    const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
    links[next].focus();
    links[next].closest("li").scrollIntoView({ block: "nearest" });
  }

  function press(selector) {
    const item = document.activeElement && document.activeElement.closest(".queue > li");
    const button = (item || document).querySelector(selector);
    if (button) button.click();
  }

  function keys() {
    let before = "";
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input, textarea, select")) return;
      const pressed = before + event.key;
      before = event.key === "g" ? "g " : "";
      const deeds = {
        j: () => step(1),
        k: () => step(-1),
        c: () => press("button.claim"),
        a: () => press("button.acknowledge"),
        "g q": () => location.assign("/desk/queue"),
        "g d": () => location.assign("/desk/dashboard"),
        "?": () => {
          const help = document.querySelector(".keys");
          help.open = !help.open;
          help.querySelector("summary").focus();
        },
      };
      if (Object.hasOwn(deeds, pressed)) {
        event.preventDefault();
        deeds[pressed]();
      }
    });
  }

  window.mindrailLocalTimes = localTimes;
  localTimes(document);
  clocks();
  lock();
  reload();
  keys();
})();
