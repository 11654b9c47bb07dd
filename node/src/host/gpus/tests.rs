use super::*;
use crate::host::sensors::fake::FakeRoot;
use std::process::Command;

/// A root with a library that was compiled to answer so.
fn with_library(flags: &[&str]) -> FakeRoot {
    let root = FakeRoot::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/host/gpus/false_nvml.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", source, "-o"]).arg(root.path().join("libnvidia-ml.so.1"));
    assert!(cc.args(flags).status().unwrap().success(), "{flags:?}");
    root
}

fn names(gpus: &[Gpu]) -> Vec<&str> {
    gpus.iter().map(|gpu| gpu.name.as_str()).collect()
}

#[test]
fn what_the_library_says_is_told() {
    let sight = look(with_library(&["-DCOUNT=2"]).path());
    let gpu = Gpu {
        name: "NVIDIA GeForce RTX 3060".into(),
        vendor: "nvidia".into(),
        memory_bytes: Some(12 << 30),
        memory_free_bytes: Some(9 << 30),
        driver: Some("550.54.14".into()),
        cuda: Some("12.4".into()),
        busy_percent: Some(7),
    };
    assert_eq!((sight.gpus, sight.trouble), (vec![gpu.clone(), gpu], None));
    assert_eq!(sight.tried[0], "NVML told of 2");
}

#[test]
fn a_call_that_fails_leaves_out_what_it_would_have_said_or_all_where_nothing_is_left() {
    let sight = look(with_library(&["-DREST=3"]).path());
    assert_eq!(sight.gpus, [Gpu { vendor: "nvidia".into(), ..Gpu::named("NVIDIA GeForce RTX 3060") }]);
    // Lost, no driver, unknown, and a number that no version of the library has.
    for flag in ["-DINIT=9", "-DCOUNTING=999", "-DHANDLE=15", "-DNAMING=12345"] {
        let sight = look(with_library(&[flag]).path());
        assert!(sight.gpus.is_empty(), "{flag}: {sight:?}");
        assert!(sight.trouble.is_some_and(|why| why.contains("libnvidia-ml.so.1 fails")), "{flag}");
    }
}

#[test]
fn what_no_library_would_say_is_bounded() {
    let sight = look(with_library(&["-DCOUNT=4294967295u", "-DNAME=\"\\033[2J\\n\"", "-DBUSY=4000000000u"]).path());
    assert_eq!((sight.gpus.len(), sight.gpus[0].name.as_str(), sight.gpus[0].busy_percent), (GPUS_MAX, "[2J", None));
    let long = format!("-DNAME=\"{}\"", "x".repeat(5000));
    assert_eq!(look(with_library(&[&long]).path()).gpus[0].name.len(), 95);
    assert_eq!(names(&look(with_library(&["-DNAME=\"\\n\""]).path()).gpus), ["a GPU without a name"]);
    // A name that is no text names nothing.
    assert!(look(with_library(&["-DNAME=\"\\xff\\xfe\""]).path()).gpus.is_empty());
}

#[test]
fn a_library_that_makes_the_look_panic_or_is_none_is_a_word_on_what_was_tried() {
    let sight = look(with_library(&["-DWITHOUT_SHUTDOWN"]).path());
    assert!(sight.gpus.is_empty() && sight.tried[0].contains("panicked"), "{sight:?}");
    let root = FakeRoot::new();
    root.write("libnvidia-ml.so.1", "no library");
    assert!(look(root.path()).trouble.is_some_and(|why| why.contains("fails")));
    let nothing = look(FakeRoot::new().path());
    assert!(nothing.gpus.is_empty() && nothing.trouble.is_none() && nothing.tried[0].contains("is not there"));
}

#[test]
fn without_the_library_the_kernels_files_name_them_and_virtual_displays_are_none() {
    let root = FakeRoot::new();
    root.write("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA T400\nIRQ: 1\n");
    root.write("sys/class/drm/card0/device/vendor", "0x10de\n");
    root.write("sys/class/drm/card1/device/vendor", "0x8086\n");
    root.write("sys/class/drm/card1/device/device", "0x46a6\n");
    root.write("sys/class/drm/card1-HDMI-A-1/device/vendor", "0x8086\n");
    root.write("sys/class/drm/card2/device/vendor", "0x1af4\n");
    root.write("sys/class/drm/card3/device/vendor", "0x1002\n");
    root.write("sys/class/drm/card3/device/mem_info_vram_total", "8589934592\n");
    root.write("sys/class/drm/card3/device/mem_info_vram_used", "1073741824\n");
    root.write("sys/class/drm/card3/device/gpu_busy_percent", "300\n");
    let sight = look(root.path());
    assert_eq!(names(&sight.gpus), ["NVIDIA T400", "AMD graphics", "Intel graphics 0x46a6"]);
    assert_eq!((sight.gpus[1].memory_bytes, sight.gpus[1].memory_free_bytes), (Some(8 << 30), Some(7 << 30)));
    assert_eq!((sight.gpus[1].busy_percent, sight.gpus[2].vendor.as_str()), (None, "intel"));
    assert!(sight.trouble.is_some_and(|why| why.contains("is not there")), "the library would say more of NVIDIA's");
    assert_eq!(glance(root.path()), sight.gpus);
}

#[test]
fn those_that_the_system_has_put_to_sleep_are_known() {
    let root = FakeRoot::new();
    assert!(!files::nvidia_sleeps(root.path()));
    root.write("sys/bus/pci/drivers/nvidia/0000:01:00.0/power/runtime_status", "suspended\n");
    assert!(files::nvidia_sleeps(root.path()));
    root.write("sys/bus/pci/drivers/nvidia/0000:02:00.0/power/runtime_status", "active\n");
    assert!(!files::nvidia_sleeps(root.path()));
}

#[tokio::test]
async fn a_watch_tells_once_the_first_look_is_over_and_its_thread_ends_with_it() {
    let root = with_library(&[]);
    let mut watch = GpuWatch::begin(root.path());
    let first = watch.first(crate::defaults::GPU_LOOK_TIMEOUT * 6).await.unwrap();
    assert_eq!((first.gpus.len(), watch.sight()), (1, Some(first)));
    let (ask, asked) = sync_channel(1);
    drop(ask);
    assert!(!rest(&asked));
}
