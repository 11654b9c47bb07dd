use super::*;
use crate::job::{InputFile, Mount as Folder, Program};
use crate::{GuestPath, Limits};

fn prepared(command: &[&str]) -> PreparedContainer {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    PreparedContainer {
        program: Program::Container { image: "bb".to_owned(), command },
        image_id: "sha256:1".to_owned(),
        has_check: false,
        architecture: "amd64".to_owned(),
        volumes: vec!["/data".to_owned(), "/work".to_owned(), "/folder".to_owned()],
    }
}

fn made(command: &[&str], change: impl Fn(&mut RunRequest)) -> ContainerCreateBody {
    let prepared = prepared(command);
    let mut request = RunRequest::new(prepared.program.clone());
    change(&mut request);
    let room = Room::new(&request, Given::default());
    job(&Names::new("me"), &prepared, &request, room, Cards::Runtime)
}

#[test]
fn a_job_is_given_nothing_beyond_its_request() {
    let body = made(&["sh"], |request| {
        request.mounts = vec![Folder { host: "/some/folder".into(), guest: "/folder".to_owned() }];
    });
    let host = body.host_config.unwrap();
    assert_eq!(body.user.as_deref(), Some("65534:65534"));
    assert_eq!((host.network_mode.as_deref(), body.network_disabled), (Some("none"), Some(true)));
    assert_eq!((host.readonly_rootfs, host.privileged), (Some(true), Some(false)));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    assert!(host.cap_add.is_none() && host.devices.is_none() && host.device_requests.is_none() && host.binds.is_none());
    let mounts = host.mounts.unwrap();
    let of_host: Vec<&Mount> = mounts.iter().filter(|mount| mount.typ == Some(MountType::BIND)).collect();
    assert_eq!(of_host.len(), 1);
    assert_eq!((of_host[0].source.as_deref(), of_host[0].read_only), (Some("/some/folder"), Some(true)));
}

#[test]
fn places_an_image_declares_are_empty_and_cannot_be_written() {
    let mounts = made(&["sh"], |request| {
        request.mounts = vec![Folder { host: "/some/folder".into(), guest: "/folder".to_owned() }];
    });
    let mounts = mounts.host_config.unwrap().mounts.unwrap();
    let at = |place: &str| mounts.iter().filter(|mount| mount.target.as_deref() == Some(place)).collect::<Vec<_>>();
    assert_eq!((at("/work").len(), at("/folder").len()), (1, 1));
    assert_eq!((at("/data")[0].typ, at("/data")[0].read_only), (Some(MountType::TMPFS), Some(true)));
}

#[test]
fn a_first_word_that_names_an_input_is_that_file() {
    let with_tool = |request: &mut RunRequest| {
        let guest = GuestPath::parse("bin/tool").unwrap();
        request.inputs = vec![InputFile { guest, source: "/x".into(), executable: true }];
        request.args = vec!["1".to_owned()];
    };
    let words = |body: ContainerCreateBody| [body.entrypoint.unwrap(), body.cmd.unwrap()].concat();
    assert_eq!(words(made(&["bin/tool", "bin/tool"], with_tool)), ["./bin/tool", "bin/tool", "1"]);
    assert_eq!(words(made(&["tool"], with_tool)), ["tool", "1"]);
    assert_eq!(words(made(&[], with_tool)), ["1"]);
}

#[test]
fn no_directory_is_without_a_bound() {
    for disk_bytes in [0, 1, 4096, 1 << 20, 1 << 40, u64::MAX] {
        let limits = Limits { disk_bytes, files: 0, ..Limits::default() };
        let request = RunRequest { limits, ..RunRequest::new(prepared(&["sh"]).program) };
        let room = Room::new(&request, Given::default());
        assert!(room.work >= PAGE && room.tmp >= TMP_MIN && room.files >= 1, "{disk_bytes}: {room:?}");
        let options = volume(&Names::new("me"), room).driver_opts.unwrap()["o"].clone();
        assert!(!options.contains("nr_blocks=0") && !options.contains("nr_inodes=0"), "{options}");
    }
}

#[test]
fn cards_are_asked_for_only_when_they_are_wanted() {
    let requested = |gpus| made(&["sh"], |request| request.gpus = gpus).host_config.unwrap().device_requests;
    assert_eq!(requested(0), None);
    assert_eq!(requested(2).unwrap()[0].count, Some(2));
    let described = device_request(2, Cards::Described);
    assert_eq!(described.device_ids.unwrap(), ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]);
}

#[test]
fn no_two_runs_have_the_same_names() {
    assert_ne!(Names::new("me").job, Names::new("me").job);
}

#[test]
fn variables_of_the_request_replace_ours_and_nothing_else_is_given() {
    let given = [("HOME", "/work"), ("NVIDIA_VISIBLE_DEVICES", "all")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let env = |gpus| {
        let change = |request: &mut RunRequest| (request.env, request.gpus) = (given.clone(), gpus);
        made(&["sh"], change).env.unwrap()
    };
    assert_eq!(env(0), ["TMPDIR=/tmp", "NVIDIA_VISIBLE_DEVICES=void", "HOME=/work"]);
    assert_eq!(env(1), ["TMPDIR=/tmp", "HOME=/work"]);
}
