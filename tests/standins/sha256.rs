//! SHA-256, in which SLS keeps keys. Source: FIPS 180-4.

/// The digest of a text in hexadecimal.
pub fn hex(text: &str) -> String {
    let mut state = first_bits_of(&[2, 3, 5, 7, 11, 13, 17, 19], 2);
    let constants = first_bits_of(&primes(), 3);
    let mut message = text.as_bytes().to_vec();
    let bits = u64::try_from(message.len()).expect("it is short") * 8;
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&bits.to_be_bytes());
    for block in message.chunks_exact(64) {
        add_block(&mut state, &constants, block);
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

fn primes() -> Vec<u32> {
    let is_prime = |number: &u32| (2..*number).all(|divisor| number % divisor != 0);
    (2..).filter(is_prime).take(64).collect()
}

/// The first 32 bits behind the point of each number's root.
fn first_bits_of(numbers: &[u32], root: u32) -> Vec<u32> {
    let of = |number: &u32| {
        // The greatest whole number whose power is no more than the number shifted so far.
        let wanted = u128::from(*number) << (32 * root);
        let (mut low, mut high) = (0_u128, 1_u128 << 40);
        while low + 1 < high {
            let middle = u128::midpoint(low, high);
            if middle.pow(root) <= wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        u32::try_from(low & 0xFFFF_FFFF).expect("32 bits are left")
    };
    numbers.iter().map(of).collect()
}

fn add_block(state: &mut [u32], constants: &[u32], block: &[u8]) {
    let mut words: Vec<u32> = block
        .chunks_exact(4)
        .map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    for index in 16..64 {
        let (early, late) = (words[index - 15], words[index - 2]);
        let first = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
        let second = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
        let sum = words[index - 16].wrapping_add(first);
        words.push(sum.wrapping_add(words[index - 7]).wrapping_add(second));
    }
    let mut it: Vec<u32> = state.to_vec();
    for (constant, word) in constants.iter().zip(words) {
        let mixed = it[4].rotate_right(6) ^ it[4].rotate_right(11) ^ it[4].rotate_right(25);
        let choice = (it[4] & it[5]) ^ (!it[4] & it[6]);
        let sums = [mixed, choice, *constant, word];
        let first = sums.iter().fold(it[7], |sum, next| sum.wrapping_add(*next));
        let mixed = it[0].rotate_right(2) ^ it[0].rotate_right(13) ^ it[0].rotate_right(22);
        let majority = (it[0] & it[1]) ^ (it[0] & it[2]) ^ (it[1] & it[2]);
        it.rotate_right(1);
        it[0] = first.wrapping_add(mixed).wrapping_add(majority);
        it[4] = it[4].wrapping_add(first);
    }
    for (word, new) in state.iter_mut().zip(it) {
        *word = word.wrapping_add(new);
    }
}
