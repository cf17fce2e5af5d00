//! What must hold when the process is restarted at any step.
//!
//! A new process knows what was learnt and the last state, and nothing of the history. It has no
//! worse decision to offer when it takes nothing away for not knowing: no replicas before it has
//! itself seen a whole quiet window, and nothing at all before three looks. That it also
//! finishes the job in time is shown in closed loop, in `simulate`.

use proptest::prelude::*;

use super::stories::any_story;
use super::{cases, look};
use crate::decide::*;

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn after_a_restart_nothing_is_taken_away_before_a_whole_window_was_seen(
        story in any_story(false), at in any::<prop::sample::Index>()) {
        let at = at.index(story.steps.len());
        let policy = &story.policy;
        let mut state = story.memory();
        // Since the restart: when, looks that were complete or at least fresh, most replicas asked for.
        let (mut looks, mut since, mut complete, mut fresh, mut most) = (0, None, 0, 0, 0);
        story.play(|shown| {
            if looks == at {
                state = State::restored(state.learnt.clone(), Some(state.state));
                since = Some(shown.now);
            }
            looks += 1;
            let decision = look(policy, &mut state, shown);
            let Some(since) = since else { return Ok(decision) };
            complete += u32::from(shown.complete);
            fresh += u32::from(shown.fresh);
            let (true, Some(from), Some(to)) = (decision.write, decision.from, decision.to) else {
                return Ok(decision);
            };
            // What the owner asks for whatever is seen comes once nothing was for long enough.
            let held = matches!(decision.rule, Rule::Fallback | Rule::Schedule | Rule::Base | Rule::Bounds);
            if !(held && decision.state == ScalerState::Blind && to > from) {
                // What was read in part may ask for more, never for fewer.
                let looks = if to > from { fresh } else { complete };
                prop_assert!(looks >= policy.tuning.warm_up, "{decision:?}");
            }
            if to < from && decision.rule == Rule::ScaleDown {
                prop_assert!(shown.now - since >= policy.down_window, "{decision:?}");
            }
            if decision.rule == Rule::GoBack {
                // Only what was added since is taken back.
                prop_assert!(most > to, "{decision:?}");
            }
            if to > from {
                most = most.max(to);
            }
            Ok(decision)
        })?;
    }
}
