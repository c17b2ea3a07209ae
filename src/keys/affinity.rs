//! Which groups a prompt's prefix prefers, so that the provider's prompt cache keeps hitting: caches
//! are not shared between organisations.

use super::bits::Bits;
use super::group::Group;

/// How many groups a prefix has to itself before any other is as good: it spills over to the second
/// when the first is full, and always to the same one.
pub(super) const FAVOURITES: usize = 2;

/// The favourite groups of a prefix, best first, by weighted rendezvous hashing (Thaler and
/// Ravishankar 1998): the same wherever the names and weights are, and when a group comes or goes,
/// only its own prefixes move.
pub(super) fn favourites(
    prefix: u64,
    among: Bits,
    groups: &[Option<Group>],
) -> [Option<u8>; FAVOURITES] {
    let mut best = [(f64::NEG_INFINITY, None); FAVOURITES];
    for slot in among.iter() {
        let Some(Some(group)) = groups.get(usize::from(slot)) else { continue };
        let mut bid = (score(mix(prefix ^ group.mark), group.weight), Some(slot));
        for place in &mut best {
            if bid.0 > place.0 {
                std::mem::swap(place, &mut bid);
            }
        }
    }
    best.map(|(_, slot)| slot)
}

/// What a group's name contributes.
pub(super) fn mark(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |mark, byte| {
        (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// As likely to be the greatest as its weight is large.
#[expect(clippy::cast_precision_loss, reason = "53 bits are taken, and weights are small")]
fn score(hash: u64, weight: u32) -> f64 {
    let share = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(weight.max(1)) / -share.ln()
}

/// Spreads every bit over all (the finaliser of `SplitMix64`).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(weights: &[u32]) -> (Bits, Vec<Option<Group>>) {
        let mut all = Bits::EMPTY;
        let groups = weights.iter().enumerate().map(|(slot, weight)| {
            all.insert(u8::try_from(slot).unwrap());
            let mut group = Group::new(&format!("group {slot}"), 1);
            group.weight = *weight;
            Some(group)
        });
        let groups = groups.collect();
        (all, groups)
    }

    fn first(prefix: u64, among: Bits, groups: &[Option<Group>]) -> u8 {
        favourites(mix(prefix), among, groups)[0].unwrap()
    }

    #[test]
    fn prefixes_are_shared_out_by_weight() {
        let (all, groups) = groups(&[1, 1, 2]);
        let mut counts = [0_u32; 3];
        for prefix in 0..8_000 {
            counts[usize::from(first(prefix, all, &groups))] += 1;
        }
        for (count, share) in counts.into_iter().zip([2_000_u32, 2_000, 4_000]) {
            assert!(count.abs_diff(share) < 200, "{counts:?}");
        }
    }

    #[test]
    fn when_a_group_goes_only_its_prefixes_move_and_to_their_second_choice() {
        let (all, groups) = groups(&[1; 8]);
        let mut left = all;
        left.remove(3);
        for prefix in 0..1_000 {
            let before = favourites(mix(prefix), all, &groups);
            let after = first(prefix, left, &groups);
            let expected = if before[0] == Some(3) { before[1] } else { before[0] };
            assert_eq!(Some(after), expected);
        }
    }

    #[test]
    fn a_single_group_is_everybody_s_favourite() {
        let (all, groups) = groups(&[1]);
        assert_eq!(favourites(7, all, &groups), [Some(0), None]);
        assert_eq!(favourites(7, Bits::EMPTY, &groups), [None, None]);
    }
}
