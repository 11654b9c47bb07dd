use super::*;
use crate::identity::NodeId;

pub(in crate::state::placement) fn machine() -> MachineFacts {
    MachineFacts {
        place: Place::Peer(NodeId::from_bytes([1; 32])),
        name: "attic".to_owned(),
        os: "linux".parse().ok(),
        arch: None,
        cores: 4,
        memory_bytes: 8 << 30,
        memory_free_bytes: 2 << 30,
        load_milli: 0,
        gpus: Vec::new(),
        docker: None,
        tags: ["fast".parse().unwrap()].into(),
        engine: Engine::Fit,
        lends: Lends::Now,
        places: 2,
        round_trip_ms: 1,
    }
}

fn needs(text: &str) -> Requirements {
    Requirements { needs: text.parse().unwrap(), ..Requirements::default() }
}

fn says(machine: &MachineFacts, requirements: &Requirements) -> String {
    let reason = obstacle(machine, requirements).unwrap_or_else(|| panic!("{requirements:?} fits"));
    format!("{reason}; {}", reason.change().unwrap())
}

#[test]
fn what_is_there_fits() {
    let all = needs("cpu=4,mem=2G,os=linux,tag=fast");
    assert_eq!(obstacle(&machine(), &all), None);
    assert_eq!(obstacle(&machine(), &Requirements::default()), None);
}

#[test]
fn each_need_that_is_not_met_is_the_reason_and_says_what_would_change_it() {
    let cases = [
        ("cpu=8", "has 4 cores, and the job needs 8; ask for `cpu=4` or less"),
        ("mem=16G", "lends at most 8192 MiB of memory, and the job needs 16384 MiB; ask for `mem=8G` or less"),
        ("mem=4G", "has 2048 MiB of memory free, and the job needs 4096 MiB; it fits once memory is free there"),
        ("os=windows", "runs linux, and the job needs windows; leave `os=windows` out of `--need`"),
        ("arch=aarch64", "is an unknown one, and the job needs aarch64; leave `arch=aarch64` out of `--need`"),
        ("gpu", "has no GPU that it can see; leave `gpu` out of `--need`"),
        (
            "tag=big",
            "has not the tag big; its owner gives it the tag with `potluck config set tags fast,big` there and a new start of its \
             node, or leave `tag=big` out of `--need`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(says(&machine(), &needs(text)), expected);
    }
}

#[test]
fn who_is_not_named_unsafe_or_not_lending_is_passed_over() {
    let named = Requirements { on: vec![Place::Here], ..Requirements::default() };
    assert!(says(&machine(), &named).starts_with("is not among the machines of `--on`"));
    let leaky = MachineFacts { engine: Engine::Unsafe, ..machine() };
    assert!(says(&leaky, &Requirements::default()).contains("update Potluck"));
    let own = MachineFacts { place: Place::Here, ..leaky };
    assert_eq!(obstacle(&own, &Requirements::default()), None, "the owner's own jobs may run here");
    let closed = MachineFacts { lends: Lends::Not("battery".to_owned()), ..machine() };
    assert!(says(&closed, &Requirements::default()).contains("now: battery; its owner decides with `potluck share`"));
}

#[test]
fn wishes_name_machines_and_tags() {
    let fast = Who::Tag("fast".parse().unwrap());
    assert!(named(&machine(), &[Who::Machine(Place::Here), fast]));
    assert!(named(&machine(), &[Who::Machine(machine().place)]));
    assert!(!named(&machine(), &[Who::Machine(Place::Here), Who::Tag("slow".parse().unwrap())]));
}
