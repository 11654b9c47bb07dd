//! Naming bytes by digest: every input is named before it is sent and again when it arrives.

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use potluck_runtime::Digest;

const LEN: usize = 16 << 20;

fn digest(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..LEN).map(|index| (index % 251) as u8).collect();
    let mut group = criterion.benchmark_group("digest");
    group.throughput(Throughput::Bytes(LEN as u64)).sample_size(20);
    group.bench_function("of 16 MiB in memory", |bencher| bencher.iter(|| Digest::of(black_box(&bytes))));
    group.bench_function("of 16 MiB from a reader", |bencher| {
        bencher.iter(|| Digest::of_reader(Cursor::new(black_box(&bytes))).expect("memory can be read"));
    });
    group.finish();
}

criterion_group!(benches, digest);
criterion_main!(benches);
