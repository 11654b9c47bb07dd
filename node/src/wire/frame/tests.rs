use super::*;
use crate::wire::FaultCode;
use std::time::Duration;

/// A reader over bytes that arrive in pieces of `step`.
async fn read_all(bytes: &'static [u8], step: usize) -> Result<Vec<Frame>, FrameError> {
    let (mut sender, receiver) = tokio::io::duplex(step.max(1));
    let feeding = tokio::spawn(async move { sender.write_all(bytes).await });
    let mut reader = FrameReader::new(receiver);
    let mut frames = Vec::new();
    let result = loop {
        match reader.next().await {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break Ok(frames),
            Err(error) => break Err(error),
        }
    };
    drop(reader);
    let _ = feeding.await;
    result
}

#[tokio::test]
async fn a_frame_is_tag_length_payload_little_endian() {
    let bytes = b"\x44\x00\x02\x00\x00\x00hi\x53\x00\x00\x00\x00\x00";
    for step in [1, 3, 100] {
        let frames = read_all(bytes, step).await.unwrap();
        let hi = Frame { tag: Tag::STDOUT, payload: Bytes::from_static(b"hi") };
        assert_eq!(frames, [hi, Frame::empty(Tag::STDIN_END)], "in pieces of {step}");
    }
}

#[tokio::test]
async fn an_unknown_tag_survives_as_its_number() {
    let frames = read_all(b"\x39\x30\x01\x00\x00\x00x", 100).await.unwrap();
    assert_eq!(frames[0].tag, Tag(12345));
    assert_eq!(frames[0].tag.to_string(), "unknown(12345)");
}

#[tokio::test]
async fn a_length_over_its_bound_is_refused_from_the_header_alone() {
    let error = read_all(b"\x44\x00\xff\xff\xff\xff", 100).await.unwrap_err();
    assert!(matches!(error, FrameError::TooLong { tag: Tag::STDOUT, len_max: CHUNK_LEN_MAX, .. }), "{error}");
    let error = read_all(b"\x53\x00\x41\x00\x00\x00", 100).await.unwrap_err();
    assert!(matches!(error, FrameError::TooLong { tag: Tag::STDIN_END, len: 65, .. }), "{error}");
}

#[tokio::test]
async fn a_stream_cut_inside_a_frame_is_told_from_one_that_ended() {
    assert!(read_all(b"", 10).await.unwrap().is_empty());
    assert!(matches!(read_all(b"\x44\x00\x02\x00\x00\x00h", 10).await, Err(FrameError::Truncated)));
    assert!(matches!(read_all(b"\x44\x00", 10).await, Err(FrameError::Truncated)));
}

#[tokio::test]
async fn a_cancelled_read_and_a_cancelled_write_lose_nothing() {
    let (mut near, mut far) = FrameStream::pair();
    let mut sent = 0usize;
    // Fill the pipe until a write has to wait, and give that one up.
    loop {
        let frame = Frame { tag: Tag::DATA, payload: Bytes::from(vec![sent as u8; 100_000]) };
        sent += 1;
        if tokio::time::timeout(Duration::from_millis(20), near.writer.send(frame)).await.is_err() {
            break;
        }
    }
    let rest = tokio::spawn(async move {
        near.writer.send_empty(Tag::STDIN_END).await.unwrap();
        near.writer.finish().await.unwrap();
        near
    });
    for number in 0..sent {
        let frame = loop {
            // Give every other read up at once.
            let reading = far.reader.next();
            if let Ok(frame) = tokio::time::timeout(Duration::ZERO, reading).await {
                break frame.unwrap().unwrap();
            }
        };
        assert_eq!(frame.payload, vec![number as u8; 100_000], "frame {number}");
    }
    assert_eq!(far.reader.next().await.unwrap(), Some(Frame::empty(Tag::STDIN_END)));
    assert_eq!(far.reader.next().await.unwrap(), None);
    rest.await.unwrap();
}

#[tokio::test]
async fn a_writer_waits_for_its_reader() {
    let (mut near, far) = FrameStream::pair();
    let flood = async {
        for _ in 0..100 {
            near.writer.send_bytes(Tag::DATA, Bytes::from(vec![0; CHUNK_LEN_MAX])).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(50), flood).await.is_err());
    drop(far);
    let broken = near.writer.send_empty(Tag::STDIN_END).await;
    assert!(matches!(broken, Err(FrameError::Io(_))), "{broken:?}");
}

#[tokio::test]
async fn a_fault_is_an_error_with_its_sentence_and_long_bytes_are_cut_into_frames() {
    let (mut near, mut far) = FrameStream::pair();
    near.writer.send_fault(&Fault::new(FaultCode::BUSY, "x".repeat(1_000_000))).await.unwrap();
    assert!(matches!(far.reader.expect(Tag::DONE).await, Err(FrameError::Fault(f)) if f.code == FaultCode::BUSY));
    let sending = tokio::spawn(async move {
        near.writer.send_bytes(Tag::DATA, Bytes::from(vec![1; CHUNK_LEN_MAX + 1])).await.unwrap();
        near
    });
    assert_eq!(far.reader.expect(Tag::DATA).await.unwrap().payload.len(), CHUNK_LEN_MAX);
    assert_eq!(far.reader.expect(Tag::DATA).await.unwrap().payload.len(), 1);
    sending.await.unwrap();
}

#[tokio::test]
async fn the_sentence_of_a_fault_cannot_command_a_terminal() {
    let (mut near, mut far) = FrameStream::pair();
    near.writer.send_fault(&Fault::new(FaultCode::BUSY, "one\u{1b}[2J\ntwo\r")).await.unwrap();
    let answer = far.reader.expect(Tag::DONE).await;
    assert!(matches!(&answer, Err(FrameError::Fault(fault)) if fault.text == "one[2J\ntwo"), "{answer:?}");
}

#[tokio::test]
async fn queued_frames_go_out_in_order_with_the_next_or_with_a_flush() {
    let (mut near, mut far) = FrameStream::pair();
    let small = |n: u8| Frame { tag: Tag::STDOUT, payload: Bytes::from(vec![n; 10]) };
    near.writer.queue(Frame::empty(Tag::STARTED)).await.unwrap();
    near.writer.queue(small(1)).await.unwrap();
    assert!(near.writer.has_queued());
    let early = tokio::time::timeout(Duration::from_millis(20), far.reader.next()).await;
    assert!(early.is_err(), "sent before it was asked for");
    near.writer.send(small(2)).await.unwrap();
    assert!(!near.writer.has_queued());
    let long = Frame { tag: Tag::STDOUT, payload: Bytes::from(vec![3; INLINE_LEN_MAX + 1]) };
    near.writer.queue(small(4)).await.unwrap();
    near.writer.queue(long.clone()).await.unwrap();
    near.writer.queue(small(5)).await.unwrap();
    near.writer.flush().await.unwrap();
    for wanted in [Frame::empty(Tag::STARTED), small(1), small(2), small(4), long, small(5)] {
        assert_eq!(far.reader.next().await.unwrap().unwrap(), wanted);
    }
}

#[tokio::test]
async fn large_payloads_keep_their_bytes_while_they_are_held_and_give_their_memory_back_after() {
    let (mut near, mut far) = FrameStream::pair();
    let feeding = tokio::spawn(async move {
        for number in 0..40 {
            near.writer.send_bytes(Tag::DATA, Bytes::from(vec![number; CHUNK_LEN_MAX])).await.unwrap();
        }
    });
    let mut held = VecDeque::new();
    for number in 0..40 {
        let payload = far.reader.expect(Tag::DATA).await.unwrap().payload;
        held.push_back((number, payload));
        if held.len() > 3 {
            let (number, payload) = held.pop_front().unwrap();
            assert!(payload.len() == CHUNK_LEN_MAX && payload.iter().all(|byte| *byte == number));
        }
    }
    feeding.await.unwrap();
    assert!(far.reader.lent.len() < LENT_MAX, "what is not held any more was taken back");
}
