//! Writes the first inputs of every target into `corpus/`: what Potluck itself would say, and what has gone wrong before.
//! `cargo run --example seeds` in `fuzz/`; an input is named by its digest, so that it is there once.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use potluck_node::identity::{Identity, NodeId};
use potluck_node::net::beacon::{Beacon, BeaconKind};
use potluck_node::trust::ticket::Ticket;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;
// What is covered calls libFuzzer, which must be linked then.
use libfuzzer_sys as _;

fn main() {
    messages();
    events();
    let identity = Identity::from_seed(&[1; 32]);
    for kind in [BeaconKind::Hello, BeaconKind::Greeting, BeaconKind::Query, BeaconKind::Goodbye] {
        put("beacon", &Beacon { kind, id: identity.id(), boot: 7, sequence: 3, port: 7420 }.sign(&identity));
    }
    tickets();
    modules();
    archives();
    wheels();
    tails();
    manifests();
    for script in ["import numpy as np\nfrom b import x, y\n", "from .c import (\n a,\n b)\n", "try:\n import x\nexcept:\n pass\n"] {
        put("script", script.as_bytes());
    }
    put("script", "'''\nimport no\n'''; import yes\nif 1: from a.b.c import d as e; import f\n\tx = '\\\n'\n".as_bytes());
}

/// The golden frames: each by itself as a message, all of them as a stream.
fn messages() {
    let golden = include_str!("../../node/src/wire/golden.txt");
    let mut stream = vec![0];
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (name, hex) = line.split_once(' ').expect("a name and bytes");
        let frame = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal digits");
        stream.extend_from_slice(&frame);
        let (tag, payload) = (&frame[..2], &frame[6..]);
        put("frames", &[&[2], &frame[..]].concat());
        if !payload.is_empty() {
            put("messages", &[tag, payload].concat());
        }
        if name == "SUBMIT" {
            put("submit", payload);
        }
    }
    put("frames", &stream);
    put("frames", &[&[0], &[96, 0, 0, 0, 4, 0][..], &[7; 3000]].concat());
    worker();
}

/// What a guest says of itself.
fn events() {
    put("events", b"{\"progress\":{\"done\":3,\"total\":10,\"message\":\"reading\"}}\n{\"progress\":{\"done\":0.5}}\n");
    put("events", b"{\"log\":{\"level\":\"warn\",\0\"message\":\"m\",\"fields\":{\"file\":\"a.csv\",\"n\":[1e15,null]}}}\n");
    put("events", b"{\"result\":{\"mean\":4.5}}\n{\"checkpoint\":{\"file\":\"state\"}}\n{\"checkpoint\":null}");
    put("events", b"hello\n{}\n\xff\n");
}

/// What a worker says, by hand: its messages are not public.
fn worker() {
    let frame = |tag: u8, payload: &[u8]| {
        let len = u32::try_from(payload.len()).expect("a short payload").to_le_bytes();
        [&[tag], &len[..], payload].concat()
    };
    put("worker", &frame(17, b"hello"));
    put("worker", &frame(19, b"\xa6Loaded"));
    put("worker", &frame(19, b"\x81\xa6Failed\xa1x"));
    put("worker", &frame(19, b"\x81\xa4Kept\x82\xaafiles_open\x00\xacmemory_bytes\xcd\x01\x00"));
    put("worker", &frame(19, b"\x81\xa6Report\x82\xa6report\x84\xa7outcome\x81\xa6exited\x00\xa9fuel_used\x05\xa7wall_ms\x07\xb1memory_peak_bytes\x00\xa5clean\xc3"));
    put("worker", &frame(1, b"\x81\xa4Turn\x83\xa6number\x01\xa6source\xa11\xa6limits\x83\xa4fuel\x05\xa7wall_ms\x05\xacoutput_bytes\x05"));
    put("worker", &frame(1, b"\x81\xa4Load\x83\xa4code\xa2/a\xa4kind\xa6Module\xa7purpose\xa7Command"));
}

fn tickets() {
    let bytes = |addresses: &[&[u8]]| {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&[5; 8]);
        bytes.extend_from_slice(NodeId::from_bytes([9; 32]).as_bytes());
        bytes.extend_from_slice(&[10; 32]);
        bytes.extend_from_slice(&1_800_000_000_u64.to_le_bytes());
        bytes.push(u8::try_from(addresses.len()).expect("few"));
        addresses.iter().for_each(|address| bytes.extend_from_slice(address));
        bytes
    };
    let v6 = [&[6][..], &[1; 16], &[1, 2]].concat();
    for addresses in [&[][..], &[&[4, 192, 0, 2, 7, 1, 2][..]], &[&v6, &[4, 10, 0, 0, 1, 9, 9]]] {
        let mut bytes = bytes(addresses);
        let mut sum = [0; 4];
        let context = "potluck 2026 ticket checksum";
        blake3::Hasher::new_derive_key(context).update(&bytes).finalize_xof().fill(&mut sum);
        bytes.extend_from_slice(&sum);
        let text = format!("potluck1{}", data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
        assert!(text.parse::<Ticket>().is_ok());
        put("ticket", text.as_bytes());
    }
}

fn modules() {
    for text in [
        "(module)",
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (memory (export "memory") 1) (func (export "_start")))"#,
        r#"(module (import "env" "memory" (memory 1)) (func (export "_initialize")))"#,
        r#"(module (type (func)) (table 1 funcref) (global i32 (i32.const 1)) (data "x") (elem func) (func) (start 0))"#,
        "(component)",
        r#"(component (import "wasi:cli/exit@0.2.3" (instance)) (core module (func)))"#,
        r#"(component (import "wasi:http/types@0.2.0" (instance)))"#,
        r#"(component (component (core module)) (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#,
    ] {
        put("module", &wat::parse_str(text).expect("a module"));
    }
    put("module", b"#!/bin/sh\n");
    put("module", b"\0asm\x01\0\0\0\xff\xff\xff\xff\xff\xff");
}

/// Saved sessions.
fn archives() {
    let limits = toml::to_string(&potluck_runtime::Limits::default()).expect("limits can be written");
    let about = format!(
        "format = 1\npotluck = \"0.1.0\"\nenvironment = \"python\"\nimage = \"data\"\nturns = 1\ndirectories = [\"out\"]\n\
         [limits]\n{limits}"
    );
    for entries in [
        &[("session.toml", about.as_bytes()), ("memory", &[7; 4096][..])][..],
        &[("session.toml", about.as_bytes()), ("files/a/b", b"x"), ("memory", b"mem")],
        &[("session.toml", about.as_bytes()), ("files/../x", b"x")],
        &[("session.toml", b"format = 2\n")],
        &[("memory", b"")],
    ] {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (number, (name, content)) in entries.iter().enumerate() {
            let method = if number % 2 == 0 { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
            archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).expect("an entry");
            archive.write_all(content).expect("memory takes bytes");
        }
        put("session", &archive.finish().expect("an archive").into_inner());
    }
}

/// Packages, and lists of them.
fn wheels() {
    let about = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    for entries in [
        &[("p-1.dist-info/WHEEL", &about[..]), ("p/__init__.py", b"x = 1\n"), ("p/data/t.csv", b"1,2\n")][..],
        &[("p-1.dist-info/WHEEL", about), ("p-1.data/purelib/q.py", b""), ("p-1.data/scripts/tool", b"#!")],
        &[("p-1.dist-info/WHEEL", about), ("../x.py", b"")],
        &[("p-1.dist-info/WHEEL", b"Root-Is-Purelib: false\nTag: cp315-cp315-linux_x86_64\n")],
        &[("p/__init__.py", b"")],
    ] {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            archive.start_file(*name, SimpleFileOptions::default()).expect("an entry");
            archive.write_all(content).expect("memory takes bytes");
        }
        put("wheel", &archive.finish().expect("an archive").into_inner());
    }
    put("requirements", b"humanize==4.9.0  # for people\nrich \\\n >=13, <14; python_version < '4'\nx[a,b]~=1.4\n");
    put("requirements", b"# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\"rich<14\"]\n# ///\n");
    put("requirements", b"-r other.txt\n--hash=sha256:00\n./x\nx @ https://host/x.whl\n1!2.0.post1.dev2\n");
}

/// Manifests of interpreters.
fn manifests() {
    let least = "name = \"tiny\"\nversion = \"1.0\"\nprogram = \"tiny.wasm\"\n";
    let most = format!(
        "endings = [\"tn\"]\nargs = [\"tiny\", \"--file={{script}}\"]\ntitle = \"T\"\nlicense = \"MIT\"\n{least}\
         env = {{ A = \"b\" }}\nfiles = {{ \"/usr/share/tiny\" = \"lib\" }}\n"
    );
    let pinned = least.replace("\"tiny.wasm\"", "{ file = \"a/b.wasm\", sha256 = \"00\", size = 1 }");
    for text in [least, &most, &pinned, "name = \"../x\"\n[program]\nfile = \"/etc/passwd\"\n"] {
        put("manifest", text.as_bytes());
    }
}

/// The ends of images.
fn tails() {
    let tail = |memory: &[u8], tail: &[u8]| {
        let len = u32::try_from(tail.len()).expect("short").to_le_bytes();
        [memory, tail, &len, b"PLKIMG01"].concat()
    };
    put("image", &tail(&[], b"\x94\x00\x90\xc0\xc0"));
    put("image", &tail(&[0; 4096], b"\x94\xcd\x10\x00\x91\x92\xa2g0\x81\xa3I32\x01\xc0\xc0"));
    put("image", &tail(&[0; 4096], b"\x94\xcd\x10\x00\x90\x91\x92\x00\x01\xc0"));
    put("image", &tail(&[], b"\x94\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x90\xc0\xc0"));
}

fn put(target: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let name = blake3::hash(bytes).to_hex();
    fs::write(folder.join(&name[..16]), bytes).expect("the folder can be written to");
}
