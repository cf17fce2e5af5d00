//! Numbers made of the bytes of an input, and of a hash of it once they are used up.
//!
//! The same bytes are the same numbers.

pub struct Dice<'a> {
    data: &'a [u8],
    state: u64,
}

impl<'a> Dice<'a> {
    pub fn of(data: &'a [u8]) -> Self {
        // FNV-1a.
        let hash = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self { data, state: data.iter().fold(0xcbf2_9ce4_8422_2325, hash) }
    }

    /// The same numbers whatever is left of the bytes.
    pub fn hashed(data: &'a [u8]) -> Self {
        Self { data: &[], ..Self::of(data) }
    }

    /// Whether bytes of the input are left.
    pub fn more(&self) -> bool {
        !self.data.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        if let Some((first, rest)) = self.data.split_first() {
            self.data = rest;
            return *first;
        }
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 56) as u8
    }

    pub fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte()) % most.max(1)
    }

    pub fn yes(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub fn whole(&mut self) -> i64 {
        i64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// An offset: mostly one that can be, now and then any number.
    pub fn offset(&mut self, about: i64) -> i64 {
        match self.below(16) {
            0 => self.whole(),
            1 => -1,
            2 => -1001,
            3 => i64::MAX,
            _ => about + i64::from(self.byte()) * 10,
        }
    }
}
