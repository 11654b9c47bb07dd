use super::*;
use potluck_runtime::Outcome;

pub(in crate::wire) fn body() -> ReceiptBody {
    ReceiptBody {
        job: JobId([2; 16]),
        ran: Identity::from_seed(&[1; 32]).id(),
        sent: Identity::from_seed(&[2; 32]).id(),
        program: Some(Digest::from_bytes([1; 32])),
        request: Digest::from_bytes([3; 32]),
        image: None,
        engine: "wasmtime 48".to_owned(),
        limits: Limits::default(),
        report: Report { outcome: Outcome::Exited(0), fuel_used: 5, wall_ms: 7, memory_peak_bytes: 65536 },
        output: Digest::from_bytes([4; 32]),
        accepted_ms: 1_800_000_000_000,
        ended_ms: 1_800_000_000_009,
    }
}

pub(in crate::wire) fn receipt() -> Receipt {
    Receipt::sign(&Identity::from_seed(&[1; 32]), &body())
}

fn expected() -> Expected {
    let body = body();
    Expected {
        ran: body.ran,
        sent: body.sent,
        job: body.job,
        program: body.program,
        request: body.request,
        limits: body.limits,
        report: body.report,
        output: body.output,
    }
}

#[test]
fn a_receipt_is_signed_over_these_bytes() {
    let receipt = receipt();
    assert_eq!(receipt.verify().unwrap(), body());
    let hash = blake3::hash(&signed_bytes(&receipt.body)).to_hex();
    assert_eq!(
        hash.as_str(),
        "ba02a262d5791d5be8f877d4dc144a94b1a013550c06180eeb734627c0f0e26d",
        "a change of this is a change of what was signed"
    );
}

#[test]
fn a_receipt_that_was_changed_anywhere_is_none() {
    let whole = receipt();
    for at in 0..whole.body.len() {
        let mut changed = whole.clone();
        changed.body[at] ^= 1;
        assert!(changed.verify().is_err(), "byte {at}");
    }
    for at in 0..64 {
        let mut changed = whole.clone();
        changed.signature[at] ^= 1;
        assert!(changed.verify().is_err(), "byte {at} of the signature");
    }
    let long = Receipt { body: vec![0; BODY_LEN_MAX + 1], ..whole };
    assert!(matches!(long.verify(), Err(NoReceipt::TooLong(_))));
}

#[test]
fn a_receipt_of_another_key_is_none_although_it_is_signed() {
    let forged = Receipt::sign(&Identity::from_seed(&[9; 32]), &body());
    assert!(matches!(forged.verify(), Err(NoReceipt::Signature(_))));
}

/// A change of what is said.
type Lie = fn(&mut ReceiptBody);

#[test]
fn what_the_submitter_has_seen_itself_must_be_what_is_signed() {
    assert_eq!(receipt().check(&expected()), Ok(body()));
    let lies: [(Lie, &str); 7] = [
        (|body| body.sent = NodeId::from_bytes([9; 32]), "somebody else"),
        (|body| body.job = JobId([9; 16]), "another job"),
        (|body| body.program = None, "another program"),
        (|body| body.request = Digest::from_bytes([9; 32]), "another request"),
        (|body| body.limits.fuel += 1, "its limits"),
        (|body| body.report.fuel_used += 1, "another outcome"),
        (|body| body.output = Digest::from_bytes([9; 32]), "its output"),
    ];
    for (lie, said) in lies {
        let mut lying = body();
        lie(&mut lying);
        let why = Receipt::sign(&Identity::from_seed(&[1; 32]), &lying).check(&expected()).unwrap_err();
        assert!(why.contains(said), "{why}");
    }
    let other = Identity::from_seed(&[9; 32]);
    let impostor = Receipt::sign(&other, &ReceiptBody { ran: other.id(), ..body() });
    assert!(impostor.check(&expected()).unwrap_err().contains("another machine"));
}
