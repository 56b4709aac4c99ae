//! The Mersenne Twister as `CPython`'s `random.Random` runs it, so that splits which
//! were published as a seed come out row by row. Only what `shuffle` needs is here.
//! References: Matsumoto and Nishimura, `mt19937ar.c`; `CPython`, `_randommodule.c` and
//! `random.py`.

/// Words of state.
const N: usize = 624;
/// Distance of the words that are mixed.
const M: usize = 397;

/// A generator that is seeded with a whole number.
pub(super) struct Mersenne {
    state: [u32; N],
    next: usize,
}

impl Mersenne {
    /// The generator of `random.Random(seed)`.
    pub(super) fn new(seed: u64) -> Self {
        // CPython seeds with the number's 32-bit words, the lowest first, and without
        // those that are 0 above the highest.
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key = if high == 0 { vec![low] } else { vec![low, high] };
        Self { state: state_of_key(&key), next: N }
    }

    /// Orders a list as `Random.shuffle` does.
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(last + 1);
            list.swap(last, other);
        }
    }

    /// `_randbelow_with_getrandbits`: draws as many bits as `bound` has until they are
    /// below it. Lists are shorter than 2^32, so one word of the generator is enough.
    fn below(&mut self, bound: usize) -> usize {
        let bits = (usize::BITS - bound.leading_zeros()).clamp(1, 32);
        loop {
            let drawn = (self.word() >> (32 - bits)) as usize;
            if drawn < bound {
                return drawn;
            }
        }
    }

    /// `genrand_uint32`.
    fn word(&mut self) -> u32 {
        if self.next == N {
            self.turn();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    /// Makes the next `N` words.
    fn turn(&mut self) {
        for k in 0..N {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % N] & 0x7FFF_FFFF);
            let odd = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[k] = self.state[(k + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// `init_genrand`.
fn state_of_number(seed: u32) -> [u32; N] {
    let mut state = [seed; N];
    for k in 1..N {
        let before = state[k - 1];
        state[k] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(k as u32);
    }
    state
}

/// `init_by_array`, for keys that are shorter than the state.
fn state_of_key(key: &[u32]) -> [u32; N] {
    let mut state = state_of_number(19_650_218);
    let mut i = 1;
    for step in 0..N {
        let j = step % key.len();
        let mixed = state[i] ^ spread(state[i - 1]).wrapping_mul(1_664_525);
        state[i] = mixed.wrapping_add(key[j]).wrapping_add(j as u32);
        i = following(&mut state, i);
    }
    for _ in 1..N {
        let mixed = state[i] ^ spread(state[i - 1]).wrapping_mul(1_566_083_941);
        state[i] = mixed.wrapping_sub(i as u32);
        i = following(&mut state, i);
    }
    state[0] = 0x8000_0000;
    state
}

const fn spread(word: u32) -> u32 {
    word ^ (word >> 30)
}

/// The next place; at the end of the state the last word is carried to its beginning.
fn following(state: &mut [u32; N], i: usize) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_pythons_generator() {
        // [random.Random(42).getrandbits(32) ...] of CPython 3.11.7.
        let mut random = Mersenne::new(42);
        let found = [random.word(), random.word(), random.word(), random.word()];
        assert_eq!(found, [2_746_317_213, 478_163_327, 107_420_369, 3_184_935_163]);
    }

    fn shuffled(seed: u64, length: usize) -> Vec<usize> {
        let mut list = (0..length).collect::<Vec<_>>();
        Mersenne::new(seed).shuffle(&mut list);
        list
    }

    /// All from `r = random.Random(seed); x = list(range(n)); r.shuffle(x)` in `CPython`
    /// 3.11.7; of the long list, also the sum of place (from 1) times value.
    #[test]
    fn lists_are_shuffled_as_python_shuffles_them() {
        assert_eq!(shuffled(42, 10), [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
        assert_eq!(shuffled(0, 10), [7, 8, 1, 5, 3, 4, 2, 0, 9, 6]);
        assert_eq!(shuffled((1 << 40) + 12_345, 12), [10, 3, 11, 7, 8, 6, 9, 2, 0, 1, 5, 4]);
        assert_eq!(shuffled(7, 2), [0, 1]);
        assert_eq!(shuffled(1, 1), [0]);
        assert_eq!(shuffled(1, 0), [0_usize; 0]);
        let long = shuffled(42, 2964);
        assert_eq!(long[..12], [609, 1114, 1337, 2322, 1506, 560, 2256, 200, 405, 2449, 1518, 1932]);
        let sum = long.iter().enumerate().map(|(place, value)| (place + 1) * value).sum::<usize>();
        assert_eq!(sum, 6_448_001_409);
    }
}
