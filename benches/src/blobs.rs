//! An input from one node to another over loopback, into the blob store, beside bare QUIC streams of the same length between
//! the same number of processes. `cargo bench -p potluck-benches --bench blobs -- MIB` says how much is sent each time; the
//! files lie under `TMPDIR`, which had better be in memory for what is not to be a measure of the disk.

use potluck_benches::{NodeProcess, client, hello, role};
use potluck_node::client::{Client, JobEvent, Submission, Target};
use potluck_node::trust::invitations::Grant;
use potluck_runtime::{Limits, Outcome};
use quinn::{ClientConfig, Endpoint, ServerConfig};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const MIB: u64 = 64;
/// How often each of the two sends.
const ROUNDS: usize = 5;
/// What is written at a time to a bare stream.
const PIECE_LEN: usize = 256 << 10;
/// What the bare end is called.
const BARE_NAME: &str = "bare";
const TICKET_TTL: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Some(code) = role() {
        return code;
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == [BARE_NAME] {
        tokio.block_on(serve_bare());
        return ExitCode::SUCCESS;
    }
    let mib = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(MIB);
    measure(&tokio, mib << 20);
    ExitCode::SUCCESS
}

fn measure(tokio: &Runtime, len: u64) {
    let directory = TempDir::new().expect("there is a temporary directory");
    let (here, there) = (directory.path().join("here"), directory.path().join("there"));
    let _node = NodeProcess::start(&there);
    let peer = tokio.block_on(join(&client(&here), &client(&there)));
    let (bare, file) = (BareProcess::start(), directory.path().join("input"));
    let mut input = File::options().read(true).write(true).create_new(true).open(&file).expect("a file can be made");
    let random = File::open("/dev/urandom").expect("there is randomness");
    std::io::copy(&mut random.take(len), &mut input).expect("there is room for the input");
    let (mut bare_rates, mut rates) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        // Another blob each time, or it would be there already.
        input.seek(SeekFrom::Start(0)).and_then(|_| input.write_all(&round.to_le_bytes())).expect("it can be written");
        bare_rates.push(rate(len, tokio.block_on(bare.send(len))));
        rates.push(rate(len, tokio.block_on(send(&client(&here), &peer, &file))));
    }
    let (bare, ours) = (median(&mut bare_rates), median(&mut rates));
    println!("{} MiB: bare QUIC {bare:.0} MiB/s {bare_rates:.0?}", len >> 20);
    println!("{} MiB: an input {ours:.0} MiB/s {rates:.0?}, {:.2} of it", len >> 20, ours / bare);
}

fn rate(len: u64, time: Duration) -> f64 {
    len as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Makes the two nodes a group; the answer is the name of the one that runs jobs.
async fn join(here: &Client, there: &Client) -> String {
    here.paths().create().expect("directories can be made");
    let invitation = there.invite(TICKET_TTL, Grant::Enters).await.expect("the node invites");
    here.join(&invitation.ticket).await.expect("the node lets us in");
    there.identity().expect("the node has one").id().to_string()
}

/// Sends a file as a job's input; the time is from the first bytes to the last ones.
async fn send(client: &Client, peer: &str, file: &Path) -> Duration {
    let limits = Limits { disk_bytes: u64::MAX / 4, ..Limits::default() };
    let submission = Submission::new(hello()).file(file).limits(limits);
    let mut job = client.submit(Target::Peer(peer.to_owned()), submission).await.expect("the job is taken");
    let (mut start, mut time) = (Instant::now(), Duration::ZERO);
    loop {
        match job.events.next().await.expect("there is an end").expect("nothing fails") {
            JobEvent::Accepted { .. } => start = Instant::now(),
            JobEvent::Sending { done, total } if done == total => time = start.elapsed(),
            JobEvent::Ended(ended) => {
                assert_eq!(ended.report.outcome, Outcome::Exited(0));
                return time;
            }
            _ => {}
        }
    }
}

/// The other end of bare streams, in a process of its own; it ends with its stdin.
struct BareProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    address: SocketAddr,
    config: ClientConfig,
}

impl BareProcess {
    fn start() -> Self {
        let program: PathBuf = std::env::current_exe().expect("the system knows this program");
        let started = Command::new(program).arg(BARE_NAME).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("this program can be started again");
        let mut lines = BufReader::new(child.stdout.take().expect("it has a stdout")).lines();
        let mut line = || lines.next().expect("it says how it is reached").expect("its stdout can be read");
        let port = line().parse().expect("a port");
        let certificate: Vec<u8> = line().split(' ').map(|byte| byte.parse().expect("a byte")).collect();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate)).expect("a certificate");
        let config = ClientConfig::with_root_certificates(Arc::new(roots)).expect("TLS can be set up");
        let stdin = child.stdin.take();
        Self { child, stdin, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config }
    }

    /// Sends so many bytes and waits until the other end has all of them.
    async fn send(&self, len: u64) -> Duration {
        let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a socket can be had");
        let connecting =
            endpoint.connect_with(self.config.clone(), self.address, BARE_NAME).expect("it can be dialled");
        let connection = connecting.await.expect("it answers");
        let (mut writer, mut reader) = connection.open_bi().await.expect("the connection stands");
        let piece = vec![7; PIECE_LEN];
        let start = Instant::now();
        let mut left = len;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(PIECE_LEN).min(PIECE_LEN);
            writer.write_all(&piece[..part]).await.expect("it reads");
            left -= part as u64;
        }
        writer.finish().expect("the stream is open");
        reader.read_to_end(PIECE_LEN).await.expect("it says when it has all");
        start.elapsed()
    }
}

impl Drop for BareProcess {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It has nothing to say any more.
        let _ended = self.child.wait();
    }
}

async fn serve_bare() {
    let made = rcgen::generate_simple_self_signed([BARE_NAME.to_owned()]).expect("a certificate can be made");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::with_single_cert(vec![certificate.clone()], key).expect("TLS can be set up");
    let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a socket can be had");
    let bytes: Vec<String> = certificate.iter().map(u8::to_string).collect();
    println!("{}\n{}", endpoint.local_addr().expect("it is bound").port(), bytes.join(" "));
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let connection = incoming.await.expect("the other end is ours");
                let (mut writer, mut reader) = connection.accept_bi().await.expect("a stream is opened");
                while reader.read_chunk(PIECE_LEN, true).await.expect("it stands").is_some() {}
                writer.finish().expect("the stream is open");
                connection.closed().await;
            });
        }
    });
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ended.await.expect("reading does not panic").expect("stdin can be read");
}
