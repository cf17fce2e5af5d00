//! The same plan with fewer changes, for a little more.
//!
//! A plan that is to have the fewest replica-hours changes whenever that saves a minute of one. Here
//! stretches of it are raised to the number before or after them, whichever is nearer, those first
//! that cost least a change saved, until so much is spent. Nothing is lowered, so that what was in
//! time has no less than before.

/// A stretch of a plan: so many replicas for so many steps.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    replicas: i32,
    steps: usize,
}

/// `asked`, for at most `share` more of its cost.
pub fn calm(asked: &[i32], share: f64) -> Vec<i32> {
    let mut plan: Vec<Stretch> = Vec::new();
    for replicas in asked {
        match plan.last_mut() {
            Some(last) if last.replicas == *replicas => last.steps += 1,
            _ => plan.push(Stretch { replicas: *replicas, steps: 1 }),
        }
    }
    let mut left = share * asked.iter().map(|n| f64::from(*n)).sum::<f64>();
    loop {
        let best = (0..plan.len())
            .filter_map(|i| price(&plan, i).map(|(cost, saved, to)| (cost / saved, cost, i, to)))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, cost, i, to)) = best.filter(|(_, cost, ..)| *cost <= left) else { break };
        left -= cost;
        plan[i].replicas = to;
        plan.dedup_by(|next, last| {
            let same = next.replicas == last.replicas;
            if same {
                last.steps += next.steps;
            }
            same
        });
    }
    plan.iter().flat_map(|s| std::iter::repeat_n(s.replicas, s.steps)).collect()
}

/// What it costs to raise a stretch to its nearer neighbour above it, how many changes that saves, and to
/// what; `None` when none is above it.
fn price(plan: &[Stretch], i: usize) -> Option<(f64, f64, i32)> {
    let here = plan[i];
    let before = i.checked_sub(1).map(|j| plan[j].replicas);
    let after = plan.get(i + 1).map(|s| s.replicas);
    let above = |n: &i32| *n > here.replicas;
    let to = before.iter().chain(&after).copied().filter(above).min()?;
    let saved = before.iter().chain(&after).filter(|n| **n == to).count() as f64;
    Some((f64::from(to - here.replicas) * here.steps as f64, saved, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_changes_go_first_and_no_more_is_spent() {
        let asked = [4, 4, 4, 3, 4, 4, 2, 2, 2, 2, 6, 6, 6, 6, 6, 6];
        // 64 replica-steps: the dip to 3 costs 1 and saves two changes; nothing else is so cheap.
        assert_eq!(calm(&asked, 0.016), [4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 6, 6, 6, 6, 6, 6]);
        assert_eq!(calm(&asked, 0.0), asked);
        // The dip to 2 as well for 8 more, up to where it was before.
        assert_eq!(calm(&asked, 0.15), [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6]);
        assert_eq!(calm(&asked, 9.0), [6; 16]);
        assert_eq!(calm(&[], 0.1), Vec::<i32>::new());
    }
}
