//! What an image holds, as a recipe: two equal recipes over the same interpreter make equal images, so that a recipe can be
//! sent to another machine instead of the image.

use crate::digest::Digest;
use crate::lists::at_most;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most imports of a recipe.
const IMPORTS_MAX: usize = 256;
/// The most imports that are even read, so that a text that is refused is not a burden first.
const IMPORTS_READ_MAX: usize = 4096;
/// The longest name of an import, in bytes.
const IMPORT_LEN_MAX: usize = 200;
/// The longest setup script, in bytes.
const SETUP_LEN_MAX: usize = 256 << 10;
/// Changes whenever images are made in another way, so that old ones are made anew.
const MAKING: u32 = 1;

/// What is done to a fresh interpreter before its memory is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageRecipe {
    /// Modules to import, in this order.
    #[serde(deserialize_with = "at_most::<IMPORTS_READ_MAX, _, _>")]
    pub imports: Vec<String>,
    /// A script that is run after them, if there is one.
    pub setup: Option<String>,
}

/// Which image a script is to start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageChoice {
    /// The smallest that covers these imports (top-level names), as far as it is there already.
    #[serde(deserialize_with = "at_most::<IMPORTS_READ_MAX, _, _>")]
    Auto(BTreeSet<String>),
    /// None: everything is imported by the script itself.
    None,
    /// This one; made first if need be.
    Recipe(ImageRecipe),
}

impl Default for ImageChoice {
    fn default() -> Self {
        Self::Auto(BTreeSet::new())
    }
}

/// A recipe that cannot be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecipeError {
    /// A name of an import is none.
    #[error(
        "{0:?} is not the name of a module; name modules as an import statement does, such as numpy or sklearn.cluster"
    )]
    Import(String),
    /// There are too many.
    #[error("an image imports {IMPORTS_MAX} modules at most; import the others in a setup script")]
    Imports,
    /// The setup script is too long.
    #[error("the setup script of an image has {SETUP_LEN_MAX} bytes at most")]
    Setup,
}

impl ImageRecipe {
    /// Checks that it can be followed.
    ///
    /// # Errors
    /// A [`RecipeError`] that names what is wrong.
    pub fn check(&self) -> Result<(), RecipeError> {
        if self.imports.len() > IMPORTS_MAX {
            return Err(RecipeError::Imports);
        }
        if let Some(name) = self.imports.iter().find(|name| !is_module(name)) {
            return Err(RecipeError::Import(name.clone()));
        }
        match &self.setup {
            Some(setup) if setup.len() > SETUP_LEN_MAX => Err(RecipeError::Setup),
            _ => Ok(()),
        }
    }

    /// A name for the image over an interpreter of this name.
    pub(crate) fn key(&self, interpreter: &Digest) -> Digest {
        let mut all = MAKING.to_le_bytes().to_vec();
        all.extend_from_slice(interpreter.as_bytes());
        for text in self.imports.iter().chain(&self.setup) {
            all.extend_from_slice(&(text.len() as u64).to_le_bytes());
            all.extend_from_slice(text.as_bytes());
        }
        all.push(self.setup.is_some().into());
        Digest::of(&all)
    }
}

fn is_module(name: &str) -> bool {
    let is_part = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    name.len() <= IMPORT_LEN_MAX && name.split('.').all(is_part)
}

/// An image every machine makes by itself when it is first needed.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// What users call it.
    pub name: &'static str,
    /// The packages whose import it saves.
    pub covers: &'static [&'static str],
    imports: &'static [&'static str],
    setup: &'static str,
}

const NUMPY_SETUP: &str = include_str!("../../python/images/numpy.py");
const PANDAS_SETUP: &str = include_str!("../../python/images/pandas.py");

/// The images that are made without being asked for, smallest first.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn { name: "interpreter", covers: &[], imports: &[], setup: "" },
    BuiltIn { name: "numpy", covers: &["numpy"], imports: &["numpy"], setup: NUMPY_SETUP },
    BuiltIn { name: "data", covers: &["numpy", "pandas"], imports: &["numpy", "pandas"], setup: PANDAS_SETUP },
    BuiltIn {
        name: "plot",
        covers: &["numpy", "pandas", "matplotlib"],
        imports: &["numpy", "pandas", "matplotlib.pyplot"],
        setup: include_str!("../../python/images/plot.py"),
    },
    BuiltIn {
        name: "science",
        covers: &["numpy", "pandas", "scipy", "sklearn"],
        imports: &["numpy", "pandas", "scipy", "sklearn"],
        setup: include_str!("../../python/images/science.py"),
    },
];

impl BuiltIn {
    /// The built-in image of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BUILT_IN.iter().find(|image| image.name == name)
    }

    /// The smallest that covers the most of these imports. Libraries that are quick to import do not count.
    #[must_use]
    pub fn covering(imports: &BTreeSet<String>) -> &'static Self {
        let covered = |image: &&Self| image.covers.iter().filter(|name| imports.contains(**name)).count();
        let most = BUILT_IN.iter().map(|image| covered(&image)).max().unwrap_or(0);
        BUILT_IN.iter().find(|image| covered(image) == most).unwrap_or(&BUILT_IN[0])
    }

    /// How it is made.
    #[must_use]
    pub fn recipe(&self) -> ImageRecipe {
        let imports = self.imports.iter().map(|&name| name.to_owned()).collect();
        ImageRecipe { imports, setup: Some(self.setup.to_owned()).filter(|setup| !setup.is_empty()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covering(imports: &[&str]) -> &'static str {
        BuiltIn::covering(&imports.iter().map(|&name| name.to_owned()).collect()).name
    }

    #[test]
    fn the_smallest_image_that_covers_the_imports_is_chosen() {
        assert_eq!(covering(&[]), "interpreter");
        assert_eq!(covering(&["json", "re"]), "interpreter");
        assert_eq!(covering(&["numpy", "csv"]), "numpy");
        assert_eq!(covering(&["pandas"]), "data");
        assert_eq!(covering(&["matplotlib", "numpy"]), "plot");
        assert_eq!(covering(&["sklearn"]), "science");
        assert_eq!(covering(&["scipy", "pandas"]), "science");
        assert_eq!(
            covering(&["sklearn", "scipy", "matplotlib"]),
            "science",
            "what covers the most, if none covers all"
        );
    }

    #[test]
    fn equal_recipes_have_equal_keys_and_others_have_others() {
        let interpreter = Digest::of(b"python");
        let recipe = |imports: &[&str], setup: Option<&str>| ImageRecipe {
            imports: imports.iter().map(|&name| name.to_owned()).collect(),
            setup: setup.map(str::to_owned),
        };
        let recipes = [
            recipe(&[], None),
            recipe(&["a"], None),
            recipe(&["a", "b"], None),
            recipe(&["ab"], None),
            recipe(&[], Some("a")),
            recipe(&[], Some("")),
        ];
        let keys: BTreeSet<String> = recipes.iter().map(|recipe| recipe.key(&interpreter).to_string()).collect();
        assert_eq!(keys.len(), recipes.len());
        assert_eq!(recipes[2].key(&interpreter), recipes[2].clone().key(&interpreter));
        assert_ne!(recipes[2].key(&interpreter), recipes[2].key(&Digest::of(b"another")));
    }

    #[test]
    fn names_that_are_no_modules_are_refused() {
        for name in ["", "a b", "os;x", "a.", ".a", "1a", "a-b"] {
            let recipe = ImageRecipe { imports: vec![name.to_owned()], setup: None };
            assert_eq!(recipe.check(), Err(RecipeError::Import(name.to_owned())));
        }
        assert_eq!(ImageRecipe { imports: vec!["sklearn.cluster".into(), "_x".into()], setup: None }.check(), Ok(()));
        let long = ImageRecipe { imports: Vec::new(), setup: Some("#".repeat(SETUP_LEN_MAX + 1)) };
        assert_eq!(long.check(), Err(RecipeError::Setup));
        assert!(BUILT_IN.iter().all(|image| image.recipe().check().is_ok()));
    }
}
