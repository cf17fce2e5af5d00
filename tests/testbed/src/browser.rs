//! A real Chromium without a window: opens pages, works on them as a person does, takes pictures.
//!
//! Spoken to in Chromium's DevTools protocol over a pipe: no port, and it ends when the pipe does. It judges
//! nothing: what a page must show is the caller's.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Mutex, MutexGuard};

use crate::process;

/// Time limit of one call.
const LIMIT: Duration = Duration::from_secs(30);

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Width, in CSS pixels.
    pub width: u32,
    /// Height, in CSS pixels.
    pub height: u32,
    /// Whether the reader asks for dark colours.
    pub dark: bool,
}

/// A running browser with one tab, whose storage is its own.
pub struct Browser {
    pipe: Mutex<Pipe>,
    child: Child,
}

struct Pipe {
    to: ChildStdin,
    from: UnboundedReceiver<Value>,
    calls: u64,
    session: Option<String>,
    /// What it told by itself.
    events: Vec<Value>,
}

impl Browser {
    /// Starts one that keeps its files in `dir`.
    ///
    /// # Errors
    /// When it does not start, or does not answer.
    pub async fn start(program: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let mut command = process::command(Path::new("sh"));
        // It reads calls from descriptor 3 and answers on 4.
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >&2", "sh"]).arg(program);
        command.args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-dev-shm-usage", "--hide-scrollbars"]);
        if rustix::process::getuid().is_root() {
            // It refuses to run as root with it.
            command.arg("--no-sandbox");
        }
        command.arg(format!("--user-data-dir={}", dir.join("profile").display())).arg("about:blank");
        let log = dir.join("chromium.log");
        let mut child = process::piped(command, &log)?;
        let to = child.stdin.take().context("its standard input")?;
        let mut output = BufReader::new(child.stdout.take().context("its standard output")?);
        let (sender, from) = unbounded_channel();
        std::thread::Builder::new().name("browser".into()).spawn(move || {
            let mut message = Vec::new();
            // Each message ends with a zero.
            while output.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                if let Ok(value) = serde_json::from_slice(&message)
                    && sender.send(value).is_err()
                {
                    return;
                }
                message.clear();
            }
        })?;
        let pipe = Pipe { to, from, calls: 0, session: None, events: Vec::new() };
        let browser = Self { pipe: Mutex::new(pipe), child };
        let begun = browser.begin().await;
        begun.with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("{} does not work: {said}", program.display())
        })?;
        Ok(browser)
    }

    async fn begin(&self) -> Result<()> {
        let mut pipe = self.pipe.lock().await;
        let target = pipe.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = pipe.call("Target.attachToTarget", attach).await?;
        pipe.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            pipe.call(&format!("{domain}.enable"), json!({})).await?;
        }
        Ok(())
    }

    async fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.pipe.lock().await.call(method, parameters).await
    }

    /// Looks at the page as on this screen.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn look(&self, screen: Screen) -> Result<()> {
        let Screen { width, height, dark } = screen;
        let phone = width < 600;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 }, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn open(&self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({"url": url})).await?;
        match answer["errorText"].as_str() {
            Some(error) => bail!("opening {url}: {error}"),
            None => Ok(()),
        }
    }

    /// The value of an expression of JavaScript on the page.
    ///
    /// # Errors
    /// When it throws.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", parameters).await?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{expression}: {}", thrown["exception"]["description"].as_str().unwrap_or("it failed"));
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Text that can be seen of the first element that fits the selector; none when there is no such
    /// element, or it cannot be seen.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn text(&self, selector: &str) -> Result<Option<String>> {
        let selector = json!(selector);
        let expression = format!(
            "(e => e && e.checkVisibility() ? e.innerText : null)(document.querySelector({selector}))"
        );
        Ok(self.value(&expression).await?.as_str().map(str::to_owned))
    }

    /// Clicks, with the mouse, in the middle of the first element that fits the selector.
    ///
    /// # Errors
    /// When there is none to be seen.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let quoted = json!(selector);
        let expression = format!(
            "(e => {{ if (!e || !e.checkVisibility()) return null; e.scrollIntoView({{block: 'center'}});
              const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})(document.querySelector({quoted}))"
        );
        let place = self.value(&expression).await?;
        let (Some(x), Some(y)) = (place[0].as_f64(), place[1].as_f64()) else {
            bail!("there is no {selector} to be seen");
        };
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Types text where the cursor is.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).await.map(drop)
    }

    /// Presses a key, for instance `ArrowLeft`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn press(&self, key: &str) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "code": key})).await?;
        }
        Ok(())
    }

    /// Takes its network away, or gives it back.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn offline(&self, offline: bool) -> Result<()> {
        let conditions =
            json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.call("Network.emulateNetworkConditions", conditions).await.map(drop)
    }

    /// Takes a picture of the whole page, as PNG.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        let answer = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await?;
        let data = STANDARD.decode(answer["data"].as_str().unwrap_or_default())?;
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        fs::write(file, data).with_context(|| format!("writing {}", file.display()))
    }

    /// The addresses that anything was loaded from since the last call of this or of [`Browser::complaints`].
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn requests(&self) -> Result<Vec<String>> {
        let pipe = self.told().await?;
        let sent = pipe.events.iter().filter(|e| e["method"] == "Network.requestWillBeSent");
        Ok(sent.filter_map(|e| e["params"]["request"]["url"].as_str().map(str::to_owned)).collect())
    }

    /// What it complained about since the last call: what the page threw, wrote to the console as an error or
    /// tried against its policy, and what could not be loaded. Forgets these, and requests.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let mut pipe = self.told().await?;
        let events = std::mem::take(&mut pipe.events);
        let wrong = |e: &&Value| match e["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                ["error", "warning", "assert"].contains(&e["params"]["type"].as_str().unwrap_or(""))
            }
            Some("Log.entryAdded") => e["params"]["entry"]["level"] != "verbose",
            _ => false,
        };
        Ok(events.iter().filter(wrong).map(|e| e["params"].to_string()).collect())
    }

    /// With everything that it has told by now.
    async fn told(&self) -> Result<MutexGuard<'_, Pipe>> {
        let mut pipe = self.pipe.lock().await;
        pipe.call("Runtime.evaluate", json!({"expression": "0"})).await?;
        Ok(pipe)
    }
}

impl Pipe {
    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).with_context(|| format!("{method}: the browser has ended"))?;
        let answer = tokio::time::timeout(LIMIT, self.answer(self.calls)).await;
        let answer = answer.map_err(|_| anyhow!("{method}: no answer within {}s", LIMIT.as_secs()))??;
        match answer.get("error") {
            Some(error) => bail!("{method}: {}", error["message"].as_str().unwrap_or("it failed")),
            None => Ok(answer["result"].clone()),
        }
    }

    async fn answer(&mut self, id: u64) -> Result<Value> {
        loop {
            let message = self.from.recv().await.context("the browser has ended")?;
            if message["id"] == id {
                return Ok(message);
            }
            self.events.push(message);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its other processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
