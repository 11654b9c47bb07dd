//! What a machine offers of containers, and what keeps it from running a job that wants one: one reason, the one that decides,
//! with what would change it. Images are compared by their full names, so that what an engine fills in by itself makes no
//! difference.

use potluck_runtime::{ImageName, ImageNameError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Images of one machine's offer: a list that somebody keeps by hand, and that all peers hear.
pub const IMAGES_MAX: usize = 32;

/// Bytes of an image's full name in such a list: a name with a registry and a digest is shorter.
pub const IMAGE_LEN_MAX: usize = 200;

/// Images that are named in a sentence.
const NAMED_MAX: usize = 5;

/// A container image by its name, equal by the full one and written as people do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Image(ImageName);

/// What a machine offers of containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Whether its engine answers.
    pub answers: bool,
    /// The images its owner allows, with whether each is there.
    pub images: Vec<(Image, bool)>,
    /// Whether its engine can give a job the graphics processors of its machine.
    pub gives_gpus: bool,
}

/// Why a machine does not run a container of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lacks {
    /// The image.
    pub image: Image,
    /// What is missing.
    pub what: Lack,
}

/// What is missing on a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Its owner offers no containers.
    Offer,
    /// Its owner allows others.
    Leave {
        /// Those.
        allowed: Vec<Image>,
    },
    /// Its engine does not answer.
    Engine,
    /// The image is allowed and not there.
    Bytes,
}

/// What keeps a machine with this offer from running containers of this image; none when nothing does.
#[must_use]
pub fn lacks(offer: Option<&Offer>, image: &Image) -> Option<Lacks> {
    let what = match offer {
        None => Lack::Offer,
        Some(Offer { answers, images, .. }) => match images.iter().find(|(allowed, _)| allowed == image) {
            None => Lack::Leave { allowed: images.iter().map(|(image, _)| image.clone()).collect() },
            Some(_) if !answers => Lack::Engine,
            Some((_, false)) => Lack::Bytes,
            Some((_, true)) => return None,
        },
    };
    Some(Lacks { image: image.clone(), what })
}

impl Lacks {
    /// What would change it, as a sentence for the submitter.
    #[must_use]
    pub fn change(&self) -> String {
        let image = &self.image;
        match &self.what {
            Lack::Offer => format!("its owner can: `potluck share --docker --docker-image {image}`"),
            Lack::Leave { .. } => format!("its owner can allow it: `potluck share --docker-image {image}`"),
            Lack::Engine => "`potluck doctor` there says why".to_owned(),
            Lack::Bytes => format!("its owner can get it: `docker pull {image}`"),
        }
    }
}

impl fmt::Display for Lacks {
    /// The rest of a sentence that begins with the machine's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = &self.image;
        match &self.what {
            Lack::Offer => f.write_str("does not offer Docker"),
            Lack::Leave { allowed } if allowed.is_empty() => {
                write!(f, "offers Docker, and no image yet, so not {image}")
            }
            Lack::Leave { allowed } => {
                let mut names: Vec<String> = allowed.iter().take(NAMED_MAX).map(Image::to_string).collect();
                if allowed.len() > NAMED_MAX {
                    names.push("others".to_owned());
                }
                write!(f, "offers Docker, but not the image {image}: it offers {}", names.join(", "))
            }
            Lack::Engine => f.write_str("offers Docker, and its engine does not answer now"),
            Lack::Bytes => write!(f, "allows the image {image}, and has not got it"),
        }
    }
}

impl Image {
    /// The full name.
    #[must_use]
    pub const fn name(&self) -> &ImageName {
        &self.0
    }
}

impl FromStr for Image {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        ImageName::parse(text).map(Self)
    }
}

impl TryFrom<String> for Image {
    type Error = ImageNameError;

    fn try_from(text: String) -> Result<Self, ImageNameError> {
        text.parse()
    }
}

impl From<Image> for String {
    fn from(image: Image) -> Self {
        image.to_string()
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> Image {
        text.parse().unwrap()
    }

    fn says(offer: Option<&Offer>, wanted: &str) -> String {
        lacks(offer, &image(wanted)).map_or("nothing".to_owned(), |lacks| format!("{lacks}; {}", lacks.change()))
    }

    #[test]
    fn each_machine_has_one_reason_with_its_cure() {
        let offer = |answers, images: &[(&str, bool)]| Offer {
            answers,
            images: images.iter().map(|(name, there)| (image(name), *there)).collect(),
            gives_gpus: false,
        };
        let busybox = offer(true, &[("busybox:1.36", true), ("tool", false)]);
        assert_eq!(says(Some(&busybox), "busybox:1.36"), "nothing");
        let none = says(None, "busybox");
        assert!(
            none.contains("does not offer Docker") && none.contains("share --docker --docker-image busybox"),
            "{none}"
        );
        let other = says(Some(&busybox), "python:3.12");
        assert!(other.contains("not the image python:3.12: it offers busybox:1.36, tool"), "{other}");
        assert!(other.contains("share --docker-image python:3.12"), "{other}");
        let absent = says(Some(&busybox), "tool:latest");
        assert!(absent.contains("has not got it") && absent.contains("docker pull tool"), "{absent}");
        let silent = offer(false, &[("busybox", true)]);
        assert!(says(Some(&silent), "busybox").contains("potluck doctor"));
        assert!(says(Some(&offer(true, &[])), "busybox").contains("no image yet"));
        let many: Vec<String> = (0..9).map(|number| format!("image{number}")).collect();
        let many: Vec<(&str, bool)> = many.iter().map(|name| (name.as_str(), true)).collect();
        let many = says(Some(&offer(true, &many)), "busybox");
        assert!(many.contains("image4, others") && !many.contains("image5"), "{many}");
    }

    #[test]
    fn an_image_travels_as_it_is_written_and_is_equal_by_its_full_name() {
        assert_eq!(image("busybox"), image("busybox:latest"));
        assert_ne!(image("busybox"), image("busybox:1.36"));
        assert_eq!(String::from(image("busybox:latest")), "busybox");
        assert!(Image::try_from("no image".to_owned()).is_err());
    }
}
