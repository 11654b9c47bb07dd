//! Names of images. Two texts that mean the same image are the same [`ImageName`]: what is left out is filled in as every
//! engine does it.

use std::fmt;

/// The registry that is meant when none is named.
const REGISTRY: &str = "docker.io";
/// The namespace of its own images.
const LIBRARY: &str = "library";
/// The longest text that is taken for a name.
const NAME_LEN_MAX: usize = 512;
/// How many hexadecimal digits a SHA-256 has.
const SHA256_HEX_LEN: usize = 64;

/// The full name of an image: `docker.io/library/python:3.12`, `ghcr.io/a/b@sha256:…`, or the id of one that has been got.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    full: String,
    is_id: bool,
}

/// A text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} names no image: {why}; write it as in 'docker pull': python:3.12")]
pub struct ImageNameError {
    name: String,
    why: &'static str,
}

impl ImageName {
    /// Reads a reference as it is written for `docker pull`, or an id (`sha256:` and 64 digits). What is left out is filled
    /// in: the registry `docker.io`, the namespace `library`, the tag `latest` unless there is a digest.
    ///
    /// # Errors
    /// An [`ImageNameError`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, ImageNameError> {
        let refuse = |why| ImageNameError { name: text.chars().take(200).collect(), why };
        if text.is_empty() || text.len() > NAME_LEN_MAX {
            return Err(refuse("it is empty or longer than 512 bytes"));
        }
        if let Some(hex) = text.strip_prefix("sha256:") {
            let full = text.to_owned();
            return if is_sha256(hex) { Ok(Self { full, is_id: true }) } else { Err(refuse(DIGEST)) };
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        if !digest.is_none_or(|digest| digest.strip_prefix("sha256:").is_some_and(is_sha256)) {
            return Err(refuse(DIGEST));
        }
        let (path, tag) = match named.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (named, None),
        };
        if !tag.is_none_or(is_tag) {
            return Err(refuse("its tag is not of letters, digits, '_', '.' and '-'"));
        }
        let (registry, repository) = split_registry(path);
        if !registry.split_once(':').map_or((registry, "0"), |parts| parts).0.split('.').all(is_label) {
            return Err(refuse("its registry is not a host name"));
        }
        if !repository.split('/').all(is_component) {
            return Err(refuse("it holds something else than lower-case letters, digits and single '.', '_' and '-'"));
        }
        let library = if registry == REGISTRY && !repository.contains('/') { "library/" } else { "" };
        let mut full = format!("{registry}/{library}{repository}");
        match (tag, digest) {
            (_, Some(digest)) => full = format!("{full}@{digest}"),
            (tag, None) => full = format!("{full}:{}", tag.unwrap_or("latest")),
        }
        Ok(Self { full, is_id: false })
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// Whether this is the id of an image rather than a name of one.
    #[must_use]
    pub fn is_id(&self) -> bool {
        self.is_id
    }

    /// As people write it: without what every engine fills in.
    #[must_use]
    pub fn short(&self) -> &str {
        let own = self.full.strip_prefix(REGISTRY).and_then(|rest| rest.strip_prefix('/'));
        let short = own.map_or(self.full.as_str(), |rest| {
            rest.strip_prefix(LIBRARY).and_then(|rest| rest.strip_prefix('/')).unwrap_or(rest)
        });
        short.strip_suffix(":latest").unwrap_or(short)
    }
}

const DIGEST: &str = "its digest is not 'sha256:' and 64 hexadecimal digits";

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

/// The first component is a registry if it looks like a host.
fn split_registry(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (if first == "index.docker.io" { REGISTRY } else { first }, rest)
        }
        _ => (REGISTRY, path),
    }
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == SHA256_HEX_LEN && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_tag(tag: &str) -> bool {
    let first_is_word = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first_is_word && tag.len() <= 128 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Letters and digits with separators between them, never at an end.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [component.bytes().next(), component.bytes().next_back()];
    ends.into_iter().all(|end| end.is_some_and(is_word))
        && component.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte))
        && !component.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        ImageName::parse(text).unwrap().to_string()
    }

    #[test]
    fn what_is_left_out_of_a_name_is_filled_in() {
        assert_eq!(full("python"), "docker.io/library/python:latest");
        assert_eq!(full("python:3.12"), "docker.io/library/python:3.12");
        assert_eq!(full("docker.io/python:3.12"), "docker.io/library/python:3.12");
        assert_eq!(full("index.docker.io/library/python"), "docker.io/library/python:latest");
        assert_eq!(full("ann/tool"), "docker.io/ann/tool:latest");
        assert_eq!(full("localhost/busybox"), "localhost/busybox:latest");
        assert_eq!(full("registry.example:5000/a/b:1"), "registry.example:5000/a/b:1");
    }

    #[test]
    fn a_digest_counts_and_the_tag_beside_it_does_not() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(full(&format!("python:3.12@{digest}")), format!("docker.io/library/python@{digest}"));
        let id = ImageName::parse(&digest).unwrap();
        assert!(id.is_id());
        assert_ne!(id, ImageName::parse(&format!("python@{digest}")).unwrap());
    }

    #[test]
    fn what_names_no_image_is_refused() {
        let long = "a".repeat(600);
        let refused =
            ["", "Python", "a b", "a/../b", "-a", "a:", "a:b c", "/a", "a//b", "a@sha256:12", "sha256:xyz", &long];
        for text in refused {
            assert!(ImageName::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn people_see_the_short_name() {
        for text in ["python", "python:3.12", "ann/tool:1", "ghcr.io/a/b"] {
            assert_eq!(ImageName::parse(text).unwrap().short(), text);
        }
    }
}
