//! The images this user has given names to. A name stands for a recipe, so that it means the same on every machine the
//! recipe is sent to.

use crate::paths::Paths;
use crate::store::record::{Record, RecordError};
use potluck_runtime::{BUILT_IN, BuiltIn, ImageChoice, ImageRecipe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `--image` calls no image at all.
pub const NO_IMAGE: &str = "none";

/// The book of names.
#[derive(Debug)]
pub struct NamedImages {
    record: Record<Book>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    #[serde(default)]
    images: BTreeMap<String, NamedImage>,
}

/// An image with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedImage {
    /// The environment it is an image of.
    pub environment: String,
    /// What it is made of.
    pub recipe: ImageRecipe,
}

/// A name of an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageNameError {
    /// It means something else.
    #[error("{0:?} cannot name an image of yours: it is taken; the names in use are listed by `potluck env ls`")]
    Taken(String),
    /// It is no name.
    #[error("{0:?} cannot name an image: a name has 1 to 63 letters, digits, '-', '_' and '.'")]
    Name(String),
    /// Nothing has it.
    #[error("there is no image {name:?}; there are: {known}; `potluck env warm {name} --import MODULE` makes one")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The book cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl NamedImages {
    /// This user's names.
    #[must_use]
    pub fn of(paths: &Paths) -> Self {
        Self { record: Record::at(&paths.data_dir.join("images.toml")) }
    }

    /// All of them.
    ///
    /// # Errors
    /// [`ImageNameError::Record`].
    pub fn list(&self) -> Result<BTreeMap<String, NamedImage>, ImageNameError> {
        Ok(self.record.read()?.images)
    }

    /// Whether an image of the user's own can have this name.
    ///
    /// # Errors
    /// [`ImageNameError::Taken`] or [`ImageNameError::Name`].
    pub fn check(name: &str) -> Result<(), ImageNameError> {
        if name == NO_IMAGE || name == "auto" || BuiltIn::named(name).is_some() {
            return Err(ImageNameError::Taken(name.to_owned()));
        }
        crate::config::check_name(name).map_err(|_| ImageNameError::Name(name.to_owned()))
    }

    /// Gives a name to a recipe, or a new recipe to a name.
    ///
    /// # Errors
    /// [`ImageNameError`] when the name cannot be used.
    pub fn set(&self, name: &str, image: NamedImage) -> Result<(), ImageNameError> {
        Self::check(name)?;
        self.record.update(|book| book.images.insert(name.to_owned(), image))?;
        Ok(())
    }

    /// Forgets a name; whether there was one.
    ///
    /// # Errors
    /// [`ImageNameError::Record`].
    pub fn remove(&self, name: &str) -> Result<bool, ImageNameError> {
        Ok(self.record.update(|book| book.images.remove(name))?.0.is_some())
    }

    /// What `name` stands for: an image of this user, a built-in one, or [`NO_IMAGE`].
    ///
    /// # Errors
    /// [`ImageNameError::Unknown`] names those that there are.
    pub fn choice(&self, name: &str) -> Result<ImageChoice, ImageNameError> {
        if name == NO_IMAGE {
            return Ok(ImageChoice::None);
        }
        if let Some(image) = BuiltIn::named(name) {
            return Ok(ImageChoice::Recipe(image.recipe()));
        }
        let mut images = self.list()?;
        if let Some(image) = images.remove(name) {
            return Ok(ImageChoice::Recipe(image.recipe));
        }
        let own = images.into_keys();
        let known: Vec<String> = [NO_IMAGE]
            .into_iter()
            .chain(BUILT_IN.iter().map(|image| image.name))
            .map(str::to_owned)
            .chain(own)
            .collect();
        Err(ImageNameError::Unknown { name: name.to_owned(), known: known.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_recipe_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::under(dir.path());
        paths.create().unwrap();
        let images = NamedImages::of(&paths);
        let recipe = ImageRecipe { imports: vec!["json".into()], setup: Some("x = 1\n".into()) };
        images.set("mine", NamedImage { environment: "python".into(), recipe: recipe.clone() }).unwrap();
        assert_eq!(images.choice("mine").unwrap(), ImageChoice::Recipe(recipe));
        assert!(images.remove("mine").unwrap() && !images.remove("mine").unwrap());
        let text = images.choice("mine").unwrap_err().to_string();
        assert!(text.contains("mine") && text.contains("data"), "{text}");
        assert_eq!(images.choice("none").unwrap(), ImageChoice::None);
        assert!(matches!(images.choice("data").unwrap(), ImageChoice::Recipe(_)));
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let images = NamedImages::of(&Paths::under(dir.path()));
        let image = NamedImage { environment: "python".into(), recipe: ImageRecipe::default() };
        for name in ["none", "auto", "data"] {
            assert!(matches!(images.set(name, image.clone()), Err(ImageNameError::Taken(_))), "{name}");
        }
        for name in ["", "two words", "a/b"] {
            assert!(matches!(images.set(name, image.clone()), Err(ImageNameError::Name(_))), "{name}");
        }
    }
}
