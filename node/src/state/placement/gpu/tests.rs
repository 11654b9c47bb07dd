use super::*;
use crate::state::needs::Needs;

fn gpu(name: &str, gibibytes: Option<u64>) -> GpuFacts {
    GpuFacts { name: name.to_owned(), memory_bytes: gibibytes.map(|size| size << 30) }
}

/// What is said of a machine with these, and what would change it.
fn says(gpus: &[GpuFacts], docker: Option<Offer>, needs: &str) -> Option<String> {
    let needs: Needs = needs.parse().unwrap();
    let reason = obstacle(gpus, docker.as_ref(), (needs.gpus, needs.gpu_memory_bytes))?;
    Some(format!("{reason}; {}", reason.change().unwrap()))
}

#[test]
fn each_machine_that_is_passed_over_has_one_reason() {
    let (small, large) = (gpu("RTX 3060", Some(12)), gpu("A100", Some(80)));
    let cases: [(&[GpuFacts], &str, &str); 7] = [
        (&[], "gpu", "has no GPU that it can see; leave `gpu` out of `--need`"),
        (
            std::slice::from_ref(&small),
            "gpu",
            "has a GPU (RTX 3060), but offers no Docker, and WebAssembly reaches no GPU; its owner can: `potluck share --docker`",
        ),
        (std::slice::from_ref(&small), "gpu=2", "has 1 GPU (RTX 3060), and the job needs 2; ask for `gpu=1` or less"),
        (
            std::slice::from_ref(&small),
            "gpu-memory=16G",
            "has a GPU (RTX 3060) with 12288 MiB of memory, and the job needs 16384 MiB; ask for `gpu-memory=12G` or less",
        ),
        // Of two the second largest counts.
        (
            &[small.clone(), large.clone()],
            "gpu=2,gpu-memory=16G",
            "has a GPU (A100, RTX 3060) with 12288 MiB of memory, and the job needs 16384 MiB; ask for `gpu-memory=12G` or less",
        ),
        (
            &[gpu("T400", None)],
            "gpu-memory=1G",
            "has a GPU (T400) and does not say how much memory it has; leave `gpu-memory` out of `--need`",
        ),
        (
            &[small.clone(), small.clone()],
            "gpu=2,gpu-memory=12G",
            "has a GPU (RTX 3060), but offers no Docker, and WebAssembly reaches no GPU; its owner can: `potluck share --docker`",
        ),
    ];
    for (gpus, needs, expected) in cases {
        assert_eq!(says(gpus, None, needs).as_deref(), Some(expected), "{needs}");
    }
    assert_eq!(says(&[large], None, "cpu=1"), None, "who needs none is not asked");
}

#[test]
fn only_a_docker_with_graphics_processors_gives_one() {
    let gpus = [gpu("RTX 3060", None)];
    let offer = |gives_gpus| Offer { gives_gpus, ..Offer::default() };
    assert_eq!(says(&gpus, Some(offer(true)), "gpu"), None);
    let without = says(&gpus, Some(offer(false)), "gpu").unwrap();
    assert!(without.contains("its Docker gives it to no container") && without.contains("toolkit"), "{without}");
}
