//! The program of a *holder*: the container that does nothing but keep the working directory of a run mounted, before the
//! job's own container has started and after it has ended. A volume in memory is there only as long as a container that
//! uses it runs, and the image of a job may hold no program that waits; so the holder brings its own, which is here in full.
//!
//! It is a static executable without a library: a header of 64 bytes, one program header of 56, and a few instructions which
//! wait for ever. It reads nothing, writes nothing and opens nothing.

/// Where it lies in the holder's root.
pub(crate) const HOLDER_NAME: &str = ".potluck-holder";
/// The length of the file's header and of its one program header, in bytes.
const HEADER_LEN: u16 = 64;
const SEGMENT_HEADER_LEN: u16 = 56;
/// Where it is loaded; a place that every Linux has.
const ADDRESS: u64 = 0x40_0000;
/// A multiple of the pages of every machine.
const ALIGNMENT: u64 = 0x1_0000;

/// `again: push 34; pop rax; syscall; jmp again`, where 34 is `pause`.
const X86_64: &[u8] = &[0x6a, 34, 0x58, 0x0f, 0x05, 0xeb, 0xf9];
/// `movz x8, 73; again: movz x0, 0; movz x1, 0; movz x2, 0; movz x3, 0; svc 0; b again`, where 73 is `ppoll`: of no files,
/// without an end.
const AARCH64: &[u8] = &[
    0x28, 0x09, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80,
    0xd2, 0x01, 0x00, 0x00, 0xd4, 0xfb, 0xff, 0xff, 0x17,
];

/// The executable for a processor, by the name images have for it; `None` for one we have no instructions for.
pub(crate) fn holder_executable(architecture: &str) -> Option<Vec<u8>> {
    let (machine, code): (u16, &[u8]) = match architecture {
        "amd64" => (62, X86_64),
        "arm64" => (183, AARCH64),
        _ => return None,
    };
    let code_at = HEADER_LEN + SEGMENT_HEADER_LEN;
    let len = u64::from(code_at) + code.len() as u64;
    let mut file = Vec::with_capacity(usize::from(code_at) + code.len());
    // 64 bits, little-endian, version 1, no particular system.
    file.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // An executable at fixed addresses.
    file.extend([2_u16, machine].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    // Where it begins, where its program headers are, and that it has no sections.
    file.extend([ADDRESS + u64::from(code_at), u64::from(HEADER_LEN), 0].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend([HEADER_LEN, SEGMENT_HEADER_LEN, 1, 0, 0, 0].iter().flat_map(|value| value.to_le_bytes()));
    // One segment to be loaded: the whole file, to be read and executed.
    file.extend([1_u32, 5].iter().flat_map(|value| value.to_le_bytes()));
    file.extend([0, ADDRESS, ADDRESS, len, len, ALIGNMENT].iter().flat_map(|value| value.to_le_bytes()));
    file.extend(code);
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn the_holder_waits_until_it_is_killed() {
        let architecture = super::super::spec::machine_architecture();
        let Some(bytes) = holder_executable(architecture) else { return };
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(HOLDER_NAME);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut child = Command::new(&path).spawn().unwrap();
        // One that is killed by a signal of its own making ends before this one arrives.
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::STOP).unwrap();
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended}");
    }

    #[test]
    fn there_is_a_holder_for_both_processors() {
        assert_eq!(holder_executable("amd64").unwrap().len(), 127);
        assert_eq!(holder_executable("arm64").unwrap().len(), 148);
        assert_eq!(holder_executable("s390x"), None);
    }
}
