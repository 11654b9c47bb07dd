//! Lists that are refused while they are read, when they have more items than a bound: an empty text is one byte where it is
//! written down and twenty-four in memory, so the length of what is read alone bounds nothing.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A collection of at most `MAX` items, as `#[serde(deserialize_with = "at_most::<MAX, _, _>")]`.
///
/// # Errors
/// What is no such list.
pub fn at_most<'de, const MAX: usize, C, D>(deserializer: D) -> Result<C, D::Error>
where
    C: Default + IntoIterator + Extend<C::Item>,
    C::Item: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(AtMost::<MAX, C>(PhantomData))
}

struct AtMost<const MAX: usize, C>(PhantomData<C>);

impl<'de, const MAX: usize, C> Visitor<'de> for AtMost<MAX, C>
where
    C: Default + IntoIterator + Extend<C::Item>,
    C::Item: Deserialize<'de>,
{
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<C, A::Error> {
        let mut list = C::default();
        let mut count = 0;
        while let Some(item) = items.next_element()? {
            count += 1;
            if count > MAX {
                return Err(A::Error::custom(format_args!("a list has more than {MAX} items")));
            }
            list.extend(std::iter::once(item));
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Few {
        #[serde(deserialize_with = "at_most::<3, _, _>")]
        words: Vec<String>,
    }

    #[test]
    fn a_list_is_read_up_to_its_bound_and_refused_beyond() {
        let few = |len| Few { words: vec![String::new(); len] };
        let read = |few: &Few| rmp_serde::from_slice::<Few>(&rmp_serde::to_vec_named(few).unwrap());
        assert_eq!(read(&few(3)).unwrap(), few(3));
        assert!(read(&few(4)).unwrap_err().to_string().contains("more than 3"));
    }
}
