//! Sets of machines by their number, small enough that asking one is a few instructions however many machines there are.

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Puts `index` in, or takes it out.
    pub(super) fn put(&mut self, index: usize, present: bool) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if present {
            if self.0.len() <= word {
                self.0.resize(word + 1, 0);
            }
            self.0[word] |= bit;
        } else if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Whether `index` is in.
    pub(super) fn has(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Whether any is in both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Those in both, from the least.
    pub(super) fn both<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().zip(&other.0).enumerate().flat_map(|(index, (a, b))| ones(a & b).map(move |bit| index * 64 + bit))
    }

    /// What is in both.
    pub(super) fn meeting(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// Whether none is in.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many are in.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros() as usize;
            word &= word - 1;
            bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_found_alone_and_together() {
        let (mut a, mut b) = (Bits::default(), Bits::default());
        for index in [0, 63, 64, 200] {
            a.put(index, true);
        }
        for index in [63, 65, 200, 5000] {
            b.put(index, true);
        }
        assert!(a.has(200) && !a.has(65) && !a.has(9999));
        assert_eq!((a.both(&b).collect::<Vec<_>>(), a.len()), (vec![63, 200], 4));
        a.put(63, false);
        a.put(200, false);
        a.put(9999, false);
        assert!(!a.meets(&b) && !a.is_empty());
    }
}
