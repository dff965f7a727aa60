//! A browser for one test: Chromium without a window, driven by the DevTools protocol over a
//! pipe (`--remote-debugging-pipe`: JSON messages that end with a zero byte).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::{env, thread};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::directory::Directory;
use super::{environment, need, process, until};

/// Moves the pipes to the descriptors 3 and 4.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null >/dev/null 2>&1";

/// What Chromium is started with. The only pages that it opens are the server's under test,
/// and its sandbox needs rights that a container lacks.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
];

/// A running browser with one page.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    directory: Directory,
    mark: String,
    /// The number of the last command.
    number: u64,
    session: String,
    /// Errors and warnings of the console, exceptions, and what the page's policy has blocked.
    complaints: Vec<String>,
}

/// The program of Chromium, under any of its names.
fn program() -> Option<PathBuf> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = env::split_paths(&paths).flat_map(|path| names.map(|name| path.join(name)));
    all.into_iter().find(|path| path.exists())
}

impl Browser {
    /// Starts a browser; `None` if there is none, and the test is named as skipped.
    pub(crate) fn start() -> Option<Self> {
        let program = program();
        if !need::met(program.is_some(), "chromium: apt install chromium") {
            return None;
        }
        Some(Self::run(&program?))
    }

    fn run(program: &Path) -> Self {
        let directory = Directory::new();
        let mark = format!("UNDER_TEST={}", directory.path().display());
        let profile = format!("--user-data-dir={}", directory.join("profile").display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", PIPES]).arg(program).args(FLAGS).arg(profile).arg("about:blank");
        let (name, value) = mark.split_once('=').unwrap();
        environment::clear(&mut command).env(name, value);
        command.env("HOME", directory.path()).env("TMPDIR", directory.path());
        command.current_dir(directory.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take().unwrap();
        let (number, session, complaints) = <_>::default();
        let mut browser =
            Self { child, input, messages, directory, mark, number, session, complaints };
        let target = browser.send("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.send("Target.attachToTarget", target);
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            browser.send(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sends a command, and returns its result.
    pub(crate) fn send(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = self.session.as_str().into();
        }
        self.input.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.messages.recv_timeout(until::DEADLINE).unwrap_or_else(|error| {
                panic!("no response to {method} of the browser: {error}");
            });
            if message["id"] == self.number {
                assert_eq!(message.get("error"), None, "{method}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    /// Keeps what an event complains about.
    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        let is_complaint = match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => parameters["type"] != "log",
            "Log.entryAdded" => parameters["entry"]["level"] != "verbose",
            _ => false,
        };
        if is_complaint {
            self.complaints.push(parameters.to_string());
        }
    }

    /// What the console has shown since the last call.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // The response to a command comes after the events before it.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    /// Opens an address.
    pub(crate) fn open(&mut self, url: &str) {
        let result = self.send("Page.navigate", json!({ "url": url }));
        assert_eq!(result.get("errorText"), None, "{url}");
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.send("Runtime.evaluate", parameters);
        assert_eq!(result.get("exceptionDetails"), None, "{expression}");
        result["result"]["value"].take()
    }

    /// The text of the first element with this selector.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent"));
        text.as_str().unwrap_or_else(|| panic!("no element {selector}")).to_owned()
    }

    /// From the next page on, reads of the address `path` return this value instead.
    pub(crate) fn forge(&mut self, path: &str, value: &Value) {
        let source = format!(
            "{{ const real = window.fetch; const body = JSON.stringify({value}); window.fetch = \
             (path, ...rest) => path === {path:?} ? Promise.resolve(new Response(body)) : \
             real(path, ...rest); }}"
        );
        self.send("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source }));
    }

    /// Waits until an expression in the page is true.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        until::holds(expression, || self.value(&format!("Boolean({expression})")) == true);
    }

    /// Sets the size of the window, in pixels.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.send("Emulation.setDeviceMetricsOverride", size);
    }

    /// Sets the scheme that the user prefers: `light` or `dark`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.send("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Presses a key, such as `Tab` or `ArrowLeft`.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.send("Input.dispatchKeyEvent", event);
        }
    }

    /// What assistive technology gets: role and name of each element that is not ignored.
    pub(crate) fn accessible(&mut self) -> Vec<(String, String)> {
        let tree = self.send("Accessibility.getFullAXTree", json!({}));
        let nodes =
            tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        let part =
            |node: &Value, part: &str| node[part]["value"].as_str().unwrap_or_default().to_owned();
        nodes.map(|node| (part(node, "role"), part(node, "name"))).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium's processes are found by their working directory: some overwrite their
        // environment.
        self.child.kill().ok();
        self.child.wait().ok();
        let left = || process::marked(&self.mark, self.directory.path());
        let ended = until::within(until::DEADLINE, || {
            left().into_iter().for_each(|pid| process::signal(pid, Signal::SIGKILL));
            left().is_empty().then_some(())
        });
        assert!(ended.is_some() || thread::panicking(), "processes of the browser: {:?}", left());
    }
}
