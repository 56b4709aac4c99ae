//! The desk in a real browser: Chromium without a window, driven over its own protocol
//! (that of its developer tools, by pipe). Skipped, and said so, where there is no Chromium.
//! `MINDRAIL_SCREENSHOTS` names a folder for pictures, to be looked at.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mindrail_server::store::accounts::DeskRole;
use serde_json::{Value, json};

use super::client::{PASSWORD, Server};
use crate::program::Folder;

const CHROMIUM: &str = "/usr/bin/chromium";

/// How long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
struct Screen {
    width: u32,
    scheme: &'static str,
    language: &'static str,
}

const SCREENS: [Screen; 4] = [
    Screen { width: 1280, scheme: "light", language: "en" },
    Screen { width: 360, scheme: "dark", language: "en" },
    Screen { width: 1280, scheme: "dark", language: "fr" },
    Screen { width: 360, scheme: "light", language: "fr" },
];

/// A browser with one page.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    number: u64,
    /// What the page complained of: errors, and what its policy forbade.
    complaints: Vec<String>,
    _profile: Folder,
}

impl Browser {
    fn start() -> Self {
        let profile = Folder::new();
        // The protocol comes and goes on descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null", CHROMIUM])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let (session, complaints) = (None, Vec::new());
        let mut browser = Self { child, to, from, session, number: 0, complaints, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, &json!({}));
        }
        browser
    }

    /// Asks for something and waits for the answer; what happens meanwhile is noted.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("Chromium listens");
        loop {
            let mut line = Vec::new();
            self.from.read_until(0, &mut line).expect("Chromium answers");
            line.pop();
            let answer: Value = serde_json::from_slice(&line).expect("JSON of Chromium");
            self.note(&answer);
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn note(&mut self, event: &Value) {
        let told = &event["params"];
        let is_complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => matches!(told["type"].as_str(), Some("error" | "warning")),
            // An answer of 401 or so is in the log as an error of the network.
            Some("Log.entryAdded") => {
                let entry = &told["entry"];
                matches!(entry["level"].as_str(), Some("error" | "warning")) && entry["source"] != "network"
            }
            _ => false,
        };
        if is_complaint {
            self.complaints.push(event.to_string());
        }
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a script says true.
    fn wait(&mut self, script: &str) {
        let began = Instant::now();
        while self.evaluate(&format!("Boolean({script})")) != json!(true) {
            assert!(
                began.elapsed() < PATIENCE,
                "waited for {script} at {}",
                self.evaluate("location.href + document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn go(&mut self, address: &str) {
        self.evaluate("window.isOld = true");
        self.call("Page.navigate", &json!({"url": address}));
        self.arrive();
    }

    /// Waits for the next page.
    fn arrive(&mut self) {
        self.wait("!window.isOld && document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Does what leads to another page.
    fn follow(&mut self, script: &str) {
        self.evaluate(&format!("window.isOld = true; {script}"));
        self.arrive();
    }

    /// Presses a key as a person would.
    fn press(&mut self, key: &str, text: &str) {
        // What a key does beside its letter, the browser tells by its number.
        let number = text.bytes().next().unwrap_or(0).to_ascii_uppercase();
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let mut event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": number});
            if !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    fn show_as(&mut self, screen: Screen) {
        let metrics = json!({"width": screen.width, "height": 900, "deviceScaleFactor": 1, "mobile": screen.width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": screen.scheme}]});
        self.call("Emulation.setEmulatedMedia", &media);
        self.call("Network.setExtraHTTPHeaders", &json!({"headers": {"Accept-Language": screen.language}}));
    }

    /// A picture of the page, and that nothing of it lies beyond the screen's side.
    fn look(&mut self, name: &str, screen: Screen) {
        let wide = self.evaluate("document.documentElement.scrollWidth");
        assert!(
            wide.as_u64().is_some_and(|wide| wide <= u64::from(screen.width)),
            "{name} {screen:?}: {wide} wide"
        );
        assert_eq!(self.evaluate("document.documentElement.lang"), screen.language, "{name}");
        let unnamed = "[...document.querySelectorAll('button, a, input:not([type=hidden]), select, textarea')]
            .filter(e => !(e.innerText || e.getAttribute('aria-label') || (e.labels && e.labels.length))).length";
        assert_eq!(self.evaluate(unnamed), 0, "{name}: something that can be used has no name");
        let Ok(folder) = std::env::var("MINDRAIL_SCREENSHOTS") else { return };
        let shot =
            self.call("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
        let file = format!("{name}_{}_{}_{}.png", screen.width, screen.scheme, screen.language);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(PathBuf::from(folder).join(file), decoded(shot["data"].as_str().expect("base64")))
            .expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of their base64 (RFC 4648).
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        (bits, held) = (((bits << 6) | digit as u32) & 0xffff, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push(((bits >> held) & 0xff) as u8);
        }
    }
    bytes
}

/// A browser, where there is one.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn browser() -> Option<Browser> {
    if !PathBuf::from(CHROMIUM).exists() {
        eprintln!("skipped in the browser: there is no {CHROMIUM}");
        return None;
    }
    Some(Browser::start())
}

fn log_in(browser: &mut Browser, server: &Server, name: &str) {
    browser.go(&format!("http://{}/desk/login", server.address));
    browser.evaluate("document.getElementById('name').focus()");
    browser.type_text(name);
    browser.evaluate("document.getElementById('password').focus()");
    browser.type_text(PASSWORD);
    browser.evaluate("window.isOld = true");
    browser.press("Enter", "\r");
    browser.arrive();
}

#[test]
fn a_conversation_goes_from_the_console_by_keys_alone_to_the_end_of_its_review() {
    let Some(mut browser) = browser() else { return };
    let server = Server::start(&["default"]);
    server.add("default", "Ada Lovelace", DeskRole::Counsellor);
    let screen = SCREENS[0];
    browser.show_as(screen);
    log_in(&mut browser, &server, "Ada Lovelace");
    assert_eq!(browser.evaluate("location.pathname"), "/desk/queue");
    browser.look("queue_empty", screen);

    // The timeline moves with each turn.
    browser.go(&format!("http://{}/desk", server.address));
    browser.wait("document.getElementById('console').hasAttribute('data-idle')");
    browser.evaluate("document.getElementById('text').focus()");
    for (turn, text) in ["it was a long day", "<b>i dont see a way out anymore</b>"].iter().enumerate() {
        browser.type_text(text);
        browser.press("Enter", "\r");
        browser.wait(&format!("document.querySelectorAll('#panel circle.turn').length >= {} && document.querySelector('#console[data-idle]')", turn + 1));
        browser.wait(&format!("document.getElementById('turn-{turn}')"));
    }
    assert_eq!(browser.evaluate("document.querySelectorAll('#bubbles li').length"), 2);
    assert_eq!(browser.evaluate("document.querySelectorAll('#bubbles b').length"), 0, "text is text");
    browser.wait("document.getElementById('announce').textContent.includes('Turn 1:')");
    browser.evaluate("document.getElementById('demo').click()");
    browser.wait(
        "document.querySelector('#console[data-idle]') && document.querySelector('#panel .chip.grave')",
    );
    assert_eq!(browser.evaluate("document.querySelectorAll('#bubbles li').length"), 14);
    assert!(browser.evaluate("document.querySelectorAll('#bubbles li.evidence').length").as_u64() > Some(0));

    // From the queue to the end, by keys.
    browser.go(&format!("http://{}/desk/queue", server.address));
    browser.press("j", "j");
    assert_eq!(browser.evaluate("document.activeElement.className"), "review");
    browser.evaluate("window.isOld = true");
    browser.press("c", "c");
    browser.arrive();
    assert!(
        browser.evaluate("location.pathname").as_str().is_some_and(|path| path.starts_with("/desk/reviews/"))
    );
    browser.wait("document.getElementById('lock')");
    let kept = "(async () => (await fetch(document.getElementById('lock').dataset.keep, {method: 'POST',
        headers: {'X-Mindrail-Form': document.getElementById('lock').dataset.form}})).status)()";
    assert_eq!(browser.evaluate(kept), 204);
    browser.evaluate("window.isOld = true");
    browser.press("a", "a");
    browser.arrive();
    browser.wait("document.querySelector('.clock.done')");
    browser.evaluate("document.querySelector('input[value=resolved]').focus()");
    browser.press(" ", " ");
    assert_eq!(browser.evaluate("document.querySelector('input[value=resolved]').checked"), true);
    browser.evaluate("document.getElementById('reason').focus()");
    browser.type_text("An exercise");
    browser.follow("document.querySelector('form[action$=close] button').click()");
    assert_eq!(browser.evaluate("location.pathname"), "/desk/queue");
    browser.wait("document.querySelector('.notice')");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn every_page_fits_every_screen_in_both_languages_and_no_policy_is_broken() {
    let Some(mut browser) = browser() else { return };
    let server = Server::start(&["keeps"]);
    for (name, role) in
        [("Ada", DeskRole::Counsellor), ("Grace", DeskRole::Admin), ("Eve", DeskRole::Auditor)]
    {
        server.add("keeps", name, role);
    }
    let key = server.key("keeps", mindrail_server::store::keys::Scope::Guard);
    let reviews: Vec<u64> =
        (0..6).map(|number| server.escalate(&format!("c-{number}"), Some(&key))).collect();
    let mut other = server.log_in("keeps", "Ada");
    other.get("/desk/queue");
    other.post(&format!("/desk/reviews/{}/claim", reviews[0]), &[]);
    let closing = [("outcome", "overridden"), ("reason", "A line from a song."), ("consent", "yes")];
    other.post(&format!("/desk/reviews/{}/claim", reviews[1]), &[]);
    other.post(&format!("/desk/reviews/{}/close", reviews[1]), &closing);
    for screen in SCREENS {
        for (name, pages) in [
            (
                "Ada",
                vec![
                    "queue".to_owned(),
                    format!("reviews/{}", reviews[0]),
                    format!("reviews/{}/text", reviews[0]),
                    format!("reviews/{}", reviews[1]),
                    format!("reviews/{}", reviews[2]),
                ],
            ),
            (
                "Grace",
                vec![
                    "dashboard".to_owned(),
                    "reports?jurisdiction=US-CA&year=2026".to_owned(),
                    "people".to_owned(),
                ],
            ),
            ("Eve", vec!["trail".to_owned()]),
        ] {
            browser.call("Network.clearBrowserCookies", &json!({}));
            browser.show_as(screen);
            browser.go(&format!("http://{}/desk/login", server.address));
            browser.look("login", screen);
            log_in(&mut browser, &server, name);
            if browser.evaluate("document.documentElement.lang") != screen.language {
                browser.follow("document.querySelector('form[action=\"/desk/language\"] button').click()");
            }
            for page in pages {
                browser.go(&format!("http://{}/desk/{page}", server.address));
                browser.look(&page.replace(['/', '?', '='], "_"), screen);
            }
            if name == "Ada" {
                browser.go(&format!("http://{}/desk", server.address));
                browser.wait("document.querySelector('#console[data-idle]')");
                browser.evaluate("document.getElementById('demo').click()");
                browser.wait("document.querySelector('#console[data-idle]') && document.querySelector('#panel .chip.grave')");
                browser.look("console", screen);
            }
        }
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}
