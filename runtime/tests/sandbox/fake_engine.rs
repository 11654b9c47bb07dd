//! A socket that answers as an engine would, or as one would not: what each request is answered is the test's to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A request as it came: `GET /v1.41/info`, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) body: String,
}

/// What it is answered.
pub(crate) enum Said {
    /// A status and a body of JSON.
    Json(u16, String),
    /// These bytes, whatever they are.
    Raw(&'static [u8]),
    /// Nothing, and the connection stays open.
    Silence,
}

pub(crate) struct FakeEngine {
    home: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeEngine {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(home.path().join("sock")).unwrap();
        let (asked, answer) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(answer));
        let known = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, answer) = (known.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &known, &*answer));
            }
        });
        Self { home, asked }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("sock")
    }

    /// All that was asked of it.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: UnixStream, known: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Said) {
    let Some(asked) = read(&stream) else { return };
    known.lock().unwrap().push(asked.clone());
    let mut stream = &stream;
    match answer(&asked) {
        Said::Json(status, body) => {
            let head = format!("HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nConnection: close\r\n");
            let _gone = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
        Said::Raw(bytes) => {
            let _gone = stream.write_all(bytes);
        }
        Said::Silence => {
            let _until_it_goes = stream.read_to_end(&mut Vec::new());
        }
    }
}

fn read(stream: &UnixStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = |text: &mut String| reader.read_line(text).ok().filter(|len| *len > 0);
    let mut first = String::new();
    line(&mut first)?;
    let (mut len, mut is_chunked) = (0, false);
    loop {
        let mut header = String::new();
        line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
        is_chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
    }
    let mut body = Vec::new();
    if is_chunked {
        // What comes so is an archive, which no test looks at.
        while !body.ends_with(b"0\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).ok()?;
            body.push(byte[0]);
        }
    } else {
        reader.take(len).read_to_end(&mut body).ok()?;
    }
    let line = first.trim().strip_suffix(" HTTP/1.1")?.to_owned();
    Some(Asked { line, body: String::from_utf8_lossy(&body).into_owned() })
}
