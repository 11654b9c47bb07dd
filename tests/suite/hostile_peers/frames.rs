//! Frames that are not what they say, or say nothing.

use super::scene::{attacked, job};
use potluck_node::wire::{FaultCode, Tag, encode};
use potluck_tests::{Stream, frame};
use std::time::Duration;

#[test]
fn a_length_of_four_gigabytes_is_refused_by_its_head() {
    attacked(async |eve| {
        let line = eve.line().await;
        for tag in [Tag::SUBMIT, Tag::MEMBERS, Tag::INFO, Tag::SESSION_TURN, Tag(9999)] {
            let mut stream = line.stream().await.unwrap();
            stream.bytes(&frame(tag, u32::MAX as usize, &[0; 100])).await.unwrap();
            let fault = stream.fault().await;
            assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("bound"), "{tag}: {fault}");
        }
    });
}

#[test]
fn a_length_that_is_too_short_cuts_the_message_and_says_so() {
    attacked(async |eve| {
        let line = eve.line().await;
        let whole = encode(&job(1, b"soup"));
        for len in [0, 1, whole.len() / 2, whole.len() - 1] {
            let mut stream = line.stream().await.unwrap();
            stream.bytes(&frame(Tag::SUBMIT, len, &whole)).await.unwrap();
            assert_eq!(stream.fault().await.code, FaultCode::BAD_MESSAGE, "{len}");
        }
        // What follows the message is no message either.
        let fault = line.refused(Tag::SUBMIT, &[&whole[..], &[0; 9]].concat()).await;
        assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("follow"), "{fault}");
    });
}

#[test]
fn a_stream_that_ends_within_a_frame_is_told_so() {
    attacked(async |eve| {
        let line = eve.line().await;
        for bytes in [&frame(Tag::SUBMIT, 1000, &[0; 10])[..], &[16, 0, 1], &[16]] {
            let mut stream = line.stream().await.unwrap();
            stream.bytes(bytes).await.unwrap();
            stream.send.finish().unwrap();
            let fault = stream.fault().await;
            assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("ended early"), "{fault}");
        }
    });
}

#[test]
fn a_request_that_comes_byte_by_byte_is_not_waited_for() {
    attacked(async |eve| {
        let line = eve.line().await;
        let mut slow = Vec::new();
        for _ in 0..100 {
            let mut stream = line.stream().await.unwrap();
            stream.bytes(&[16]).await.unwrap();
            slow.push(stream);
        }
        // One of them says a little more from time to time, which is no reason to wait either.
        let Stream { mut send, mut receive } = line.stream().await.unwrap();
        let dripping = tokio::spawn(async move {
            for byte in frame(Tag::SUBMIT, 1000, &[0x81; 1000]) {
                if send.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        for stream in &mut slow {
            let fault = stream.fault().await;
            assert!(fault.code == FaultCode::TOO_SLOW && fault.text.contains("within 5 s"), "{fault}");
        }
        let told = receive.read_to_end(1000).await.unwrap();
        assert!(String::from_utf8_lossy(&told).contains("within 5 s"), "{told:?}");
        dripping.abort();
    });
}

#[test]
fn tags_that_nobody_has_given_are_refused_by_their_number() {
    attacked(async |eve| {
        let line = eve.line().await;
        for number in [0, 2, 15, 29, 31, 100, 500, u16::MAX] {
            let fault = line.refused(Tag(number), b"what").await;
            assert_eq!(fault.code, FaultCode::UNSUPPORTED, "{number}");
            assert!(fault.text.contains(&number.to_string()), "{fault}");
        }
    });
}

#[test]
fn answers_are_no_requests() {
    attacked(async |eve| {
        const REQUESTS: [Tag; 7] = [
            Tag::RUN_KEEP,
            Tag::RUN_COLLECT,
            Tag::RUN_RELEASE,
            Tag::RUN_WITHDRAW,
            Tag::RUN_LIST,
            Tag::RUN_CHECKPOINT,
            Tag::RUN_END,
        ];
        let line = eve.line().await;
        let is_answer = |tag: Tag| tag.0 >= 64 && !REQUESTS.contains(&tag) || [Tag::FAULT, Tag::JOIN].contains(&tag);
        for (tag, _) in Tag::KNOWN.iter().filter(|(tag, _)| is_answer(*tag)) {
            let fault = line.refused(*tag, b"").await;
            assert_eq!(fault.code, FaultCode::UNSUPPORTED, "{tag}");
        }
    });
}

#[test]
fn frames_out_of_order_end_the_job() {
    attacked(async |eve| {
        let line = eve.line().await;
        for (number, tag) in [Tag::DATA, Tag::BLOBS_END, Tag::STDIN, Tag::SUBMIT, Tag::ENDED].into_iter().enumerate() {
            let mut stream = line.stream().await.unwrap();
            stream.tell(Tag::SUBMIT, &job(number as u64, b"soup")).await.unwrap();
            stream.until(Tag::NEED).await;
            stream.say(tag, b"").await.unwrap();
            let fault = stream.fault().await;
            assert!(fault.code == FaultCode::BAD_MESSAGE && fault.text.contains("BLOB"), "{tag}: {fault}");
        }
    });
}
