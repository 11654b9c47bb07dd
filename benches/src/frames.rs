//! Frames through a stream in memory: what the framing costs without a network.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use potluck_node::wire::{FrameStream, Tag};
use tokio::runtime::{Builder, Runtime};

const CHUNK_LEN: usize = 64 << 10;
const CHUNKS: usize = 256;
const LINES: usize = 1000;

/// Sends `count` frames of `payload` and reads them on the other side.
fn pass(runtime: &Runtime, payload: &Bytes, count: usize) -> usize {
    let (mut near, mut far) = FrameStream::pair();
    let payload = payload.clone();
    runtime.block_on(async move {
        let sender = tokio::spawn(async move {
            for _ in 0..count {
                near.writer.send_bytes(Tag::STDOUT, payload.clone()).await.expect("the other side reads");
            }
            near.writer.finish().await.expect("the other side reads");
        });
        let mut received = 0;
        while let Some(frame) = far.reader.next().await.expect("frames are whole") {
            received += frame.payload.len();
        }
        sender.await.expect("the sender does not panic");
        received
    })
}

fn frames(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    let mut group = criterion.benchmark_group("frames");
    let chunk = Bytes::from(vec![7; CHUNK_LEN]);
    group.throughput(Throughput::Bytes((CHUNK_LEN * CHUNKS) as u64)).sample_size(20);
    group.bench_function("16 MiB in chunks of 64 KiB", |bencher| {
        bencher.iter(|| assert_eq!(pass(&runtime, &chunk, CHUNKS), CHUNK_LEN * CHUNKS));
    });
    let line = Bytes::from_static(b"a line that a program prints\n");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("a thousand lines", |bencher| {
        bencher.iter(|| assert_eq!(pass(&runtime, &line, LINES), line.len() * LINES));
    });
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
